"""What the speech model should give for a recording, hop by hop: from phonemes in time, or from a face seen with it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from animation.lab.data.sequences import MeshSequence
from animation.resampling import resample_poses
from animation.speech.articulation import closure_spans, trajectories
from animation.speech.audio import HOP_S, HOP_SAMPLES, resample
from animation.speech.channels import CLOSED, REST
from animation.speech.mouth_fit import MouthFit, lips_touch, spoken_closures, voiced, widened
from animation.speech.phonemes import NEARLY_CLOSED, Segment, phoneme_labels, viseme_labels
from avatar.flame.head import HeadModel

__all__ = ["IGNORED", "UNKNOWN", "MouthRecording", "Recording", "SpokenRecording", "Targets", "closure_targets"]

IGNORED = -1.0
"""A closure target that does not count."""
UNKNOWN = -100
"""A label that is not known; torch's cross-entropy leaves it out."""

_TOLERANCE_S = 0.04
_VOICE_MARGIN_S = 0.06


@dataclass(frozen=True)
class Targets:
    """What each hop should give: label indices, channels, and 0/1 with -1 for 'do not count'."""

    viseme: Int[np.ndarray, " t"]
    phoneme: Int[np.ndarray, " t"]
    articulation: Float[np.ndarray, "t 7"]
    closure: Float[np.ndarray, " t"]
    voice: Float[np.ndarray, " t"]

    @classmethod
    def of(cls, segments: Sequence[Segment], n_hops: int) -> Targets:
        """Targets of phonemes in time."""
        closure = closure_targets(segments, n_hops, HOP_S)
        phoneme = phoneme_labels(segments, n_hops)
        return cls(
            viseme_labels(segments, n_hops).astype(np.int8),
            phoneme.astype(np.int8),
            trajectories(segments, n_hops).astype(np.float16),
            closure.astype(np.float16),
            widened(phoneme != 0, _VOICE_MARGIN_S).astype(np.float16),
        )


def closure_targets(segments: Sequence[Segment], count: int, step_s: float) -> Float32[np.ndarray, " t"]:
    """1 where the lips are closed for a p, b or m, `IGNORED` within 40 ms of that and where they may close, else 0.

    Args:
        segments: phonemes in time.
        count: how many rows; row k is for the time (k + 0.5) * step_s.
        step_s: seconds from row to row.
    """
    times = (np.arange(count) + 0.5) * step_s
    closure = np.zeros(count, np.float32)
    for segment in segments:
        if segment.phoneme in NEARLY_CLOSED:
            near = (times > segment.start_s - _TOLERANCE_S) & (times < segment.end_s + _TOLERANCE_S)
            closure[near] = IGNORED
    for start, end in closure_spans(segments):
        near = (times > start - _TOLERANCE_S) & (times < end + _TOLERANCE_S)
        closure[near & (closure == 0)] = IGNORED
        closure[(times >= start - step_s / 2) & (times < end)] = 1.0
    return closure


class Recording(Protocol):
    """A sound, mono at 16 kHz, that knows what its mouth did."""

    @property
    def samples(self) -> Float32[np.ndarray, " n"]: ...

    def targets(self, factor: float, n_hops: int) -> Targets:
        """Targets of the first hops of the sound made `factor` times as long."""
        ...


@dataclass(frozen=True, eq=False)
class SpokenRecording:
    """A sound with its phonemes in time."""

    samples: Float32[np.ndarray, " n"]
    segments: tuple[Segment, ...]

    def targets(self, factor: float, n_hops: int) -> Targets:
        """See `Recording.targets`."""
        return Targets.of([segment.scaled(factor) for segment in self.segments], n_hops)


@dataclass(frozen=True, eq=False)
class MouthRecording:
    """A sound with the mouth that was seen with it, one row a hop."""

    samples: Float32[np.ndarray, " n"]
    articulation: Float32[np.ndarray, "t 7"]
    touching: Bool[np.ndarray, " t"]
    """The lips lie on each other."""

    @classmethod
    def of(cls, sequence: MeshSequence, head: HeadModel, fit: MouthFit) -> MouthRecording:
        """A speech sequence with sound, its articulation fitted.

        Args:
            sequence: of `head`'s topology.
            head: says where the lips are.
            fit: of the same head.
        """
        assert sequence.audio is not None
        samples = resample(np.asarray(sequence.audio, np.float32), sequence.sample_rate)
        n_hops = len(samples) // HOP_SAMPLES
        offsets = _padded(resample_poses(sequence.offsets, sequence.fps, 1 / HOP_S), n_hops)
        articulation = fit.articulation(offsets)
        return cls(samples, articulation, lips_touch(head, offsets, articulation))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What was seen, as if it were phonemes: M where the lips close in speech, AH in other speech, silence."""
        voice = voiced(self.samples, len(self.touching))
        closed = spoken_closures(self.touching, voice)
        names = np.where(closed, "M", np.where(voice, "AH", "SIL"))
        edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
        return tuple(Segment(str(names[a]), a * HOP_S, b * HOP_S) for a, b in itertools.pairwise(edges) if b > a)

    @property
    def duration_s(self) -> float:
        return len(self.touching) * HOP_S

    def targets(self, factor: float, n_hops: int) -> Targets:
        """See `Recording.targets`. Visemes and phonemes are not known."""
        stretched = _padded(resample_poses(self.articulation, 1.0, factor), n_hops)
        touching = _padded(resample_poses(self.touching[:, None], 1.0, factor), n_hops)[:, 0] > 0.5
        voice = _padded(resample_poses(voiced(self.samples, len(self.touching))[:, None], 1.0, factor), n_hops)
        spoken = voice[:, 0] > 0.5
        closed = spoken_closures(touching, spoken)
        stretched[closed, CLOSED] = 1.0
        stretched[~widened(spoken, _VOICE_MARGIN_S) & touching] = REST
        closure = np.where(closed, 1.0, np.where(widened(closed, _TOLERANCE_S), IGNORED, 0.0))
        unknown = np.full(n_hops, UNKNOWN, np.int8)
        return Targets(
            unknown,
            unknown,
            stretched.astype(np.float16),
            closure.astype(np.float16),
            widened(spoken, _VOICE_MARGIN_S).astype(np.float16),
        )


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    """Exactly so many rows; the last is repeated."""
    return rows[np.minimum(np.arange(count), len(rows) - 1)].copy()
