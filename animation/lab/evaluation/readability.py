"""How readable the lips stay while a feeling is on them: closures, f and v, and the shapes of vowels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.face import DrivenFace
from animation.lab.data.self_made_voices import made_up_sentences
from animation.lab.data.synthetic_speech import FLITE_VOICES, SyntheticSpeech, flite
from animation.lab.evaluation.closures import SEALED_GAP_MM, ClosureScore, score_closures
from animation.speech.audio import HOP_S
from animation.speech.lips import LipModel
from animation.speech.phonemes import LABIODENTALS, VOWELS, Segment
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = ["evaluate_lips", "lips_under_emotions"]

Progress = Callable[[str, float], None]

_MORE_OPEN_MM = 1.5
"""So much more than without a feeling the lips may stand apart on f and v."""
_AT_TEETH_MM = 1.0
"""So near their edge the lower lip touches the upper teeth, as far as anybody can see."""


@dataclass(frozen=True, eq=False)
class _Mouth:
    """Of the lips, millimetres, pose by pose."""

    opening: Float[np.ndarray, " t"]
    width: Float[np.ndarray, " t"]
    below_teeth: Float[np.ndarray, " t"]
    """From the lower lip up to the edge of the upper teeth."""


def evaluate_lips(progress: Progress = lambda text, share: None, sentences: int = 10) -> dict[str, dict[str, float]]:
    """Lips of the generic head under every emotion at full intensity, on sentences of flite's voices.

    Raises:
        UserError: if flite is not installed.
    """
    texts = made_up_sentences(sentences, np.random.default_rng(5))
    said = [flite(text, FLITE_VOICES[k % len(FLITE_VOICES)]) for k, text in enumerate(texts)]
    speeches = [speech for speech in said if speech is not None]
    return lips_under_emotions(DrivenFace.of(*open_head()), speeches, progress=progress)


def lips_under_emotions(
    face: DrivenFace,
    speeches: Sequence[SyntheticSpeech],
    intensity: float = 1.0,
    progress: Progress = lambda text, share: None,
) -> dict[str, dict[str, float]]:
    """Emotion -> share of closures that seal, share of f and v on which the lips are about as near each other as
    without a feeling, share on which the lower one comes to the upper teeth, and how well vowels keep their shapes (the
    correlation of their opening and of their width with those of the neutral face)."""
    neutral = [_mouth(face, speech, "neutral", 1.0) for speech in speeches]
    table = {}
    for number, emotion in enumerate(EMOTIONS):
        progress(f"lips under {emotion}", number / len(EMOTIONS))
        mouths = neutral
        if emotion != "neutral":
            mouths = [_mouth(face, speech, emotion, intensity) for speech in speeches]
        closures, bitten, kept, at_teeth = ClosureScore(), 0, 0, 0
        vowels: list[tuple[float, float, float, float]] = []
        for speech, plain, felt in zip(speeches, neutral, mouths, strict=True):
            closures.add(score_closures(speech.segments, felt.opening < SEALED_GAP_MM))
            for segment in speech.segments:
                at = _poses(segment, len(felt.opening))
                if segment.phoneme in LABIODENTALS:
                    bitten += 1
                    kept += felt.opening[at].min() <= plain.opening[at].min() + _MORE_OPEN_MM
                    at_teeth += felt.below_teeth[at].min() <= _AT_TEETH_MM
                elif segment.phoneme in VOWELS:
                    middle = (at.start + at.stop) // 2
                    values = (plain.opening, felt.opening, plain.width, felt.width)
                    vowels.append(tuple(float(v[middle]) for v in values))  # type: ignore[arg-type]
        columns = np.array(vowels).T
        table[emotion] = {
            "closures": round(closures.rate, 4),
            "f_and_v": round(kept / max(bitten, 1), 4),
            "lip_to_teeth": round(at_teeth / max(bitten, 1), 4),
            "vowel_opening_r": round(float(np.corrcoef(columns[0], columns[1])[0, 1]), 3),
            "vowel_width_r": round(float(np.corrcoef(columns[2], columns[3])[0, 1]), 3),
        }
    return table


def _poses(segment: Segment, count: int) -> slice:
    first = min(int(segment.start_s / HOP_S), count - 1)
    return slice(first, min(max(int(np.ceil(segment.end_s / HOP_S)), first + 1), count))


def _mouth(face: DrivenFace, speech: SyntheticSpeech, emotion: str, intensity: float) -> _Mouth:
    settings = DriverSettings(emotion=emotion, intensity=intensity, blinks=False, gaze=False, head=False)
    driver = AvatarDriver(face, settings)
    weights = FlameParams.stack(driver.feed(speech.samples) + driver.finish()).blendshape_weights
    assert weights is not None
    return _Mouth(face.lips.opening_mm(weights), _width_mm(face.lips, weights), -face.lips.over_edge_mm(weights))


def _width_mm(lips: LipModel, weights: Float[np.ndarray, "t 52"]) -> Float[np.ndarray, " t"]:
    across = lips.positions(weights)[..., 0]
    return across.max(-1) - across.min(-1)
