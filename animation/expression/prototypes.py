"""What each emotion and each named expression looks like at its apex, how fast it comes, and how the head carries it.

An emotion has a prototype and variants, all of which people name alike; a face that lives goes from one to another.
The named expressions of `animation.expression.named` have one apex each.

References: Ekman, Friesen and Hager, "FACS investigator's guide", 2002, table 10-1 (prototypes and major variants);
Ekman and Friesen, "Felt, false, and miserable smiles", 1982 (timing); Krumhuber and Kappas, "Moving smiles", 2005.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from animation.expression.action_units import (
    IN_MOUTH,
    LATENESS,
    UNIT_MATRIX,
    UNIT_NAMES,
    shape_units,
    unit_vector,
)
from animation.expression.named import ALIASES, EXPRESSIONS, expression_name
from animation.life.manner import Manner, MannerBlend
from avatar.errors import UserError

__all__ = [
    "EMOTIONS",
    "FEELINGS",
    "MANNERS",
    "PROTOTYPES",
    "Prototype",
    "check_emotion",
    "emotion_weights",
    "feeling_name",
]

EMOTIONS = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "contempt")
FEELINGS = (*EMOTIONS, *(name for name in EXPRESSIONS if name not in EMOTIONS))
"""All that can be picked: the emotions, then the expressions that are not among them."""

_USUAL_ACCENT = {"1": 0.3, "2": 0.4}


@dataclass(frozen=True)
class _Recipe:
    units: dict[str, float]
    """Intensity of each action unit at the emotion's full intensity."""
    variants: tuple[dict[str, float], ...] = ()
    """Other faces of the same emotion."""
    speaking: dict[str, float] = field(default_factory=dict)
    """What the face does besides while the voice speaks: brows and eyes take over what the mouth gives up."""
    accent: dict[str, float] = field(default_factory=lambda: dict(_USUAL_ACCENT))
    """What a stress of the voice adds."""
    onset: float = 0.8
    """How much of the transition's time the emotion takes to set in."""
    eyes_late_s: float = 0.0
    """How long after the mouth the eyes and cheeks begin."""
    mouth_late_s: float = 0.0
    """How long after the brows the mouth begins."""
    manner: Manner = field(default_factory=Manner)


_RECIPES: dict[str, _Recipe] = {
    "neutral": _Recipe({}),
    "happy": _Recipe(
        {"6": 0.9, "12": 0.86, "25": 1.0, "26": 0.4},
        (
            {"6": 0.8, "12": 0.86, "25": 0.7, "26": 0.15},
            {"1": 0.15, "2": 0.2, "6": 1.0, "12": 0.9, "25": 1.0, "26": 0.55},
        ),
        speaking={"6": 0.4, "12": 0.35, "10": 0.2},
        onset=0.85,
        eyes_late_s=0.12,
        manner=Manner(
            pitch_deg=-1.5, roll_deg=2.0, head_size=1.25, head_tempo=1.1, nod_size=1.3, away_rate=0.8, breath_rate=1.1
        ),
    ),
    "sad": _Recipe(
        {"1": 1.0, "4": 0.3, "15": 1.0, "17": 0.75, "43": 0.16},
        (
            {"1": 1.0, "4": 0.25, "15": 0.85, "17": 0.95, "43": 0.2},
            {"1": 1.0, "4": 0.4, "15": 1.0, "17": 0.4, "20": 0.2, "43": 0.14},
        ),
        speaking={"1": 0.35, "15": 0.45, "43": 0.08},
        accent={"1": 0.4},
        onset=1.0,
        mouth_late_s=0.08,
        manner=Manner(
            pitch_deg=5.0, roll_deg=2.0, gaze_up_deg=-3.0, blink_rate=0.85, blink_length=1.4, away_rate=2.2,
            away_length=1.8, away_down_deg=7.0, head_size=0.6, head_tempo=0.6, nod_size=0.5, breath_rate=0.8,
            breath_depth=1.6,
        ),
    ),
    "surprised": _Recipe(
        {"1": 1.0, "2": 1.0, "5": 1.0, "25": 0.15, "26": 1.3},
        ({"1": 1.0, "2": 1.0, "5": 1.0, "26": 1.0}, {"1": 0.95, "2": 1.0, "5": 0.9, "26": 1.6}),
        speaking={"1": 0.2, "2": 0.25, "5": 0.2, "26": 0.1},
        accent={"1": 0.25, "2": 0.25, "5": 0.15},
        onset=0.5,
        manner=Manner(
            pitch_deg=-4.0, blink_rate=0.5, away_rate=0.3, head_size=0.9, nod_size=1.1, breath_rate=1.1,
            breath_depth=1.3,
        ),
    ),
    "afraid": _Recipe(
        {"1": 1.0, "2": 0.35, "4": 0.4, "5": 1.0, "20": 1.0, "16": 0.4, "25": 0.8, "26": 0.45},
        (
            {"1": 1.0, "2": 0.3, "4": 0.45, "5": 1.0, "20": 0.8, "25": 0.5, "26": 0.6},
            {"1": 1.0, "2": 0.4, "4": 0.4, "5": 1.0, "7": 0.1, "20": 1.0, "16": 0.5, "25": 0.7, "26": 0.2},
        ),
        speaking={"1": 0.35, "5": 0.35, "4": 0.15, "20": 0.3, "16": 0.3},
        accent={"1": 0.2, "5": 0.2},
        onset=0.6,
        mouth_late_s=0.06,
        manner=Manner(
            pitch_deg=-3.0, yaw_deg=2.0, blink_rate=1.7, away_rate=2.0, away_length=0.45, head_size=0.9, head_tempo=1.6,
            nod_size=0.7, breath_rate=1.7, breath_depth=0.9,
        ),
    ),
    "disgusted": _Recipe(
        {"4": 0.3, "6": 0.3, "7": 0.4, "9": 1.0, "10": 1.2, "15": 0.6, "16": 0.45, "17": 0.3, "25": 0.2, "26": 0.15},
        (
            {"4": 0.35, "6": 0.2, "7": 0.3, "9": 1.0, "10": 1.0, "15": 0.45, "17": 0.55},
            {"4": 0.3, "7": 0.4, "9": 0.9, "10": 1.1, "15": 0.6, "16": 0.3, "17": 0.4, "25": 0.2},
        ),
        speaking={"4": 0.15, "9": 0.35, "10": 0.3, "16": 0.2},
        accent={"9": 0.2, "4": 0.2},
        onset=0.75,
        mouth_late_s=0.04,
        manner=Manner(pitch_deg=-2.0, yaw_deg=5.0, roll_deg=2.0, away_rate=1.3, head_size=0.9, nod_size=0.8),
    ),
    "angry": _Recipe(
        {"4": 1.0, "5": 0.7, "7": 0.5, "9": 0.3, "15": 0.45, "17": 0.6, "23": 0.9, "24": 0.3},
        (
            {"4": 1.0, "5": 0.7, "7": 0.4, "9": 0.35, "10": 0.5, "16": 0.9, "22": 0.3, "25": 0.5, "26": 0.25},
            {"4": 1.0, "5": 0.45, "7": 0.5, "9": 0.2, "15": 0.35, "17": 0.7, "24": 0.9},
        ),
        speaking={"4": 0.3, "5": 0.15, "7": 0.15, "16": 1.0, "10": 0.4, "15": 0.25},
        accent={"4": 0.3, "5": 0.2, "9": 0.15},
        onset=0.75,
        mouth_late_s=0.08,
        manner=Manner(
            pitch_deg=4.0, blink_rate=0.5, away_rate=0.25, head_size=1.1, head_tempo=1.2, nod_size=1.6, breath_rate=1.3,
            breath_depth=1.5,
        ),
    ),
    "contempt": _Recipe(
        {"12L": 0.95, "14L": 1.0, "7": 0.2, "43": 0.14, "cheekSquintLeft": 0.4, "noseSneerLeft": 0.35,
         "mouthUpperUpLeft": 0.12, "mouthLeft": 0.12, "browOuterUpRight": 0.8, "browDownLeft": 0.3},
        (
            {"12L": 0.8, "14L": 1.0, "7": 0.25, "43": 0.14, "17": 0.3, "noseSneerLeft": 0.4, "mouthLeft": 0.12,
             "browOuterUpRight": 0.6, "browDownLeft": 0.3},
            {"12L": 1.0, "14L": 0.9, "7": 0.2, "43": 0.1, "cheekSquintLeft": 0.4, "mouthLeft": 0.1,
             "browOuterUpRight": 0.9, "browDownLeft": 0.2},
        ),
        speaking={"12L": 0.2, "14L": 0.2, "browOuterUpRight": 0.15},
        accent={"2": 0.25},
        onset=0.8,
        manner=Manner(
            pitch_deg=-5.0, yaw_deg=-2.0, roll_deg=-2.5, blink_rate=0.8, blink_length=1.4, away_rate=0.8, head_size=0.8,
            head_tempo=0.8, nod_size=0.7,
        ),
    ),
}  # fmt: skip

_RECIPES |= {name: _Recipe(shape_units(EXPRESSIONS[name])) for name in FEELINGS[len(EMOTIONS) :]}


@dataclass(frozen=True, eq=False)
class Prototype:
    """A feeling, ready for use; vectors are over `action_units.UNIT_NAMES`."""

    variants: Float[np.ndarray, "n u"]
    """Units of its faces at full intensity, the prototype first."""
    speaking: Float[np.ndarray, " u"]
    accent: Float[np.ndarray, " u"]
    onset: float
    """Share of the transition's time that it takes to set in."""
    late_s: Float[np.ndarray, " u"]
    """How long after the first units each begins."""

    @classmethod
    def from_recipe(cls, recipe: _Recipe) -> Prototype:
        """Names to vectors."""
        faces = np.stack([unit_vector(units) for units in (recipe.units, *recipe.variants)])
        late_s = np.where(IN_MOUTH, recipe.mouth_late_s, np.where(_BY_THE_EYES, recipe.eyes_late_s, 0.0))
        return cls(faces, unit_vector(recipe.speaking), unit_vector(recipe.accent), recipe.onset, late_s)

    def units(self, intensity: float, shares: Float[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " u"]:
        """The face at an intensity 0..1, of the prototype or of a mixture of the variants."""
        face = self.variants[0] if shares is None else shares @ self.variants
        return face * intensity**LATENESS


_BY_THE_EYES = np.array([name in ("6", "7", "43") or name.startswith(("cheek", "eye")) for name in UNIT_NAMES])

PROTOTYPES = {name: Prototype.from_recipe(_RECIPES[name]) for name in FEELINGS}
MANNERS = MannerBlend([_RECIPES[name].manner for name in FEELINGS])


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
    units = PROTOTYPES[feeling_name(emotion)].units(intensity)
    return np.clip(units @ UNIT_MATRIX, 0.0, 1.0).astype(np.float32)
