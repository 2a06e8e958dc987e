"""Singing made from formulas: held vowels with vibrato or perfectly still, hums and syllables between them.

No package of voices sings. A train of pulses through five resonances is enough to teach that a tone with the resonances
of a vowel is a mouth held open, however long and however regular it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.signal
from jaxtyping import Float

from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import SILENCE, Segment
from animation.speech.resonances import BANDWIDTHS_HZ, HIGHER_HZ, NASAL_BANDWIDTHS_HZ, NASALS_HZ, RESONANCES_HZ

__all__ = ["sung_phrases"]

_LEVEL = 0.06


def sung_phrases(minutes: float, seed: int) -> Iterator[tuple[Float[np.ndarray, " n"], tuple[Segment, ...]]]:
    """Phrases of one singer each, at 16 kHz, with their phonemes in time."""
    number, seconds = 0, 0.0
    while seconds < 60 * minutes:
        samples, segments = _phrase(np.random.default_rng([seed, number]))
        yield samples, segments
        number += 1
        seconds += len(samples) / SAMPLE_RATE


def _phrase(rng: np.random.Generator) -> tuple[Float[np.ndarray, " n"], tuple[Segment, ...]]:
    tract = float(rng.uniform(0.9, 1.3))  # of resonances: men, women, children
    pitch_hz = 85.0 * tract**3 * 2 ** rng.uniform(0, 1.3)
    tilt = rng.uniform(0.9, 1.8)
    breath = 10 ** rng.uniform(-3, -1.3)
    still = rng.random() < 0.4
    pieces, segments = [], []
    start_s = 0.0

    def say(phoneme: str, sound: Float[np.ndarray, " n"]) -> None:
        nonlocal start_s
        end_s = start_s + len(sound) / SAMPLE_RATE
        pieces.append(sound)
        segments.append(Segment(phoneme, start_s, end_s))
        start_s = end_s

    say(SILENCE, np.zeros(int(rng.uniform(0.2, 0.7) * SAMPLE_RATE)))
    for _ in range(int(rng.integers(1, 6))):
        note_hz = pitch_hz * 2 ** (int(rng.integers(-5, 13)) / 12)
        vibrato = 0.0 if still else rng.uniform(0.0, 0.04)
        source = _source(rng, note_hz, vibrato, tilt, breath)
        if rng.random() < 0.45:
            nasal = str(rng.choice(list(NASALS_HZ)))
            length = int((rng.uniform(0.4, 1.5) if rng.random() < 0.1 else rng.uniform(0.06, 0.14)) * SAMPLE_RATE)
            resonances = [tract * hz for hz in NASALS_HZ[nasal]]
            say(nasal, 0.5 * _resonant(source(length), resonances, NASAL_BANDWIDTHS_HZ))
        vowel = str(rng.choice(list(RESONANCES_HZ)))
        resonances = [tract * hz for hz in (*RESONANCES_HZ[vowel], *HIGHER_HZ)]
        say(vowel, _resonant(source(int(rng.uniform(0.25, 2.5) * SAMPLE_RATE)), resonances, BANDWIDTHS_HZ))
        if rng.random() < 0.35:
            say(SILENCE, np.zeros(int(rng.uniform(0.1, 0.6) * SAMPLE_RATE)))
    say(SILENCE, np.zeros(int(rng.uniform(0.2, 0.7) * SAMPLE_RATE)))
    samples = np.concatenate(pieces)
    loud = np.sqrt(np.mean(np.square(samples[np.abs(samples) > 0]))) + 1e-9
    return (samples * (_LEVEL / loud)).astype(np.float32), tuple(segments)


def _source(
    rng: np.random.Generator, note_hz: float, vibrato: float, tilt: float, breath: float
) -> Callable[[int], Float[np.ndarray, " n"]]:
    """A voice's source on one note: gives so many samples of it."""
    rate_hz, phase = rng.uniform(4.5, 6.5), rng.uniform(0, 2 * np.pi)

    def sound(count: int) -> Float[np.ndarray, " n"]:
        time_s = np.arange(count) / SAMPLE_RATE
        turns = np.cumsum(note_hz * (1 + vibrato * np.sin(2 * np.pi * rate_hz * time_s + phase))) / SAMPLE_RATE
        harmonics = np.arange(1, max(2, int(7800 / note_hz)))
        x = np.zeros(count)
        for k in harmonics:
            x += np.cos(2 * np.pi * k * turns) / k**tilt
        edge = min(count // 4, int(0.04 * SAMPLE_RATE))
        x *= np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / max(edge, 1))
        return x + breath * rng.normal(0, 1, count)

    return sound


def _resonant(
    x: Float[np.ndarray, " n"], resonances_hz: list[float], bandwidths_hz: tuple[int, ...]
) -> Float[np.ndarray, " n"]:
    for hz, width in zip(resonances_hz, bandwidths_hz, strict=True):
        if hz < 0.48 * SAMPLE_RATE:
            radius = np.exp(-np.pi * width / SAMPLE_RATE)
            poles = [1.0, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2]
            x = scipy.signal.lfilter([sum(poles)], poles, x)
    return x / (np.sqrt(np.mean(np.square(x))) + 1e-9)
