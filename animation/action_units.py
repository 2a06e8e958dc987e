"""What each emotion looks like: facial action units, and ARKit blendshapes for them.

Reference: Ekman and Friesen, "Facial Action Coding System", 1978, and the prototypes of its EMFACS; the naming of
blendshapes by action unit follows Apple's ARKit documentation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from avatar.errors import UserError
from avatar.flame.arkit import weights_from_dict

__all__ = [
    "ACCENT_UNITS",
    "EMOTIONS",
    "GAZE",
    "POSTURE",
    "RATES",
    "RECIPE_UNITS",
    "UNIT_MATRIX",
    "UNIT_NAMES",
    "YIELDS",
    "check_emotion",
    "emotion_weights",
]

EMOTIONS = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "contempt")


def _sided(**weights: float) -> dict[str, float]:
    """Weights for both sides of the blendshapes whose names end in Left and Right."""
    return {name + side: value for name, value in weights.items() for side in ("Left", "Right")}


@dataclass(frozen=True)
class _ActionUnit:
    weights: dict[str, float]
    """Blendshapes at the unit's full intensity."""
    yields: float = 0.0
    """How much of it gives way while the mouth speaks; 0 for the upper face."""


_UNITS: dict[str, _ActionUnit] = {
    "1": _ActionUnit({"browInnerUp": 1.0}),
    "2": _ActionUnit(_sided(browOuterUp=1.0)),
    "4": _ActionUnit(_sided(browDown=1.0)),
    "5": _ActionUnit(_sided(eyeWide=0.9)),
    "6": _ActionUnit(_sided(cheekSquint=0.9, eyeSquint=0.45)),
    "7": _ActionUnit(_sided(eyeSquint=0.85)),
    "9": _ActionUnit(_sided(noseSneer=0.9), 0.15),
    "10": _ActionUnit(_sided(mouthUpperUp=0.55), 0.55),
    "12": _ActionUnit(_sided(mouthSmile=0.78, mouthStretch=0.08, mouthDimple=0.15), 0.25),
    "12L": _ActionUnit({"mouthSmileLeft": 0.9}, 0.35),
    "14L": _ActionUnit({"mouthDimpleLeft": 0.9}, 0.3),
    "15": _ActionUnit(_sided(mouthFrown=0.9), 0.4),
    "16": _ActionUnit(_sided(mouthLowerDown=0.5), 0.6),
    "17": _ActionUnit({"mouthShrugLower": 0.5}, 0.7),
    "20": _ActionUnit(_sided(mouthStretch=0.8), 0.5),
    "23": _ActionUnit(_sided(mouthPress=0.4) | {"mouthRollLower": 0.2, "mouthRollUpper": 0.2}, 0.85),
    "25": _ActionUnit(_sided(mouthLowerDown=0.4, mouthUpperUp=0.4), 0.6),
    "26": _ActionUnit({"jawOpen": 0.35}, 0.9),
    "43": _ActionUnit(_sided(eyeBlink=1.0)),
}


@dataclass(frozen=True)
class _Recipe:
    units: dict[str, float]
    """Intensity of each action unit at the emotion's full intensity."""
    head_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Posture: pitch (down is positive), yaw (to the subject's left), roll (to the subject's right)."""
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    """Where the eyes rest: up, and to the subject's left."""
    blink_rate: float = 1.0
    """Blinks relative to the usual number."""
    movement: float = 1.0
    """Head motion relative to the usual amount."""


_RECIPES: dict[str, _Recipe] = {
    "neutral": _Recipe({}),
    "happy": _Recipe({"6": 0.85, "12": 0.88, "25": 0.95, "26": 0.2}, head_deg=(-1.0, 0.0, 1.5), movement=1.2),
    "sad": _Recipe(
        {"1": 0.95, "4": 0.45, "15": 0.6, "17": 0.3, "43": 0.14},
        head_deg=(4.0, 0.0, 1.5), gaze_deg=(-2.0, 0.0), blink_rate=0.85, movement=0.6,
    ),
    "surprised": _Recipe(
        {"1": 0.9, "2": 0.95, "5": 0.85, "25": 0.2, "26": 0.75}, head_deg=(-2.5, 0.0, 0.0), blink_rate=0.6
    ),
    "afraid": _Recipe(
        {"1": 0.95, "2": 0.5, "4": 0.55, "5": 0.9, "20": 0.75, "25": 0.25, "26": 0.35},
        head_deg=(-2.0, 0.0, 0.0), blink_rate=1.6, movement=0.9,
    ),
    "disgusted": _Recipe(
        {"4": 0.45, "7": 0.55, "9": 1.0, "10": 0.85, "15": 0.25, "16": 0.1, "17": 0.3}, head_deg=(-1.5, 2.0, 1.0)
    ),
    "angry": _Recipe(
        {"4": 1.0, "5": 0.45, "7": 0.6, "9": 0.3, "15": 0.3, "17": 0.45, "23": 0.7},
        head_deg=(3.0, 0.0, 0.0), blink_rate=0.6, movement=1.2,
    ),
    "contempt": _Recipe({"12L": 0.3, "14L": 0.85, "7": 0.2}, head_deg=(-3.0, 0.0, -1.5), movement=0.8),
}  # fmt: skip

# A stress of the voice shows on the brows, in the way the emotion lets it.
_ACCENTS: dict[str, dict[str, float]] = {"angry": {"4": 0.3}, "disgusted": {"9": 0.25, "4": 0.15}, "sad": {"1": 0.35}}
_USUAL_ACCENT = {"1": 0.3, "2": 0.36}

UNIT_NAMES = tuple(_UNITS)
UNIT_MATRIX = np.stack([weights_from_dict(unit.weights) for unit in _UNITS.values()])
"""Action units by blendshapes."""
YIELDS = np.array([unit.yields for unit in _UNITS.values()])
"""How much of each action unit gives way while the mouth speaks."""


def _unit_vector(units: dict[str, float]) -> Float[np.ndarray, " u"]:
    return np.array([units.get(name, 0.0) for name in UNIT_NAMES])


RECIPE_UNITS = np.stack([_unit_vector(_RECIPES[name].units) for name in EMOTIONS])
ACCENT_UNITS = np.stack([_unit_vector(_ACCENTS.get(name, _USUAL_ACCENT)) for name in EMOTIONS])
POSTURE = np.radians([_RECIPES[name].head_deg for name in EMOTIONS])
GAZE = np.radians([_RECIPES[name].gaze_deg for name in EMOTIONS])
RATES = np.array([(_RECIPES[name].blink_rate, _RECIPES[name].movement) for name in EMOTIONS])


def check_emotion(emotion: str, intensity: float, transition_s: float = 0.0, where: str = "") -> None:
    """Raises UserError unless the emotion is known and the numbers are in range; `where` begins the message."""
    where = where and f"{where}: "
    if emotion not in EMOTIONS:
        raise UserError(f"{where}unknown emotion {emotion!r}; choose one of {', '.join(EMOTIONS)}")
    if not (math.isfinite(intensity) and 0.0 <= intensity <= 1.0):
        raise UserError(f"{where}intensity must lie in 0..1, got {intensity:g}")
    if not (math.isfinite(transition_s) and 0.0 <= transition_s <= 60.0):
        raise UserError(f"{where}transition must lie in 0..60 seconds, got {transition_s:g}")


def emotion_weights(emotion: str, intensity: float = 1.0) -> Float32[np.ndarray, "52"]:
    """The face of an emotion at rest, without its life over time.

    Raises:
        UserError: for an unknown emotion or an intensity outside 0..1.
    """
    check_emotion(emotion, intensity)
    units = intensity * RECIPE_UNITS[EMOTIONS.index(emotion)]
    return np.clip(units @ UNIT_MATRIX, 0.0, 1.0).astype(np.float32)
