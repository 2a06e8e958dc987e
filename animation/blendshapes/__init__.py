"""Blendshape weights of speech and of emotion, brought together."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float

from animation.speech.lips import LipModel

__all__ = ["Fusion"]


class Fusion(Protocol):
    """What joins the weights of speech with those of an emotion. Batched over leading axes, free of state."""

    def for_lips(self, lips: LipModel) -> Fusion:
        """The same for a head with other lips."""
        ...

    def fuse(
        self,
        speech_weights: Float[np.ndarray, "*batch 52"],
        emotion_weights: Float[np.ndarray, "*batch 52"],
        closure: Float[np.ndarray, "*batch"] | float,
    ) -> Float[np.ndarray, "*batch 52"]:
        """The weights of the talking, feeling face.

        Args:
            speech_weights: 0..1, order of `avatar.flame.arkit.NAMES`.
            emotion_weights: the same.
            closure: how far p, b or m seals the lips, 0..1; at 1 the lips of the result must touch.

        Returns:
            float32 weights, 0..1.
        """
        ...
