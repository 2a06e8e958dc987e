"""Sums of what a mouth did on recordings, to be added up over utterances, sources and machines."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Bool, Float

from animation.lab.data.corpus import Utterance
from animation.lab.evaluation.articulation import ArticulationScore
from animation.lab.evaluation.closures import SEALED_GAP_MM, ClosureScore, score_closures, silent_poses
from animation.speech.phonemes import VISEME_INDEX, viseme_labels
from animation.speech.stream import SpeechFrames

__all__ = ["SourceScore", "SpeechScore", "ratio"]


@dataclass
class SpeechScore:
    """Sums over utterances."""

    right: int = 0
    poses: int = 0
    right_in_speech: int = 0
    poses_in_speech: int = 0
    closures: ClosureScore = field(default_factory=ClosureScore)
    silence_mm: float = 0.0
    silence_poses: int = 0
    files: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, utterance: Utterance, frames: SpeechFrames, gaps_mm: Float[np.ndarray, " t"]) -> SpeechScore:
        """Of one utterance: what was heard, and the gap between the lips, pose by pose."""
        right = frames.visemes.argmax(1) == viseme_labels(utterance.segments, len(frames))
        found = cls.of_poses(utterance, right, gaps_mm < SEALED_GAP_MM)
        silent = silent_poses(utterance.segments, len(frames))
        found.silence_mm, found.silence_poses = float(gaps_mm[silent].sum()), int(silent.sum())
        return found

    @classmethod
    def of_poses(
        cls, utterance: Utterance, right: Bool[np.ndarray, " t"], sealed: Bool[np.ndarray, " t"]
    ) -> SpeechScore:
        """Of one utterance, without silences: at which poses the viseme is right, and at which the lips touch."""
        speech = viseme_labels(utterance.segments, len(right)) != VISEME_INDEX["sil"]
        return cls(
            right=int(right.sum()),
            poses=len(right),
            right_in_speech=int(right[speech].sum()),
            poses_in_speech=int(speech.sum()),
            closures=score_closures(utterance.segments, sealed),
            files=1,
            seconds=utterance.duration_s,
        )

    def join(self, other: SpeechScore) -> None:
        """Count in what another has counted."""
        self.closures.add(other.closures)
        for each in fields(self):
            if each.name != "closures":
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def summary(self) -> dict[str, float | int | None]:
        """The figures that the command reports."""
        offsets = self.closures.offsets_ms
        return {
            "viseme_accuracy": ratio(self.right, self.poses),
            "viseme_accuracy_in_speech": ratio(self.right_in_speech, self.poses_in_speech),
            "closure_rate": ratio(self.closures.hits, self.closures.closures),
            "closures": self.closures.closures,
            "false_closures_per_min": round(self.closures.false_per_min, 2),
            "offset_ms": round(float(np.median(offsets)), 1) if offsets else None,
            "silence_opening_mm": ratio(self.silence_mm, self.silence_poses),
            "files": self.files,
            "minutes": round(self.seconds / 60, 2),
        }


def ratio(part: float, whole: float) -> float | None:
    """A share to four digits; None of nothing."""
    return round(float(part / whole), 4) if whole else None


@dataclass
class SourceScore:
    """What the recordings of one source gave."""

    speech: SpeechScore = field(default_factory=SpeechScore)
    by_language: dict[str, SpeechScore] = field(default_factory=dict)
    by_emotion: dict[str, ClosureScore] = field(default_factory=dict)
    articulation: ArticulationScore = field(default_factory=ArticulationScore)
    """Of what was English."""
