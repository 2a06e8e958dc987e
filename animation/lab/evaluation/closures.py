"""Closures counted: which p, b and m the lips sealed on, and where they sealed for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from animation.speech.articulation import closure_spans
from animation.speech.audio import HOP_S
from animation.speech.phonemes import BILABIALS, NEARLY_CLOSED, SILENCE, Segment

__all__ = ["SEALED_GAP_MM", "ClosureScore", "score_closures", "silent_poses"]

SEALED_GAP_MM = 1.0
TOLERANCE_S = 0.04

_MAY_SEAL = BILABIALS | NEARLY_CLOSED | {SILENCE}
_SILENCE_MARGIN_S = 0.2


@dataclass
class ClosureScore:
    """Counts over labelled p, b and m: how many the lips sealed on, and seals where none belongs.

    `offsets_ms` are of the middle of each seal inside speech from the middle of its labelled closure; positive is late.
    """

    hits: int = 0
    closures: int = 0
    false_closures: int = 0
    speech_s: float = 0.0
    offsets_ms: list[float] = field(default_factory=list)

    def add(self, other: ClosureScore) -> None:
        """Count another utterance in."""
        self.hits += other.hits
        self.closures += other.closures
        self.false_closures += other.false_closures
        self.speech_s += other.speech_s
        self.offsets_ms += other.offsets_ms

    @property
    def rate(self) -> float:
        """Share of closures that were hit."""
        return self.hits / self.closures if self.closures else float("nan")

    @property
    def false_per_min(self) -> float:
        """False seals a minute of speech."""
        return 60 * self.false_closures / self.speech_s if self.speech_s else 0.0


def _runs(mask: Bool[np.ndarray, " t"]) -> Int[np.ndarray, "n 2"]:
    """First and one-past-last index of each run of True."""
    change = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.stack([np.flatnonzero(change == 1), np.flatnonzero(change == -1)], axis=1)


def score_closures(segments: Sequence[Segment], sealed: Bool[np.ndarray, " t"], hop_s: float = HOP_S) -> ClosureScore:
    """Compare seals with labels.

    A closure is hit when the lips are sealed at some pose from 40 ms before the phoneme to 40 ms after it. A seal is
    false when all of it lies further than that from every p, b, m, every silence (at rest the lips touch), and every
    phoneme that may or may not close them.

    Args:
        segments: the phonemes in time, silences included.
        sealed: whether the lips are together, pose by pose; pose k is at (k + 0.5) * hop_s.
        hop_s: seconds from pose to pose.
    """
    times = (np.arange(len(sealed)) + 0.5) * hop_s
    score = ClosureScore(speech_s=sum(s.duration_s for s in segments if s.phoneme != SILENCE))
    excused = np.ones(len(sealed), bool)
    for segment in segments:
        if segment.phoneme not in _MAY_SEAL:
            excused &= (times < segment.start_s) | (times >= segment.end_s)
    for segment in segments:
        if segment.phoneme in _MAY_SEAL:
            excused |= (times > segment.start_s - TOLERANCE_S) & (times < segment.end_s + TOLERANCE_S)
    runs = _runs(sealed)
    score.false_closures = sum(not excused[first:last].any() for first, last in runs)
    for index, segment in enumerate(segments):
        if segment.phoneme not in BILABIALS:
            continue
        score.closures += 1
        near = (times > segment.start_s - TOLERANCE_S) & (times < segment.end_s + TOLERANCE_S)
        hit = bool((sealed & near).any())
        score.hits += hit
        neighbours = {segments[i].phoneme for i in (index - 1, index + 1) if 0 <= i < len(segments)}
        if not hit or neighbours & _MAY_SEAL:
            continue
        spans = closure_spans([segment])
        overlapping = [(a, b) for a, b in runs if near[a:b].any()]
        if len(overlapping) == 1:
            first, last = overlapping[0]
            score.offsets_ms.append(1000 * ((first + last) / 2 * hop_s - spans[0].mean()))
    return score


def silent_poses(segments: Sequence[Segment], n_poses: int, hop_s: float = HOP_S) -> Bool[np.ndarray, " t"]:
    """Poses well inside a silence: 0.2 s from any speech."""
    times = (np.arange(n_poses) + 0.5) * hop_s
    silent = np.ones(n_poses, bool)
    for segment in segments:
        if segment.phoneme != SILENCE:
            silent &= (times < segment.start_s - _SILENCE_MARGIN_S) | (times > segment.end_s + _SILENCE_MARGIN_S)
    return silent
