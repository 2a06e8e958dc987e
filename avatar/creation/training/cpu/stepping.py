"""What happens to each Gaussian's numbers in a step: penalties' slopes, and Adam."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.render.compilation import inline, parallel_kernel

__all__ = ["BETA1", "BETA2", "EPSILON", "adam_step", "channel_step", "gaussian_step", "penalty_slopes"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
"""Of Adam."""
f32 = np.float32
_B1 = f32(BETA1)
_B2 = f32(BETA2)
_C1 = f32(1 - BETA1)
_C2 = f32(1 - BETA2)
_EPSILON = f32(EPSILON)
_ONE = f32(1)


@inline
def _adam(value, g, first, second, i, j, rate, first_factor, second_factor):
    """The new value of a number whose moments are `first[i, j]` and `second[i, j]`."""
    m = _B1 * first[i, j] + _C1 * g
    v = _B2 * second[i, j] + _C2 * g * g
    first[i, j] = m
    second[i, j] = v
    return value - rate * (m * first_factor) / (np.sqrt(v * second_factor) + _EPSILON)


@parallel_kernel
def adam_step(values, gradient, first, second, seen, rate, pace, first_factor, second_factor, workers):
    n, columns = values.shape
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            if seen[i]:
                own = pace[i] if pace.size > 0 else _ONE
                for j in range(columns):
                    values[i, j] = _adam(
                        values[i, j], gradient[i, j], first, second, i, j, own * rate[j], first_factor, second_factor
                    )


@parallel_kernel
def penalty_slopes(
    means, log_scales, logits, home, d_means, d_scales, d_logits, widest, furthest, width, distance, opacity, workers
):
    n = means.shape[0]
    log_widest = np.log(widest)
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            square = f32(0)
            for k in range(3):
                square += means[i, k] * means[i, k]
                if log_scales[i, k] > log_widest:
                    d_scales[i, k] += width * np.exp(log_scales[i, k])
            away = np.sqrt(square)
            if away > home[i] + furthest:
                for k in range(3):
                    d_means[i, k] += distance * means[i, k] / away
            o = _ONE / (_ONE + np.exp(-logits[i]))
            d_logits[i] += opacity * o * (_ONE - o)


@parallel_kernel
def gaussian_step(
    values, gradients, firsts, seconds, rates, seen, pace, home, largest, limits, first_factor, second_factor, workers
):
    """Penalties and Adam for the Gaussians that were seen, and the limit of width for all, in one pass over them.

    Args:
        values, gradients, firsts, seconds: five arrays each, of means, quaternions, log scales, logit opacities (N, 1)
            and harmonics (N, 3 K).
        rates: five arrays, a rate for each column.
        seen: (N,) a Gaussian is seen if this is over 0.
        pace: (N,) what the rate of the mean is multiplied by.
        home, largest: (N,) distance from the triangle's middle at first; the logarithm of the greatest width.
        limits: as the last five numbers of `penalty_slopes`.
    """
    means, quats, log_scales, logits, sh = values
    d_means, d_quats, d_scales, d_logits, d_sh = gradients
    m_means, m_quats, m_scales, m_logits, m_sh = firsts
    v_means, v_quats, v_scales, v_logits, v_sh = seconds
    r_means, r_quats, r_scales, r_logits, r_sh = rates
    widest, furthest, width, distance, opacity = limits
    n, columns = sh.shape
    log_widest = np.log(widest)
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            most = largest[i]
            if not seen[i] > f32(0):
                for k in range(3):
                    log_scales[i, k] = min(log_scales[i, k], most)
                continue
            x = means[i, 0]
            y = means[i, 1]
            z = means[i, 2]
            away = np.sqrt(x * x + y * y + z * z)
            back = distance / away if away > home[i] + furthest else f32(0)
            own = pace[i]
            for k in range(3):
                g = d_means[i, k] + back * means[i, k]
                means[i, k] = _adam(
                    means[i, k], g, m_means, v_means, i, k, own * r_means[k], first_factor, second_factor
                )
            for k in range(3):
                g = d_scales[i, k]
                wide = log_scales[i, k]
                if wide > log_widest:
                    g += width * np.exp(wide)
                wide = _adam(wide, g, m_scales, v_scales, i, k, r_scales[k], first_factor, second_factor)
                log_scales[i, k] = min(wide, most)
            for k in range(4):
                quats[i, k] = _adam(
                    quats[i, k], d_quats[i, k], m_quats, v_quats, i, k, r_quats[k], first_factor, second_factor
                )
            o = _ONE / (_ONE + np.exp(-logits[i, 0]))
            g = d_logits[i, 0] + opacity * o * (_ONE - o)
            logits[i, 0] = _adam(logits[i, 0], g, m_logits, v_logits, i, 0, r_logits[0], first_factor, second_factor)
            for k in range(columns):
                sh[i, k] = _adam(sh[i, k], d_sh[i, k], m_sh, v_sh, i, k, r_sh[k], first_factor, second_factor)


@parallel_kernel
def channel_step(
    tint, fade, d_sh, d_logits, weight, firsts, seconds, tint_rate, fade_rate, seen, tint_factors, fade_factors, workers
):
    """Adam for what one channel changes: its weight times the gradients of colors and logit opacities.

    Args:
        tint, fade: (N, 3) and (N, 1).
        d_sh, d_logits: (N, 3 K) and (N, 1), without penalties.
        firsts, seconds: of tint and fade.
        tint_factors, fade_factors: corrections of the first and second moment.
    """
    m_tint, m_fade = firsts
    v_tint, v_fade = seconds
    n = len(tint)
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            if not seen[i] > f32(0):
                continue
            for k in range(3):
                tint[i, k] = _adam(
                    tint[i, k], weight * d_sh[i, k], m_tint, v_tint, i, k, tint_rate, tint_factors[0], tint_factors[1]
                )
            fade[i, 0] = _adam(
                fade[i, 0], weight * d_logits[i, 0], m_fade, v_fade, i, 0, fade_rate, fade_factors[0], fade_factors[1]
            )
