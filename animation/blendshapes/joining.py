"""Adding an emotion to speech without taking the lips from their work."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from avatar.flame.arkit import indices

__all__ = ["add", "hold_back"]

_CORNERS = indices(
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthDimpleLeft", "mouthDimpleRight"
)  # fmt: skip
_ROUND = indices("mouthPucker", "mouthFunnel")
_JAW = indices("jawOpen")
_PARTING = indices(
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthShrugUpper"
)  # fmt: skip
_ROLLED = int(indices("mouthRollLower")[0])
_BITTEN_ROLL = 0.125
"""mouthRollLower of speech at a full f or v, as `MouthMap` makes it."""


def hold_back(
    speech: Float[np.ndarray, "*batch 52"], emotion: Float[np.ndarray, "*batch 52"]
) -> Float32[np.ndarray, "*batch 52"]:
    """An emotion without what would contradict the sound.

    Its pull at the corners yields to rounded lips, its parted lips and dropped jaw to f and v.
    """
    emotion = np.array(emotion, np.float32)
    rounding = np.minimum(speech[..., _ROUND].sum(-1, keepdims=True), 1.0)
    emotion[..., _CORNERS] *= 1.0 - 0.75 * rounding
    bitten = np.minimum(speech[..., [_ROLLED]] / np.float32(_BITTEN_ROLL), 1.0)
    emotion[..., _PARTING] *= (1.0 - 0.95 * bitten) * (1.0 - 0.6 * rounding)
    emotion[..., _JAW] *= 1.0 - 0.95 * bitten
    return emotion


def add(
    speech: Float[np.ndarray, "*batch 52"], emotion: Float[np.ndarray, "*batch 52"]
) -> Float32[np.ndarray, "*batch 52"]:
    """The sum, 0..1. Of two openings of one jaw the second adds to what is left of the way."""
    fused = speech + emotion
    fused[..., _JAW] -= np.clip(speech[..., _JAW], 0.0, 1.0) * np.clip(emotion[..., _JAW], 0.0, 1.0)
    return np.clip(fused, 0.0, 1.0)
