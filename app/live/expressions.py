"""Expressions held on top of speech and emotion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from animation.blendshapes import Fusion
from animation.expression.emotions import emotion_weights
from app.live.exchange import Latest
from avatar.flame.arkit import NAMES

__all__ = ["ExpressionFusion", "held_weights"]


def held_weights(name: str | None, amount: float = 1.0) -> Float32[np.ndarray, "52"]:
    """Blendshape weights of an expression or emotion by name; zeros for None.

    Raises:
        UserError: for a name that is not in `animation.expression.emotions.FEELINGS`.
    """
    return np.zeros(len(NAMES), np.float32) if name is None else emotion_weights(name) * np.float32(amount)


class ExpressionFusion:
    """A fusion that adds a held expression to the emotion, before speech and emotion are brought together, so that the
    lips still close on p, b and m. It eases over about a third of a second; one call a pose."""

    _EASE = 0.12

    def __init__(self, base: Fusion, held: Latest[Float32[np.ndarray, "52"]]) -> None:
        self._base = base
        self._held = held
        self._now = np.array(held.get(), np.float32)

    def fuse(
        self,
        speech_weights: Float[np.ndarray, "52"],
        emotion_weights: Float[np.ndarray, "52"],
        closure: Float[np.ndarray, ""] | float,
    ) -> Float[np.ndarray, "52"]:
        """See `animation.blendshapes.Fusion.fuse`."""
        self._now += np.float32(self._EASE) * (self._held.get() - self._now)
        feeling = np.clip(np.asarray(emotion_weights, np.float32) + self._now, 0.0, 1.0)
        return self._base.fuse(speech_weights, feeling, closure)
