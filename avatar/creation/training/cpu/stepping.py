"""What happens to each Gaussian's numbers in a step: penalties' slopes, and Adam."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.render.compilation import parallel_kernel

__all__ = ["BETA1", "BETA2", "EPSILON", "adam_step", "penalty_slopes"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
"""Of Adam."""
f32 = np.float32


@parallel_kernel
def adam_step(values, gradient, first, second, seen, rate, pace, first_factor, second_factor, workers):
    n, columns = values.shape
    b1 = f32(BETA1)
    b2 = f32(BETA2)
    one = f32(1)
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            if seen[i]:
                own = pace[i] if pace.size > 0 else one
                for j in range(columns):
                    g = gradient[i, j]
                    m = b1 * first[i, j] + (one - b1) * g
                    v = b2 * second[i, j] + (one - b2) * g * g
                    first[i, j] = m
                    second[i, j] = v
                    values[i, j] -= own * rate[j] * (m * first_factor) / (np.sqrt(v * second_factor) + f32(EPSILON))


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
            o = f32(1) / (f32(1) + np.exp(-logits[i]))
            d_logits[i] += opacity * o * (f32(1) - o)
