"""How well the mouth follows the voice, measured on recordings of speakers and files that training never saw.

Everything is measured where a viewer would: on the gap between the lips of the posed head, against the phonemes' times.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.face import DrivenFace
from animation.lab.data.corpus import NEURAL_TEST, Utterance, load_utterances, split_of
from animation.lab.data.recordings import SOURCES
from animation.lab.evaluation.articulation import ArticulationScore
from animation.lab.evaluation.closures import SEALED_GAP_MM, ClosureScore, score_closures, silent_poses
from animation.lab.training.soundscape import noise
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.lips import default_lips
from animation.speech.phonemes import viseme_labels
from animation.speech.stream import SpeechFrames, SpeechStream
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = [
    "Condition",
    "Listener",
    "SpeechScore",
    "StreamListener",
    "evaluate_speech",
    "spoken_weights",
    "test_utterances",
]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

_STILL = DriverSettings(intensity=1.0, blinks=False, gaze=False, head=False)


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


def spoken_weights(frames: SpeechFrames, settings: DriverSettings) -> Float[np.ndarray, "t 52"]:
    """The generic head's blendshape weights, pose by pose; `default_lips().opening_mm` measures the lips' gap."""
    driver = AvatarDriver(_face(), settings, _Replay(frames))
    weights = FlameParams.stack(driver.feed(np.zeros(0, np.float32))).blendshape_weights
    assert weights is not None
    return weights


@cache
def _face() -> DrivenFace:
    return DrivenFace.of(*open_head())


class Listener(Protocol):
    """What is scored: something that says of a whole recording what the mouth does."""

    @property
    def lookahead_ms(self) -> float | None:
        """None: it hears everything first."""
        ...

    def frames(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """Of a sound at 16 kHz; one pose for each hop begun."""
        ...


class StreamListener:
    """The streaming model.

    Args:
        weights: a weights file; the shipped one if None.
        lookahead_ms: see `SpeechStream`.
    """

    def __init__(self, weights: Path | None = None, lookahead_ms: float | None = None) -> None:
        self._stream = SpeechStream(weights, lookahead_ms)
        self.lookahead_ms = self._stream.lookahead_ms

    def frames(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """See `Listener.frames`."""
        self._stream.reset()
        return SpeechFrames.concatenate([self._stream.feed(samples), self._stream.finish()])


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
    """Held-out speech by source: speakers kept out of training whole, files kept out of the divided sources, and the
    neural voices kept for tests.

    Raises:
        UserError: the corpus has none.
    """
    found: dict[str, list[Utterance]] = {}
    for source in SOURCES:
        if source.role not in ("split", "test") or not (folder / f"{source.name}.json").exists():
            continue
        utterances = load_utterances(folder, source.name)
        found[source.name] = [u for u in utterances if source.role == "test" or split_of(u.name) == "test"]
    if (folder / f"{NEURAL_TEST}.json").exists():
        found[NEURAL_TEST] = list(load_utterances(folder, NEURAL_TEST))
    if not any(found.values()):
        raise UserError(f"no held-out recordings in {folder}: make them with gaussian-avatar corpus speech")
    return found


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
    listener: Listener | None = None,
) -> dict[str, object]:
    """Score a mouth on held-out recordings.

    Args:
        data_dir: the corpus folder.
        progress: called with a message and the share done.
        emotions: for which closures are counted again, each at full intensity.
        minutes_per_source: use no more than this of each source; all of it when None.
        emotion_minutes_per_source: the same for each emotion.
        condition: what to do to the sound first.
        listener: what is scored; the shipped streaming model if None.

    Returns:
        The figures, ready for JSON, over real recordings; `closure_rate_by_emotion` compares on the same files,
        'neutral' among them; `by_novelty` parts speakers that training never heard from new files of speakers that it
        did; `neural` are the neural voices kept for tests; `articulation` is how far English speech moves the mouth.

    Raises:
        UserError: no corpus, or no readable weights.
    """
    condition = condition or Condition()
    listener = StreamListener() if listener is None else listener
    sources = test_utterances(Path(data_dir))
    total, neural, articulation = SpeechScore(), SpeechScore(), ArticulationScore()
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
            frames = listener.frames(condition.apply(utterance.samples, seed=position))
            weights = spoken_weights(frames, _STILL)
            gaps_mm = default_lips().opening_mm(weights)
            spent = own.seconds
            if name == NEURAL_TEST:
                concerned: tuple[SpeechScore, ...] = (own, neural)
            else:
                novelty = by_novelty.setdefault("speakers" if name in unheard else "files", SpeechScore())
                concerned = (own, total, novelty, by_language.setdefault(utterance.language, SpeechScore()))
            for score in concerned:
                _score(score, utterance, frames, gaps_mm)
            if utterance.language == "en":
                articulation.add(weights, frames)
            if spent < 60 * emotion_minutes_per_source and name != NEURAL_TEST:
                for emotion, closures in by_emotion.items():
                    settings = replace(_STILL, emotion=emotion)
                    sealed = default_lips().opening_mm(spoken_weights(frames, settings)) < SEALED_GAP_MM
                    closures.add(score_closures(utterance.segments, sealed))
    progress("done", 1.0)
    return {
        **total.summary(),
        "closure_rate_by_emotion": {e: _ratio(s.hits, s.closures) for e, s in by_emotion.items()},
        "languages": sorted(by_language),
        "condition": condition.name,
        "lookahead_ms": listener.lookahead_ms,
        "by_novelty": {novelty: score.summary() for novelty, score in sorted(by_novelty.items())},
        "neural": neural.summary(),
        "by_language": {language: score.summary() for language, score in sorted(by_language.items())},
        "by_source": {name: score.summary() for name, score in by_source.items()},
        "articulation": articulation.summary(),
    }


def _limited(utterances: Iterable[Utterance], minutes: float | None) -> Iterable[Utterance]:
    seconds = 0.0
    for utterance in utterances:
        if minutes is not None and seconds >= 60 * minutes:
            return
        seconds += utterance.duration_s
        yield utterance
