"""What can be heard of a voice beside its phonemes, hop by hop: loudness, pitch, and how it is produced."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from animation.speech.audio import HOP_SAMPLES, SAMPLE_RATE

__all__ = ["PITCH_WINDOW", "SILENT", "Acoustics", "VoiceAnalyzer", "pitch_of"]

PITCH_WINDOW = 800
"""50 ms: three periods of the lowest voice."""
_FFT_SIZE = 2048
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 1000.0
_PEAK_SHARE = 0.86
_VOICED = 0.6
_QUIETEST = 1e-10


class Acoustics(NamedTuple):
    """One hop of 20 ms; the windows end with it."""

    loudness_db: float
    """Of full scale, 50 ms."""
    pitch_hz: float
    """0 where there is none."""
    clarity: float
    """How periodic the sound is, 0..1; a voice has 0.6 and more."""
    tilt_db: float
    """Energy at 1-5 kHz over that at 60-1000 Hz: a pressed or loud voice has more of it."""
    sonority_db: float
    """Energy at 250-3000 Hz, where vowels stand out from consonants."""


SILENT = Acoustics(-100.0, 0.0, 0.0, 0.0, -100.0)
"""No sound at all."""


class VoiceAnalyzer:
    """Streaming analysis; however the sound is cut, the numbers are the same. Costs about 0.1 ms a hop.

    Reference: McLeod and Wyvill, "A smarter way to find pitch", ICMC 2005.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._window = np.zeros(PITCH_WINDOW, np.float32)
        self._pending = np.zeros(0, np.float32)

    def feed(self, samples: Float32[np.ndarray, " n"]) -> list[Acoustics]:
        """The hops that the next sound, mono at 16 kHz, completes."""
        sound = np.concatenate([self._pending, np.nan_to_num(np.asarray(samples, np.float32))])
        count = len(sound) // HOP_SAMPLES
        self._pending = sound[count * HOP_SAMPLES :].copy()
        return [self._hop(sound[k * HOP_SAMPLES : (k + 1) * HOP_SAMPLES]) for k in range(count)]

    def _hop(self, samples: Float32[np.ndarray, " 320"]) -> Acoustics:
        self._window = np.concatenate([self._window[HOP_SAMPLES:], samples])
        x = self._window.astype(np.float64)
        power = np.abs(np.fft.rfft(x * _HANN, _FFT_SIZE)) ** 2
        low, high, middle = (float(power[band].sum()) + _QUIETEST for band in _BANDS)
        energy = float(np.mean(x * x)) + _QUIETEST
        pitch_hz, clarity = pitch_of(x) if energy > 1e-8 else (0.0, 0.0)
        return Acoustics(
            10 * float(np.log10(energy)),
            pitch_hz,
            clarity,
            10 * float(np.log10(high / low)),
            10 * float(np.log10(middle / _HANN_POWER)),
        )


def pitch_of(x: Float[np.ndarray, " 800"]) -> tuple[float, float]:
    """Pitch in Hz, 0 if the sound is not periodic, and the clarity of the period."""
    x = x - x.mean()
    spectrum = np.fft.rfft(x, _FFT_SIZE)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: _LONGEST + 2]
    squares = np.concatenate([[0.0], np.cumsum(x * x)])
    n = np.arange(_LONGEST + 2)
    energy = squares[PITCH_WINDOW - n] + squares[-1] - squares[n]
    nsdf = 2 * correlation / (energy + _QUIETEST)
    inner = nsdf[_SHORTEST : _LONGEST + 1]
    peaks = np.flatnonzero((inner > nsdf[_SHORTEST - 1 : _LONGEST]) & (inner >= nsdf[_SHORTEST + 1 : _LONGEST + 2]))
    # The slope down from lag 0 is no peak: a period lies beyond the first trough below zero.
    below = np.flatnonzero(nsdf[:_LONGEST] < 0)
    peaks = peaks[peaks + _SHORTEST > (below[0] if len(below) else _LONGEST)] + _SHORTEST
    if not len(peaks):
        return 0.0, 0.0
    heights = nsdf[peaks]
    lag = int(peaks[np.argmax(heights >= _PEAK_SHARE * heights.max())])
    before, at, after = nsdf[lag - 1 : lag + 2]
    curve = before - 2 * at + after
    shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
    clarity = min(max(float(at), 0.0), 1.0)
    return (SAMPLE_RATE / (lag + shift) if clarity >= _VOICED else 0.0), clarity


_SHORTEST, _LONGEST = round(SAMPLE_RATE / _HIGHEST_HZ), round(SAMPLE_RATE / _LOWEST_HZ)
_HANN = np.hanning(PITCH_WINDOW)
_HANN_POWER = float((_HANN**2).sum()) * _FFT_SIZE / 2
_FREQUENCIES = np.fft.rfftfreq(_FFT_SIZE, 1 / SAMPLE_RATE)
_BANDS = tuple(
    slice(*np.searchsorted(_FREQUENCIES, edges)) for edges in ((60.0, 1000.0), (1000.0, 5000.0), (250.0, 3000.0))
)
