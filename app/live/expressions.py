"""Expressions beyond the eight emotions, held on top of speech and emotion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from animation.blendshapes import Fusion
from app.live.exchange import Latest
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict

__all__ = ["EXPRESSIONS", "ExpressionFusion", "expression_weights"]


def _both(**weights: float) -> dict[str, float]:
    return {name + side: value for name, value in weights.items() for side in ("Left", "Right")}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "warm smile": _both(mouthSmile=0.55, cheekSquint=0.45, eyeSquint=0.2),
    "grin": _both(mouthSmile=0.9, cheekSquint=0.6, mouthUpperUp=0.3, mouthLowerDown=0.2),
    "smirk left": {"mouthSmileLeft": 0.7, "mouthDimpleLeft": 0.4, "cheekSquintLeft": 0.25},
    "smirk right": {"mouthSmileRight": 0.7, "mouthDimpleRight": 0.4, "cheekSquintRight": 0.25},
    "wink left": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.35},
    "wink right": {"eyeBlinkRight": 1.0, "cheekSquintRight": 0.6, "mouthSmileRight": 0.35},
    "raised brows": {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8},
    "sceptical": {"browOuterUpLeft": 0.9, "browInnerUp": 0.25, "browDownRight": 0.5, "eyeSquintRight": 0.3},
    "concerned": {"browInnerUp": 0.9, **_both(browDown=0.25, mouthFrown=0.3)},
    "concentrating": _both(browDown=0.55, eyeSquint=0.4, mouthPress=0.3),
    "frown": _both(browDown=0.9, mouthFrown=0.4),
    "pout": {"mouthPucker": 0.6, "mouthShrugLower": 0.5, "browInnerUp": 0.3},
    "kiss": {"mouthPucker": 1.0, "mouthFunnel": 0.15},
    "puffed cheeks": {"cheekPuff": 0.9, **_both(mouthPress=0.3)},
    "wide eyes": _both(eyeWide=0.9, browOuterUp=0.3),
    "sleepy": {**_both(eyeBlink=0.5), "browInnerUp": 0.2},
    "squint": _both(eyeSquint=0.9, browDown=0.3, cheekSquint=0.3),
    "eyes closed": _both(eyeBlink=1.0),
    "sneer": _both(noseSneer=0.8, mouthUpperUp=0.3),
    "pressed lips": {**_both(mouthPress=0.7), "mouthRollLower": 0.4, "mouthRollUpper": 0.3},
    "shrug": {"mouthShrugLower": 0.7, "mouthShrugUpper": 0.3, "browInnerUp": 0.4, **_both(mouthFrown=0.3)},
    "tongue out": {"tongueOut": 0.9, "jawOpen": 0.25},
    "mouth left": {"mouthLeft": 0.8, "mouthDimpleLeft": 0.2},
    "mouth right": {"mouthRight": 0.8, "mouthDimpleRight": 0.2},
}


def expression_weights(name: str | None, amount: float = 1.0) -> Float32[np.ndarray, "52"]:
    """Blendshape weights of a named expression; zeros for None.

    Raises:
        UserError: for a name that is not in `EXPRESSIONS`.
    """
    if name is None:
        return np.zeros(len(NAMES), np.float32)
    if name not in EXPRESSIONS:
        raise UserError(f"unknown expression {name!r}: choose one of {', '.join(EXPRESSIONS)}")
    return weights_from_dict(EXPRESSIONS[name]) * np.float32(amount)


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
