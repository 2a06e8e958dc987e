"""Gain, mute, noise gate and level meter: block by block on mono sound."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

from app.settings import VoiceSettings

__all__ = [
    "FLOOR_DB",
    "LevelMeter",
    "NoiseGate",
]

FLOOR_DB = -60.0
"""The meter's lower end, as in OBS."""


class NoiseGate:
    """Opens within 2 ms, holds, closes over 80 ms; a gain ramp, so nothing clicks."""

    _OPEN_S, _CLOSE_S = 0.002, 0.08

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._gain = 1.0
        self._held_s = 0.0

    @property
    def open(self) -> bool:
        """Whether sound passes."""
        return self._gain > 0.5

    def process(self, samples: Float32[np.ndarray, " n"], settings: VoiceSettings) -> Float32[np.ndarray, " n"]:
        """The block, silenced where the voice is below the threshold."""
        n = len(samples)
        if not n:
            return samples
        loud = not settings.gate or _db(float(np.abs(samples).max())) >= settings.gate_db
        self._held_s = settings.gate_hold_s if loud else self._held_s - n / self._rate
        goal = 1.0 if self._held_s > 0 or loud else 0.0
        if goal == self._gain:
            return samples if goal else np.zeros_like(samples)
        step = 1 / (self._rate * (self._OPEN_S if goal > self._gain else self._CLOSE_S))
        ramp = self._gain + math.copysign(step, goal - self._gain) * np.arange(1, n + 1, dtype=np.float32)
        np.clip(ramp, 0.0, 1.0, out=ramp)
        self._gain = float(ramp[-1])
        return samples * ramp


class LevelMeter:
    """Peak and loudness with ballistics, so that whoever looks now and then misses nothing.

    Writer: the audio thread. Readers: any, one attribute at a time.
    """

    _FALL_DB_S = 24.0

    def __init__(self) -> None:
        self.peak_db = FLOOR_DB
        self.loudness_db = FLOOR_DB
        self.clipped = 0
        """Blocks in which the signal reached full scale."""
        self.silent_s = 0.0
        """How long the samples have been exactly zero: a muted or unplugged device."""

    def process(self, samples: Float32[np.ndarray, " n"], rate: int) -> None:
        """Take a block."""
        n = len(samples)
        if not n:
            return
        fall = self._FALL_DB_S * n / rate
        peak = float(np.abs(samples).max())
        self.silent_s = 0.0 if peak > 0 else self.silent_s + n / rate
        if peak >= 0.999:
            self.clipped += 1
        self.peak_db = max(_db(peak), self.peak_db - fall, FLOOR_DB)
        mean_db = _db(math.sqrt(float(np.dot(samples, samples)) / n))
        follow = min(1.0, n / rate / 0.15)
        self.loudness_db += follow * (max(mean_db, FLOOR_DB) - self.loudness_db)


def _db(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-9))
