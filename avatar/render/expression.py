"""What a pose's expression does to the Gaussians' colors and opacities: worked out on the CPU, once for each new pose.

Its readable twin is `Appearance.applied`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from avatar.flame.params import FlameParams
from avatar.render.compilation import kernel
from avatar.rig import Avatar

__all__ = ["ExpressedColors"]

f32 = np.float32
_NOTICEABLE = 1e-3  # a weight below this changes no color by a step
_LOG2E = f32(1.4426950408889634)
_STEPS_PER_UNIT, _FARTHEST_LOGIT = f32(128), f32(16)
_LOG2_SIGMOID = -np.log1p(np.exp(np.linspace(16, -16, 2 * 16 * 128 + 1))).astype(f32) * _LOG2E
"""Log2 of the opacity at logits from -16 to 16; straight lines between them, and on below, are off by 3e-6 at most."""


@kernel
def _mix_tints(n, codes, active, factors, out):
    """Sum the changes of active channels: (n, 3) out."""
    flat = out.reshape(-1)
    flat[: 3 * n] = f32(0)
    for a in range(active.shape[0]):
        row = codes[active[a]].reshape(-1)
        factor = factors[a]
        for i in range(3 * n):
            flat[i] += factor * f32(row[i])


@kernel
def _mix_opacities(n, codes, active, factors, logits, log2_opacities):
    """Log2 of the opacities with the changes of active channels, out."""
    log2_opacities[:n] = logits[:n]
    for a in range(active.shape[0]):
        row = codes[active[a]]
        factor = factors[a]
        for i in range(n):
            log2_opacities[i] += factor * f32(row[i])
    last = _LOG2_SIGMOID.shape[0] - 2
    for i in range(n):
        place = (min(log2_opacities[i], _FARTHEST_LOGIT) + _FARTHEST_LOGIT) * _STEPS_PER_UNIT
        k = max(0, min(int(place), last))  # NaN, which stays one, may become any integer
        low = _LOG2_SIGMOID[k]
        log2_opacities[i] = low + (place - f32(k)) * (_LOG2_SIGMOID[k + 1] - low)


class ExpressedColors:
    """Tints and opacities of an avatar's Gaussians for one pose after another. Not for two threads at once."""

    def __init__(self, avatar: Avatar) -> None:
        """
        Raises:
            ValueError: if the avatar looks the same whatever its expression.
        """
        if avatar.appearance is None:
            raise ValueError("ExpressedColors: expected an avatar with an appearance")
        self._appearance, self._arkit = avatar.appearance, avatar.arkit
        self._tints = np.ascontiguousarray(avatar.appearance.tint_codes.cpu().numpy())
        self._fades = np.ascontiguousarray(avatar.appearance.fade_codes.cpu().numpy())
        self._tint_steps, self._fade_steps = (
            steps.cpu().numpy() for steps in (avatar.appearance.tint_steps, avatar.appearance.fade_steps)
        )
        self._logits = np.ascontiguousarray(avatar.gaussians.logit_opacities.cpu().numpy(), np.float32)
        n = len(avatar.gaussians)
        self._last: tuple[int, np.ndarray] | None = None
        self.tints: Float32[np.ndarray, "n 3"] = np.zeros((n, 3), np.float32)
        """Added to the spherical harmonics of degree 0, as `express` left it."""
        self.log2_opacities: Float32[np.ndarray, " n"] = np.zeros(n, np.float32)
        """As `express` left it."""
        self.fades = bool(self._fades.any())
        """Whether opacities change at all."""

    def weights(self, params: FlameParams) -> Float32[np.ndarray, " c"]:
        """How much of each channel a single pose has; what nobody would notice is 0."""
        found = self._appearance.weights(self._arkit, params)
        return np.where(np.abs(found) > _NOTICEABLE, found, 0)

    def express(self, params: FlameParams, count: int) -> bool:
        """Work out `tints` and `log2_opacities` of the first `count` Gaussians; False if they are those of before."""
        weights = self.weights(params)
        if self._last is not None and self._last[0] == count and np.array_equal(self._last[1], weights):
            return False
        self._last = count, weights
        active = np.flatnonzero(weights * self._tint_steps)
        _mix_tints(count, self._tints, active, (weights * self._tint_steps)[active], self.tints)
        if self.fades:
            active = np.flatnonzero(weights * self._fade_steps)
            factors = (weights * self._fade_steps)[active]
            _mix_opacities(count, self._fades, active, factors, self._logits, self.log2_opacities)
        return True
