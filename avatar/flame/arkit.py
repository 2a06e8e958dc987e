"""ARKit's 52 face blendshapes as a linear map onto a head's own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from scipy.optimize import nnls

from avatar.flame.params import FlameParams

__all__ = ["NAMES", "ArkitMap", "indices", "weights_from_dict"]

NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The blendshapes in the order of Apple's Live Link Face; `blendshape_weights` everywhere are in this order."""

_INDEX = {name: i for i, name in enumerate(NAMES)}


def indices(*names: str) -> np.ndarray:
    """Positions in `NAMES`.

    Raises:
        ValueError: for a name that ARKit does not have.
    """
    unknown = [n for n in names if n not in _INDEX]
    if unknown:
        raise ValueError(f"not an ARKit blendshape: {', '.join(unknown)}")
    return np.array([_INDEX[n] for n in names], np.intp)


def weights_from_dict(weights: Mapping[str, float]) -> Float32[np.ndarray, "52"]:
    """A weight vector from names; what is not named is 0."""
    out = np.zeros(len(NAMES), np.float32)
    out[indices(*weights)] = list(weights.values())
    return out


@dataclass(frozen=True, eq=False)
class ArkitMap:
    """What one unit of each ARKit blendshape adds to a head's expression, jaw and eyes.

    It stands beside every head model. For the default heads it is exact, because their expression basis is the
    blendshapes themselves; for FLAME it is fitted, and `residual_mm` says how well.
    """

    expression: Float32[np.ndarray, "52 e"]
    jaw: Float32[np.ndarray, "52 3"]
    leye: Float32[np.ndarray, "52 3"]
    reye: Float32[np.ndarray, "52 3"]
    n_shape: int = 0
    residual_mm: float = 0.0
    expression_range: Float32[np.ndarray, "2 e"] | None = None
    """Least and greatest coefficients that the head was made for; `params` stays within them. None: no limits."""

    def __post_init__(self) -> None:
        n = len(NAMES)
        for name, width in (("expression", self.expression.shape[-1]), ("jaw", 3), ("leye", 3), ("reye", 3)):
            value = np.ascontiguousarray(getattr(self, name), np.float32)
            if value.shape != (n, width):
                raise ValueError(f"ArkitMap.{name}: expected shape {(n, width)}, got {value.shape}")
            object.__setattr__(self, name, value)
        if self.expression_range is not None:
            limits = np.ascontiguousarray(self.expression_range, np.float32)
            if limits.shape != (2, self.expression.shape[1]) or (limits[0] > limits[1]).any():
                raise ValueError(
                    f"ArkitMap.expression_range: expected (2, {self.expression.shape[1]}), low before high"
                )
            object.__setattr__(self, "expression_range", limits)

    def params(
        self,
        weights: Float32[np.ndarray, "*batch 52"],
        shape: np.ndarray | None = None,
        stream_time_s: float = 0.0,
    ) -> FlameParams:
        """The pose of a weight vector, head upright at the origin."""
        weights = np.asarray(weights, np.float32)
        if weights.shape[-1] != len(NAMES):
            raise ValueError(f"ArkitMap.params: expected {len(NAMES)} weights, got {weights.shape[-1]}")
        zero = np.zeros((*weights.shape[:-1], 3), np.float32)
        if shape is None:
            shape = np.zeros((*weights.shape[:-1], self.n_shape), np.float32)
        expression = weights @ self.expression
        if self.expression_range is not None:
            expression = np.clip(expression, *self.expression_range)
        return FlameParams(
            shape,
            expression,
            zero,
            zero,
            weights @ self.jaw,
            weights @ self.leye,
            weights @ self.reye,
            zero,
            stream_time_s,
            weights,
        )

    def weights(self, params: FlameParams) -> Float32[np.ndarray, "*batch 52"]:
        """The non-negative weights whose pose comes nearest to `params` (least squares).

        The inverse of `params` wherever the blendshapes are linearly independent, opposite gaze directions not
        active together.
        """
        target = np.concatenate(
            [params.expression, params.jaw_pose, params.leye_pose, params.reye_pose], -1, dtype=np.float64
        )
        flat = [nnls(self._matrix, row)[0] for row in target.reshape(-1, target.shape[-1])]
        return np.asarray(flat, np.float32).reshape(*target.shape[:-1], len(NAMES))

    @cached_property
    def _matrix(self) -> np.ndarray:
        return np.concatenate([self.expression, self.jaw, self.leye, self.reye], 1, dtype=np.float64).T.copy()
