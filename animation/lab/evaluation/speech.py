"""How well the mouth follows the voice, measured on recordings of speakers and files that training never saw.

Everything is measured where a viewer would: on the gap between the lips of the posed head, against the phonemes' times.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.face import DrivenFace
from animation.lab.data.corpus import Utterance, load_utterances, split_of
from animation.lab.data.recordings import SOURCES
from animation.lab.training.soundscape import noise
from animation.speech.articulation import closure_spans
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.lips import default_lips
from animation.speech.phonemes import BILABIALS, SILENCE, Segment, viseme_labels
from animation.speech.stream import SpeechFrames, SpeechStream
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = [
    "SEALED_GAP_MM",
    "ClosureScore",
    "Condition",
    "SpeechScore",
    "evaluate_speech",
    "lip_gaps_mm",
    "score_closures",
    "silent_poses",
    "test_utterances",
]

_log = logging.getLogger(__name__)

SEALED_GAP_MM = 1.0
TOLERANCE_S = 0.04

_SILENCE_MARGIN_S = 0.2

Progress = Callable[[str, float], None]


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
    false when all of it lies further than that from every p, b, m and every silence (at rest the lips touch).

    Args:
        segments: the phonemes in time, silences included.
        sealed: whether the lips are together, pose by pose; pose k is at (k + 0.5) * hop_s.
        hop_s: seconds from pose to pose.
    """
    times = (np.arange(len(sealed)) + 0.5) * hop_s
    score = ClosureScore(speech_s=sum(s.duration_s for s in segments if s.phoneme != SILENCE))
    excused = np.ones(len(sealed), bool)
    for segment in segments:
        if segment.phoneme not in BILABIALS and segment.phoneme != SILENCE:
            excused &= (times < segment.start_s) | (times >= segment.end_s)
    for segment in segments:
        if segment.phoneme in BILABIALS or segment.phoneme == SILENCE:
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
        if not hit or neighbours & (BILABIALS | {SILENCE}):
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


class _Replay:
    """A speech model that gives back frames made before."""

    hop_s = HOP_S
    lookahead_ms = 0.0

    def __init__(self, frames: SpeechFrames) -> None:
        self._frames = frames

    def feed(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        frames, self._frames = self._frames, SpeechFrames.empty()
        return frames

    def finish(self) -> SpeechFrames:
        return SpeechFrames.empty()

    def reset(self) -> None:
        return


def lip_gaps_mm(frames: SpeechFrames, settings: DriverSettings) -> Float[np.ndarray, " t"]:
    """The largest gap between the lips of the posed generic head, pose by pose, in millimetres."""
    driver = AvatarDriver(DrivenFace.of(*open_head()), settings, _Replay(frames))
    poses = driver.feed(np.zeros(0, np.float32))
    weights = FlameParams.stack(poses).blendshape_weights
    assert weights is not None
    return default_lips().opening_mm(weights)


@dataclass(frozen=True)
class Condition:
    """What is done to the sound before it is heard: a gain, and noise at a ratio to the speech."""

    name: str = "clean"
    gain_db: float = 0.0
    noise: str | None = None
    ratio_db: float = 20.0

    def apply(self, samples: Float[np.ndarray, " n"], seed: int) -> Float[np.ndarray, " n"]:
        """The altered sound, clipped to what a converter can hold."""
        result = samples.astype(np.float64)
        if self.noise is not None and len(samples):
            added = noise(self.noise, len(samples) / SAMPLE_RATE + 0.1, np.random.default_rng(seed))[: len(samples)]
            level = np.sqrt(np.mean(result**2)) * 10 ** (-self.ratio_db / 20)
            result = result + added * level / (np.sqrt(np.mean(added.astype(np.float64) ** 2)) + 1e-12)
        return np.clip(result * 10 ** (self.gain_db / 20), -1, 1).astype(np.float32)


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

    def summary(self) -> dict[str, float | int | None]:
        """The figures that the command reports."""
        offsets = self.closures.offsets_ms
        return {
            "viseme_accuracy": _ratio(self.right, self.poses),
            "viseme_accuracy_in_speech": _ratio(self.right_in_speech, self.poses_in_speech),
            "closure_rate": _ratio(self.closures.hits, self.closures.closures),
            "closures": self.closures.closures,
            "false_closures_per_min": round(self.closures.false_per_min, 2),
            "offset_ms": round(float(np.median(offsets)), 1) if offsets else None,
            "silence_opening_mm": _ratio(self.silence_mm, self.silence_poses),
            "files": self.files,
            "minutes": round(self.seconds / 60, 2),
        }


def _ratio(part: float, whole: float) -> float | None:
    return round(float(part / whole), 4) if whole else None


def test_utterances(folder: Path) -> dict[str, list[Utterance]]:
    """Held-out speech by source: speakers kept out of training whole, and files kept out of the divided sources.

    Raises:
        UserError: the corpus has none.
    """
    found: dict[str, list[Utterance]] = {}
    for source in SOURCES:
        if source.role == "validation" or not (folder / f"{source.name}.json").exists():
            continue
        utterances = load_utterances(folder, source.name)
        found[source.name] = [u for u in utterances if source.role == "test" or split_of(u.name) == "test"]
    if not any(found.values()):
        raise UserError(f"no held-out recordings in {folder}: make them with gaussian-avatar corpus speech")
    return found


def _frames_of(stream: SpeechStream, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
    stream.reset()
    return SpeechFrames.concatenate([stream.feed(samples), stream.finish()])


def _score(score: SpeechScore, utterance: Utterance, frames: SpeechFrames, gaps_mm: Float[np.ndarray, " t"]) -> None:
    labels = viseme_labels(utterance.segments, len(frames))
    right = frames.visemes.argmax(1) == labels
    speech = labels != 0
    silent = silent_poses(utterance.segments, len(frames))
    score.right += int(right.sum())
    score.poses += len(labels)
    score.right_in_speech += int(right[speech].sum())
    score.poses_in_speech += int(speech.sum())
    score.closures.add(score_closures(utterance.segments, gaps_mm < SEALED_GAP_MM))
    score.silence_mm += float(gaps_mm[silent].sum())
    score.silence_poses += int(silent.sum())
    score.files += 1
    score.seconds += utterance.duration_s


def evaluate_speech(
    data_dir: Path | str,
    progress: Progress,
    emotions: Sequence[str] = EMOTIONS,
    minutes_per_source: float | None = None,
    emotion_minutes_per_source: float = 0.5,
    condition: Condition | None = None,
    weights: Path | None = None,
) -> dict[str, object]:
    """Score the shipped mouth on held-out real recordings.

    Args:
        data_dir: the corpus folder.
        progress: called with a message and the share done.
        emotions: for which closures are counted again, each at full intensity.
        minutes_per_source: use no more than this of each source; all of it when None.
        emotion_minutes_per_source: the same for each emotion.
        condition: what to do to the sound first.
        weights: another weights file.

    Returns:
        The figures, ready for JSON; `closure_rate_by_emotion` compares on the same files, 'neutral' among them;
        `by_novelty` parts speakers that training never heard from new files of speakers that it did.

    Raises:
        UserError: no corpus, or no readable weights.
    """
    condition = condition or Condition()
    stream = SpeechStream(weights)
    sources = test_utterances(Path(data_dir))
    still = DriverSettings(blinks=False, gaze=False, head=False)
    total = SpeechScore()
    by_source: dict[str, SpeechScore] = {}
    by_language: dict[str, SpeechScore] = {}
    by_novelty: dict[str, SpeechScore] = {}
    unheard = {source.name for source in SOURCES if source.role == "test"}
    by_emotion = {emotion: ClosureScore() for emotion in emotions}
    for number, (name, utterances) in enumerate(sources.items()):
        own = by_source.setdefault(name, SpeechScore())
        for position, utterance in enumerate(_limited(utterances, minutes_per_source)):
            share = position / max(1, len(utterances))
            progress(f"{name}: {utterance.name}", (number + share) / len(sources))
            samples = condition.apply(utterance.samples, seed=position)
            frames = _frames_of(stream, samples)
            gaps_mm = lip_gaps_mm(frames, still)
            shared = by_language.setdefault(utterance.language, SpeechScore())
            spent = own.seconds
            novelty = by_novelty.setdefault("speakers" if name in unheard else "files", SpeechScore())
            for score in (total, own, shared, novelty):
                _score(score, utterance, frames, gaps_mm)
            if spent < 60 * emotion_minutes_per_source:
                for emotion, closures in by_emotion.items():
                    settings = DriverSettings(emotion, 1.0, blinks=False, gaze=False, head=False)
                    closures.add(score_closures(utterance.segments, lip_gaps_mm(frames, settings) < SEALED_GAP_MM))
    progress("done", 1.0)
    return {
        **total.summary(),
        "closure_rate_by_emotion": {e: _ratio(s.hits, s.closures) for e, s in by_emotion.items()},
        "languages": sorted(by_language),
        "condition": condition.name,
        "lookahead_ms": stream.lookahead_ms,
        "by_novelty": {novelty: score.summary() for novelty, score in sorted(by_novelty.items())},
        "by_language": {language: score.summary() for language, score in sorted(by_language.items())},
        "by_source": {name: score.summary() for name, score in by_source.items()},
    }


def _limited(utterances: Iterable[Utterance], minutes: float | None) -> Iterable[Utterance]:
    seconds = 0.0
    for utterance in utterances:
        if minutes is not None and seconds >= 60 * minutes:
            return
        seconds += utterance.duration_s
        yield utterance
