"""Fusion by addition, with the lips' work protected."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from animation.lips import LipModel, default_lips
from avatar.flame.arkit import NAMES, indices

__all__ = ["AdditiveFusion", "add", "hold_back"]

_CORNERS = indices(
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthDimpleLeft", "mouthDimpleRight"
)  # fmt: skip
_ROUND = indices("mouthPucker", "mouthFunnel")
_JAW = indices("jawOpen")
_PARTING = indices(
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthShrugUpper"
)  # fmt: skip
_ROLLED = int(indices("mouthRollLower")[0])


def hold_back(
    speech: Float[np.ndarray, "*batch 52"], emotion: Float[np.ndarray, "*batch 52"]
) -> Float32[np.ndarray, "*batch 52"]:
    """An emotion without what would contradict the sound.

    Its pull at the corners yields to rounded lips, its parted lips and dropped jaw to f and v.
    """
    emotion = np.array(emotion, np.float32)
    rounding = np.minimum(speech[..., _ROUND].sum(-1, keepdims=True), 1.0)
    emotion[..., _CORNERS] *= 1.0 - 0.75 * rounding
    bitten = np.minimum(1.8 * speech[..., [_ROLLED]], 1.0)
    emotion[..., _PARTING] *= (1.0 - 0.8 * bitten) * (1.0 - 0.6 * rounding)
    emotion[..., _JAW] *= 1.0 - 0.9 * bitten
    return emotion


def add(
    speech: Float[np.ndarray, "*batch 52"], emotion: Float[np.ndarray, "*batch 52"]
) -> Float32[np.ndarray, "*batch 52"]:
    """The sum, 0..1. Of two openings of one jaw the second adds to what is left of the way."""
    fused = speech + emotion
    fused[..., _JAW] -= np.clip(speech[..., _JAW], 0.0, 1.0) * np.clip(emotion[..., _JAW], 0.0, 1.0)
    return np.clip(fused, 0.0, 1.0)


class AdditiveFusion:
    """Speech plus emotion, with what would contradict the sound held back.

    On p, b and m the lips are brought together on the head model, whatever the emotion.
    """

    def __init__(self, lips: LipModel | None = None) -> None:
        """
        Args:
            lips: of the head to be moved; the generic head's if None.
        """
        self._lips = default_lips() if lips is None else lips

    def fuse(
        self,
        speech_weights: Float[np.ndarray, "*batch 52"],
        emotion_weights: Float[np.ndarray, "*batch 52"],
        closure: Float[np.ndarray, "*batch"] | float,
    ) -> Float[np.ndarray, "*batch 52"]:
        """See `animation.blendshapes.Fusion.fuse`."""
        speech = np.asarray(speech_weights, np.float32)
        fused = add(speech, hold_back(speech, emotion_weights))
        flat = fused.reshape(-1, len(NAMES))
        closures = np.broadcast_to(np.asarray(closure, np.float32), fused.shape[:-1]).reshape(-1)
        for row, amount in zip(flat, closures, strict=True):
            row[:] = self._lips.seal(row, float(amount))
        return flat.reshape(fused.shape)
