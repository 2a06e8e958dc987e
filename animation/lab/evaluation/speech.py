"""How well the mouth follows the voice, measured on recordings of speakers and files that training never saw.

Everything is measured where a viewer would: on the gap between the lips of the posed head, against the phonemes' times.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.face import DrivenFace
from animation.lab.data.corpus import NEURAL_TEST, Utterance, load_utterances, split_of
from animation.lab.data.sources import SOURCES
from animation.lab.evaluation.articulation import ArticulationScore
from animation.lab.evaluation.closures import SEALED_GAP_MM, ClosureScore, score_closures
from animation.lab.evaluation.speech_score import SourceScore, SpeechScore, ratio
from animation.lab.training.soundscape import noise
from animation.lab.training.teacher import Teacher, TeacherListener, is_teacher
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.lips import default_lips
from animation.speech.stream import SpeechFrames, SpeechStream
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = [
    "Condition",
    "Listener",
    "SourceTask",
    "StreamListener",
    "evaluate_speech",
    "held_out",
    "score_source",
    "spoken_weights",
    "tested_sources",
]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
Spread = Callable[
    [Callable[["SourceTask"], SourceScore], Sequence["SourceTask"]],
    Iterable[tuple["SourceTask", SourceScore | Exception]],
]
"""Does a function on tasks, somewhere; gives each with what came of it, as they are done."""

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
        self._stream = SpeechStream.open(weights, lookahead_ms)
        self.lookahead_ms = self._stream.lookahead_ms

    def frames(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """See `Listener.frames`."""
        self._stream.reset()
        return SpeechFrames.concatenate([self._stream.feed(samples), self._stream.finish()])


def _listener(weights: Path | None, lookahead_ms: float | None) -> Listener:
    """The streaming model of a weights file, or the teacher that it holds."""
    if weights is None or not is_teacher(weights):
        return StreamListener(weights, lookahead_ms)
    if lookahead_ms is not None:
        raise UserError(f"{weights} holds a teacher, which hears the whole sound first: it has no look-ahead")
    return TeacherListener(Teacher.load(weights))


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


def tested_sources(folder: Path) -> dict[str, str]:
    """The sources of a corpus that have recordings to test on: speakers kept out of training whole, sources divided by
    file, and the neural voices kept for tests; `test` where all of it is."""
    roles = {source.name: source.role for source in SOURCES} | {NEURAL_TEST: "test"}
    return {n: r for n, r in roles.items() if r in ("split", "test") and (folder / f"{n}.json").exists()}


def held_out(folder: Path, source: str) -> list[Utterance]:
    """The recordings of one of `tested_sources` that training never saw."""
    whole = tested_sources(folder)[source] == "test"
    return [u for u in load_utterances(folder, source) if whole or split_of(u.name) == "test"]


@dataclass(frozen=True)
class SourceTask:
    """One source to be scored, wherever the corpus folder can be read."""

    folder: Path
    source: str
    emotions: tuple[str, ...] = EMOTIONS
    """For which closures are counted again, each at full intensity."""
    minutes: float | None = None
    """Of recordings at most."""
    emotion_minutes: float = 0.5
    """The same for each emotion."""
    condition: Condition = Condition()
    weights: Path | None = None
    lookahead_ms: float | None = None
    """Of the streaming model; see `StreamListener`."""


def score_source(
    task: SourceTask, listener: Listener | None = None, tell: Progress = lambda what, share: None
) -> SourceScore:
    """Score a mouth on the recordings of one source.

    Args:
        listener: what is scored; the streaming model that the task names if None.
        tell: called with a recording's name and the share of the source done.
    """
    listener = _listener(task.weights, task.lookahead_ms) if listener is None else listener
    found = SourceScore(by_emotion={emotion: ClosureScore() for emotion in task.emotions})
    utterances = held_out(task.folder, task.source)
    for position, utterance in enumerate(_limited(utterances, task.minutes)):
        tell(utterance.name, position / max(1, len(utterances)))
        frames = listener.frames(task.condition.apply(utterance.samples, seed=position))
        weights = spoken_weights(frames, _STILL)
        gaps_mm = default_lips().opening_mm(weights)
        if found.speech.seconds < 60 * task.emotion_minutes and task.source != NEURAL_TEST:
            for emotion, closures in found.by_emotion.items():
                settings = replace(_STILL, emotion=emotion)
                sealed = default_lips().opening_mm(spoken_weights(frames, settings)) < SEALED_GAP_MM
                closures.add(score_closures(utterance.segments, sealed))
        one = SpeechScore.of(utterance, frames, gaps_mm)
        found.speech.join(one)
        found.by_language.setdefault(utterance.language, SpeechScore()).join(one)
        if utterance.language == "en":
            found.articulation.add(weights, frames)
    return found


def evaluate_speech(
    data_dir: Path | str,
    progress: Progress,
    emotions: Sequence[str] = EMOTIONS,
    minutes_per_source: float | None = None,
    emotion_minutes_per_source: float = 0.5,
    condition: Condition | None = None,
    weights: Path | None = None,
    lookahead_ms: float | None = None,
    listener: Listener | None = None,
    spread: Spread | None = None,
) -> dict[str, object]:
    """Score a mouth on held-out recordings.

    Args:
        data_dir: the corpus folder.
        progress: called with a message and the share done.
        emotions: for which closures are counted again, each at full intensity.
        minutes_per_source: use no more than this of each source; all of it when None.
        emotion_minutes_per_source: the same for each emotion.
        condition: what to do to the sound first.
        weights, lookahead_ms: of the streaming model; see `StreamListener`. Or a teacher's weights.
        listener: what is scored in its place.
        spread: does a function on many tasks, such as on the cores of many machines; one source after the other, here,
            if None.

    Returns:
        The figures, ready for JSON, over real recordings; `closure_rate_by_emotion` compares on the same files,
        'neutral' among them; `by_novelty` parts speakers that training never heard from new files of speakers that it
        did; `neural` are the neural voices kept for tests; `articulation` is how far English speech moves the mouth.

    Raises:
        UserError: no corpus, or no readable weights.
        Exception: what scoring a source raised elsewhere.
    """
    folder = Path(data_dir).resolve()
    listener = _listener(weights, lookahead_ms) if listener is None else listener
    names = list(tested_sources(folder))
    task = SourceTask(
        folder, "", tuple(emotions), minutes_per_source, emotion_minutes_per_source, condition or Condition(),
        None if weights is None else weights.resolve(), lookahead_ms,
    )  # fmt: skip
    tasks = [replace(task, source=name) for name in names]
    found: dict[str, SourceScore] = {}
    if spread is None:
        for number, task in enumerate(tasks):

            def tell(recording: str, share: float, number: int = number) -> None:
                progress(f"{names[number]}: {recording}", (number + share) / len(names))

            found[task.source] = score_source(task, listener, tell)
    else:
        for task, result in spread(score_source, tasks):
            if isinstance(result, Exception):
                raise result
            found[task.source] = result
            progress(task.source, len(found) / len(names))
    if not any(score.speech.files for score in found.values()):
        raise UserError(f"no held-out recordings in {folder}: make them with gaussian-avatar corpus speech")
    progress("done", 1.0)
    figures = _summed({name: found[name] for name in names}, emotions)
    return figures | {"condition": task.condition.name, "lookahead_ms": listener.lookahead_ms}


def _summed(found: Mapping[str, SourceScore], emotions: Sequence[str]) -> dict[str, object]:
    """The figures of all sources."""
    total, neural, articulation = SpeechScore(), SpeechScore(), ArticulationScore()
    by_language: dict[str, SpeechScore] = {}
    by_novelty: dict[str, SpeechScore] = {}
    by_emotion = {emotion: ClosureScore() for emotion in emotions}
    unheard = {source.name for source in SOURCES if source.role == "test"}
    for name, source in found.items():
        articulation.join(source.articulation)
        for emotion, closures in source.by_emotion.items():
            by_emotion[emotion].add(closures)
        if name == NEURAL_TEST:
            neural.join(source.speech)
            continue
        total.join(source.speech)
        by_novelty.setdefault("speakers" if name in unheard else "files", SpeechScore()).join(source.speech)
        for language, score in source.by_language.items():
            by_language.setdefault(language, SpeechScore()).join(score)
    return {
        **total.summary(),
        "closure_rate_by_emotion": {e: ratio(s.hits, s.closures) for e, s in by_emotion.items()},
        "languages": sorted(by_language),
        "by_novelty": {novelty: score.summary() for novelty, score in sorted(by_novelty.items())},
        "neural": neural.summary(),
        "by_language": {language: score.summary() for language, score in sorted(by_language.items())},
        "by_source": {name: source.speech.summary() for name, source in found.items()},
        "articulation": articulation.summary(),
    }


def _limited(utterances: Iterable[Utterance], minutes: float | None) -> Iterable[Utterance]:
    seconds = 0.0
    for utterance in utterances:
        if minutes is not None and seconds >= 60 * minutes:
            return
        seconds += utterance.duration_s
        yield utterance
