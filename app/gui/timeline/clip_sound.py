"""What the timeline shows of a clip: how loud it is, and which sounds the speech model hears in it; free of Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from animation.speech.audio import HOP_S, StreamingResampler
from animation.speech.phonemes import VISEMES
from animation.speech.stream import SpeechFrames, SpeechStream
from app.audio_file import open_audio
from avatar.errors import UserError

__all__ = ["STEP_S", "ClipSound", "Sound", "read_clip", "sounds_of"]

STEP_S = 0.01
_MOST_S = 900.0
_LEAST_HOPS = 2
_SPOKEN = 0.3
"""`SpeechFrames.voice` above this is speech."""


@dataclass(frozen=True)
class Sound:
    """A stretch of speech with one shape of the lips, one of `VISEMES`."""

    start_s: float
    end_s: float
    viseme: str


@dataclass(frozen=True, eq=False)
class ClipSound:
    """A clip, looked at."""

    duration_s: float
    peaks: Float32[np.ndarray, " n"]
    """Greatest amplitude of every `STEP_S`, 0..1."""
    sounds: tuple[Sound, ...]


def read_clip(path: Path, stopped: Callable[[], bool] = lambda: False) -> ClipSound | None:
    """Read a clip and listen to it: some seconds for each minute of it. None if stopped.

    Raises:
        UserError: if it cannot be read, or is longer than a quarter of an hour.
    """
    audio = open_audio(path)
    rate = audio.sample_rate
    step = max(round(rate * STEP_S), 1)
    resample, stream = StreamingResampler(rate), SpeechStream.open()
    peaks: list[np.ndarray] = []
    heard: list[SpeechFrames] = []
    rest, samples = np.zeros(0, np.float32), 0
    for block in audio.blocks():
        if stopped():
            return None
        samples += len(block)
        if samples > _MOST_S * rate:
            raise UserError(f"{path.name}: longer than {_MOST_S / 60:g} minutes; cut it into parts to direct it")
        heard.append(stream.feed(resample.feed(block)))
        rest = np.concatenate([rest, block])
        whole = len(rest) // step * step
        peaks.append(np.abs(rest[:whole]).reshape(-1, step).max(1))
        rest = rest[whole:]
    heard += [stream.feed(resample.finish()), stream.finish()]
    if len(rest):
        peaks.append(np.abs(rest).max(keepdims=True))
    visemes = np.concatenate([frames.visemes.argmax(1) for frames in heard])
    voice = np.concatenate([frames.voice for frames in heard])
    visemes[voice < _SPOKEN] = VISEMES.index("sil")
    return ClipSound(samples / rate, np.concatenate(peaks).astype(np.float32), sounds_of(visemes))


def sounds_of(visemes: Int[np.ndarray, " t"]) -> tuple[Sound, ...]:
    """Runs of equal visemes, index by pose; silences and what is shorter than two poses are left out."""
    edges = np.flatnonzero(np.diff(visemes)) + 1
    bounds = [0, *edges.tolist(), len(visemes)] if len(visemes) else []
    return tuple(
        Sound(a * HOP_S, b * HOP_S, VISEMES[visemes[a]])
        for a, b in pairwise(bounds)
        if b - a >= _LEAST_HOPS and VISEMES[visemes[a]] != "sil"
    )
