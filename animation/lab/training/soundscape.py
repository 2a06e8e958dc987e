"""What surrounds a voice: rooms, other voices, noise, music, and sounds that are not speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.signal
import soxr
from jaxtyping import Float

from animation.speech.audio import SAMPLE_RATE

__all__ = ["NOISE_KINDS", "babble", "change_speed", "noise", "room"]

NOISE_KINDS = ("white", "pink", "brown", "hum", "fan", "clicks", "breath", "tones", "rumble", "band")


def change_speed(samples: Float[np.ndarray, " n"], factor: float) -> Float[np.ndarray, " m"]:
    """The sound `factor` times as long, pitch and formants moved with it: another speaker."""
    return soxr.resample(samples, SAMPLE_RATE, SAMPLE_RATE * factor, quality="MQ").astype(np.float32)


def room(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The sound in a random room: the direct sound first, then a few reflections and a decaying tail."""
    decay_s = rng.uniform(0.1, 1.0)
    length = int(min(decay_s, 0.6) * SAMPLE_RATE)
    time_s = np.arange(length) / SAMPLE_RATE
    tail = rng.normal(0, 1, length) * np.exp(-6.9 * time_s / decay_s) * (rng.random(length) < 0.3)
    tail[: int(rng.uniform(0.002, 0.02) * SAMPLE_RATE)] = 0.0
    direct_to_tail = 10 ** (rng.uniform(-3, 18) / 20)
    tail /= direct_to_tail * np.sqrt((tail**2).sum()) + 1e-9
    tail[0] = 1.0
    return scipy.signal.oaconvolve(samples, tail.astype(np.float32))[: len(samples)].astype(np.float32)


def _coloured(n: int, slope_db_per_octave: float, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    spectrum = np.fft.rfft(rng.normal(0, 1, n))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 40.0) / 1000.0)
    return np.fft.irfft(spectrum * 10 ** (slope_db_per_octave * octaves / 20), n)


def _bursts(n: int, rng: np.random.Generator, per_s: float, rise_s: float, fall_s: float) -> Float[np.ndarray, " n"]:
    """An envelope of random bursts."""
    envelope = np.zeros(n)
    for start in rng.integers(0, n, max(1, rng.poisson(per_s * n / SAMPLE_RATE))):
        rise, fall = (
            int(rise_s * rng.uniform(0.5, 2) * SAMPLE_RATE) + 1,
            int(fall_s * rng.uniform(0.5, 2) * SAMPLE_RATE),
        )
        shape = np.concatenate([np.linspace(0, 1, rise), np.exp(-np.arange(fall * 4) / max(fall, 1))])
        end = min(n, start + len(shape))
        envelope[start:end] = np.maximum(envelope[start:end], shape[: end - start] * rng.uniform(0.2, 1))
    return envelope


def _note(pitch: float, seconds: float, rng: np.random.Generator, resonances: int) -> Float[np.ndarray, " n"]:
    """A decaying tone with vibrato and a random spectrum, with resonances such as instruments and choirs have."""
    time_s = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    bend = 1 + rng.uniform(0, 0.01) * np.sin(2 * np.pi * rng.uniform(4, 7) * time_s)
    phase = 2 * np.pi * np.cumsum(pitch * bend) / SAMPLE_RATE
    peaks = rng.uniform(300, 3500, resonances)
    tone = np.zeros_like(time_s)
    roll_off = rng.uniform(0.6, 2.0)
    for k in range(1, min(24, int(7500 / pitch)) + 1):
        lift = 1 + 6 * np.exp(-(((k * pitch - peaks) / 200) ** 2)).sum()
        tone += lift / k**roll_off * np.sin(k * phase)
    attack = np.minimum(1, time_s / rng.uniform(0.003, 0.05))
    return tone * attack * np.exp(-time_s * rng.uniform(0.3, 5)) / (np.abs(tone).max() + 1e-9)


def _band(n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A small band: drums, bass, chords and a lead, some of them silent."""
    x = np.zeros(n)
    beat = int(60 / rng.uniform(70, 160) * SAMPLE_RATE)
    root = 55 * 2 ** (rng.integers(0, 12) / 12)
    gains = rng.uniform(0, 1, 5) * (rng.random(5) < 0.8)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])

    def put(sound: np.ndarray, start: int, gain: float) -> None:
        end = min(n, start + len(sound))
        if start < n:
            x[start:end] += gain * sound[: end - start]

    short = np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    kick = np.sin(2 * np.pi * (50 * short + 4 * (1 - np.exp(-short * 25)))) * np.exp(-short * 18)
    for number, start in enumerate(range(0, n, max(1, beat // 2))):
        if number % 4 == 0:
            put(kick, start, gains[0])
        if number % 4 == 2:
            put(rng.normal(0, 0.4, len(short)) * np.exp(-short * 25) + 0.3 * kick, start, gains[0])
        put(np.diff(rng.normal(0, 0.2, len(short) + 1)) * np.exp(-short * 60), start, gains[1])
        if number % 2 == 0:
            put(_note(root * 2 ** (rng.choice(scale) / 12), beat / SAMPLE_RATE, rng, 0), start, gains[2])
        if number % 8 == 0:
            step = int(rng.integers(0, 5))
            for third in (0, 2, 4):
                pitch = 4 * root * 2 ** (scale[(step + third) % 8] / 12)
                put(_note(pitch, 4 * beat / SAMPLE_RATE, rng, 2), start, 0.5 * gains[3])
        if rng.random() < 0.6:
            pitch = 8 * root * 2 ** (rng.choice(scale) / 12) / rng.choice([1, 2])
            put(_note(pitch, rng.uniform(0.5, 2) * beat / SAMPLE_RATE, rng, 3), start, 0.7 * gains[4])
    return x + 1e-3 * rng.normal(0, 1, n)


def noise(kind: str, seconds: float, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A sound without speech at a level of -20 dBFS.

    Args:
        kind: one of `NOISE_KINDS`.
        seconds: how long.
        rng: what makes it different each time.

    Raises:
        ValueError: no such kind.
    """
    n = int(seconds * SAMPLE_RATE)
    time_s = np.arange(n) / SAMPLE_RATE
    slope = {"white": 0.0, "pink": -3.0, "brown": -6.0, "rumble": -9.0}
    if kind in slope:
        x = _coloured(n, slope[kind] + rng.uniform(-1, 1), rng)
    elif kind == "hum":
        base = rng.choice([50.0, 60.0, 100.0, 120.0, rng.uniform(80, 400)])
        x = sum(np.sin(2 * np.pi * base * k * time_s + rng.uniform(0, 6)) * rng.uniform(0, 1) / k for k in range(1, 16))
        x = x + 0.05 * rng.normal(0, 1, n)
    elif kind == "fan":
        wobble = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.5, 12) * time_s)
        x = _coloured(n, -4.0, rng) * wobble
        x = x / x.std() + 0.5 * np.sin(2 * np.pi * rng.uniform(100, 900) * time_s)
    elif kind == "clicks":
        x = _coloured(n, rng.uniform(-6, 2), rng) * _bursts(n, rng, rng.uniform(1, 8), 0.001, rng.uniform(0.003, 0.03))
    elif kind == "breath":
        band = scipy.signal.butter(
            2, (rng.uniform(200, 800), rng.uniform(2500, 6000)), "band", fs=SAMPLE_RATE, output="sos"
        )
        x = scipy.signal.sosfilt(band, rng.normal(0, 1, n)) * _bursts(n, rng, 0.5, 0.3, 0.3)
    elif kind == "tones":
        x = np.zeros(n)
        for _ in range(int(seconds * rng.uniform(1, 6))):
            start, length = rng.integers(0, n), int(rng.uniform(0.1, 1.5) * SAMPLE_RATE)
            part = time_s[: max(0, min(length, n - start))]
            pitch = 110 * 2 ** (rng.integers(0, 40) / 12)
            note = sum(np.sin(2 * np.pi * pitch * k * part) / k ** rng.uniform(1, 2) for k in range(1, 8))
            x[start : start + len(part)] += note * np.exp(-part * rng.uniform(0.5, 6)) * rng.uniform(0.2, 1)
        x = x + 1e-3 * rng.normal(0, 1, n)
    elif kind == "band":
        x = _band(n, rng)
    else:
        raise ValueError(f"expected one of {', '.join(NOISE_KINDS)}, got {kind!r}")
    return (x * (0.1 / (np.sqrt(np.mean(np.square(x))) + 1e-9))).astype(np.float32)


def babble(
    voices: Sequence[Float[np.ndarray, " n"]], seconds: float, rng: np.random.Generator
) -> Float[np.ndarray, " n"]:
    """Many voices at once, at -20 dBFS."""
    n = int(seconds * SAMPLE_RATE)
    total = np.zeros(n, np.float32)
    for _ in range(int(rng.integers(5, 10))):
        joined = np.zeros(0, np.float32)
        while len(joined) < n:
            joined = np.concatenate([joined, voices[int(rng.integers(len(voices)))]])
        total += joined[:n] / (np.sqrt(np.mean(joined**2)) + 1e-9) * rng.uniform(0.3, 1)
    return total * (0.1 / (np.sqrt(np.mean(total**2)) + 1e-9))
