"""What each emotion and each named expression looks like: facial action units, and ARKit blendshapes for them.

The eight emotions are made of action units and have a posture. The expressions of `animation.expression.named` are made
of the blendshapes themselves, pairs of which count as units of their own, so that they live and yield to speech alike.

Reference: Ekman and Friesen, "Facial Action Coding System", 1978, and the prototypes of its EMFACS; the naming of
blendshapes by action unit follows Apple's ARKit documentation.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from animation.expression.named import ALIASES, EXPRESSIONS, expression_name
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict

__all__ = [
    "ACCENT_UNITS",
    "EMOTIONS",
    "FEELINGS",
    "GAZE",
    "POSTURE",
    "RATES",
    "RECIPE_UNITS",
    "UNIT_MATRIX",
    "UNIT_NAMES",
    "WANDERS",
    "YIELDS",
    "check_emotion",
    "emotion_weights",
    "feeling_name",
]

EMOTIONS = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "contempt")
FEELINGS = (*EMOTIONS, *(name for name in EXPRESSIONS if name not in EMOTIONS))
"""All that can be picked: the emotions, then the expressions that are not among them."""


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

# How much the blendshapes of an expression give way while the mouth speaks; by the beginning of the name.
_SHAPE_YIELDS = {
    "mouthSmile": 0.25, "mouthDimple": 0.3, "mouthFrown": 0.4, "mouthStretch": 0.5, "mouthUpperUp": 0.6,
    "mouthLowerDown": 0.6, "mouth": 0.8, "jaw": 0.9, "tongueOut": 0.9, "cheekPuff": 0.85, "noseSneer": 0.15,
}  # fmt: skip


def _shape_units() -> dict[str, _ActionUnit]:
    """Every blendshape as a unit, and every pair of them."""
    pairs = {name.removesuffix("Left"): _sided(**{name[:-4]: 1.0}) for name in NAMES if name.endswith("Left")}
    pairs = {name: weights for name, weights in pairs.items() if set(weights) <= set(NAMES)}
    units = {}
    for name, weights in (pairs | {name: {name: 1.0} for name in NAMES}).items():
        yields = next((value for start, value in _SHAPE_YIELDS.items() if name.startswith(start)), 0.0)
        units[name] = _ActionUnit(weights, yields)
    return units


def _units_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Blendshapes as units; two sides that are alike as one."""
    units = {}
    for name, value in weights.items():
        base = name.removesuffix("Left").removesuffix("Right")
        alike = base != name and weights.get(f"{base}Left") == weights.get(f"{base}Right")
        units[base if alike else name] = value
    return units


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

_UNITS |= _shape_units()
_RECIPES |= {name: _Recipe(_units_of(EXPRESSIONS[name])) for name in FEELINGS[len(EMOTIONS) :]}

UNIT_NAMES = tuple(_UNITS)
UNIT_MATRIX = np.stack([weights_from_dict(unit.weights) for unit in _UNITS.values()])
"""Action units by blendshapes."""
YIELDS = np.array([unit.yields for unit in _UNITS.values()])
"""How much of each action unit gives way while the mouth speaks."""
WANDERS = np.array([0.25 if name.startswith("eyeBlink") else 1.0 for name in UNIT_NAMES])
"""How freely each unit wanders around its level; lids that quiver would be noticed."""


def _unit_vector(units: dict[str, float]) -> Float[np.ndarray, " u"]:
    return np.array([units.get(name, 0.0) for name in UNIT_NAMES])


RECIPE_UNITS = np.stack([_unit_vector(_RECIPES[name].units) for name in FEELINGS])
ACCENT_UNITS = np.stack([_unit_vector(_ACCENTS.get(name, _USUAL_ACCENT)) for name in FEELINGS])
POSTURE = np.radians([_RECIPES[name].head_deg for name in FEELINGS])
GAZE = np.radians([_RECIPES[name].gaze_deg for name in FEELINGS])
RATES = np.array([(_RECIPES[name].blink_rate, _RECIPES[name].movement) for name in FEELINGS])


def feeling_name(text: str) -> str:
    """One of `FEELINGS` from its name in any spelling ("Sly smile", "smile-sly" and "smirk" are smile_sly).

    Raises:
        UserError: if there is none; it names some that are near.
    """
    plain = text.strip().lower()
    found = plain if plain in EMOTIONS else expression_name(text)
    if found is None:
        near = [*difflib.get_close_matches(plain, [*FEELINGS, *ALIASES], 3)]
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UserError(
            f"unknown emotion {text!r}; {hint}choose one of {', '.join(EMOTIONS)}, or an expression that "
            "`gaussian-avatar expressions` lists"
        )
    return found


def check_emotion(emotion: str, intensity: float, transition_s: float = 0.0, where: str = "") -> None:
    """Raises UserError unless the emotion is known and the numbers are in range; `where` begins the message."""
    where = where and f"{where}: "
    try:
        feeling_name(emotion)
    except UserError as error:
        raise UserError(f"{where}{error}") from error
    if not (math.isfinite(intensity) and 0.0 <= intensity <= 1.0):
        raise UserError(f"{where}intensity must lie in 0..1, got {intensity:g}")
    if not (math.isfinite(transition_s) and 0.0 <= transition_s <= 60.0):
        raise UserError(f"{where}transition must lie in 0..60 seconds, got {transition_s:g}")


def emotion_weights(emotion: str, intensity: float = 1.0) -> Float32[np.ndarray, "52"]:
    """The face of an emotion or expression at rest, without its life over time.

    Raises:
        UserError: for an unknown emotion or an intensity outside 0..1.
    """
    check_emotion(emotion, intensity)
    units = intensity * RECIPE_UNITS[FEELINGS.index(feeling_name(emotion))]
    return np.clip(units @ UNIT_MATRIX, 0.0, 1.0).astype(np.float32)
