"""Sound as the models want it: mono at 16 kHz from any device, and log-mel features, hop by hop.

Everything here is streaming and exact: however the sound is cut into chunks, the numbers that come out are the same to
the last bit.
"""

from __future__ import annotations

import math

import numpy as np
import soxr
from jaxtyping import Float

__all__ = [
    "FRAMES_PER_HOP",
    "HOP_S",
    "HOP_SAMPLES",
    "N_MELS",
    "SAMPLE_RATE",
    "LevelTracker",
    "LogMel",
    "StreamingResampler",
    "frequency_warp",
    "log_mel",
    "resample",
]

SAMPLE_RATE = 16000
HOP_SAMPLES = 320
HOP_S = HOP_SAMPLES / SAMPLE_RATE
FRAMES_PER_HOP = 2
N_MELS = 40

_FRAME_STEP = HOP_SAMPLES // FRAMES_PER_HOP
_WINDOW = 400
_FFT_SIZE = 512
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 7600.0
_POWER_FLOOR = 1e-9


def resample(samples: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, " m"]:
    """Mono sound at any rate to 16 kHz, all at once (for data; live sound goes through `StreamingResampler`)."""
    if rate == SAMPLE_RATE:
        return np.asarray(samples, np.float32)
    return soxr.resample(np.asarray(samples, np.float32), rate, SAMPLE_RATE)


class StreamingResampler:
    """Any rate and any number of channels to mono 16 kHz, in chunks of any size.

    A polyphase windowed-sinc filter, centred: sample n of the output describes the time n / 16000 s of the input. An
    output sample leaves as soon as the 1.5 ms after it have come (3 ms from 8 kHz). The library soxr streams too, but
    holds back up to 40 ms at 48 kHz and 118 ms at 8 kHz (measured with 10 ms blocks): too much for live lips.

    Args:
        rate: samples a second of the input.
        channels: channels of the input; they are averaged.

    Raises:
        ValueError: rate or channels below 1.
    """

    _ZERO_CROSSINGS = 24
    _KAISER_BETA = 9.0
    _ROLL_OFF = 0.94
    _BLOCK = 1024  # outputs computed at once: bounds the memory of a long chunk

    def __init__(self, rate: int, channels: int = 1) -> None:
        if rate < 1 or channels < 1:
            raise ValueError(f"expected a rate and channels of at least 1, got {rate} Hz and {channels} channels")
        self.rate = int(rate)
        self.channels = int(channels)
        common = math.gcd(self.rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // common, self.rate // common
        cutoff = self._ROLL_OFF * min(1.0, SAMPLE_RATE / self.rate)  # in units of the input's Nyquist frequency
        self._half = math.ceil(self._ZERO_CROSSINGS / cutoff)
        phase = np.arange(self._up)[:, None] / self._up
        offset = np.arange(-self._half + 1, self._half + 1)[None] - phase  # of each tap from the output's instant
        window = np.i0(self._KAISER_BETA * np.sqrt(np.clip(1 - (offset / self._half) ** 2, 0, 1)))
        taps = cutoff * np.sinc(cutoff * offset) * window
        self._taps = (taps / taps.sum(1, keepdims=True)).astype(np.float32).T.copy()
        self.reset()

    @property
    def delay_s(self) -> float:
        """How much sound after an output's instant must have come before it can leave."""
        return 0.0 if self._up == self._down else self._half / self.rate

    def reset(self) -> None:
        """Forget all sound, as if new."""
        self._history = np.zeros(self._half - 1, np.float32)  # inputs from number _first on
        self._first = -(self._half - 1)
        self._received = 0
        self._emitted = 0

    def _mono(self, samples: np.ndarray) -> Float[np.ndarray, " n"]:
        samples = np.asarray(samples, np.float32)
        if samples.ndim == 2 and samples.shape[1] == self.channels:
            samples = samples[:, 0] if self.channels == 1 else samples.mean(axis=1, dtype=np.float32)
        elif samples.ndim != 1 or self.channels != 1:
            raise ValueError(f"expected samples of shape (n, {self.channels}), got {samples.shape}")
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        return samples

    def feed(self, samples: Float[np.ndarray, "..."]) -> Float[np.ndarray, " m"]:
        """Take the next chunk, (n, channels) or (n,) when mono; give what it completes. Not finite numbers become 0."""
        mono = self._mono(samples)
        self._received += len(mono)
        if self._up == self._down:
            self._emitted += len(mono)
            return mono.copy()
        self._history = np.concatenate([self._history, mono])
        # Output n lies at input n * down / up and needs the inputs up to half a filter after it.
        ready = max(0, -(-(self._received - self._half) * self._up // self._down))
        return self._emit(ready)

    def finish(self) -> Float[np.ndarray, " m"]:
        """The rest, as if silence followed: the whole output has round(n * 16000 / rate) samples. Then starts anew."""
        total = round(self._received * self._up / self._down)
        if self._up == self._down:
            self.reset()
            return np.zeros(0, np.float32)
        self._history = np.concatenate([self._history, np.zeros(2 * self._half + 1, np.float32)])
        rest = self._emit(total)
        self.reset()
        return rest

    def _emit(self, until: int) -> Float[np.ndarray, " m"]:
        pieces = [np.zeros(0, np.float32)]
        while self._emitted < until:
            count = min(self._BLOCK, until - self._emitted)
            position = np.arange(self._emitted, self._emitted + count) * self._down
            base = position // self._up - (self._half - 1) - self._first
            phase = position % self._up
            # Summed tap after tap down the columns, not as a matrix product: so a sum does not depend on how many
            # outputs are made at once. A lone column would be summed pairwise; hence never fewer than two.
            if count == 1:
                base, phase = np.repeat(base, 2), np.repeat(phase, 2)
            products = self._taps[:, phase] * self._history[base + np.arange(len(self._taps))[:, None]]
            total = np.add.reduce(products, axis=0)[:count]
            pieces.append(total)
            self._emitted += count
        oldest = self._emitted * self._down // self._up - (self._half - 1)
        if oldest > self._first:
            self._history = self._history[oldest - self._first :]
            self._first = oldest
        return np.concatenate(pieces)


def _mel_filters() -> Float[np.ndarray, "bins mels"]:
    """Triangular filters, each with weights that sum to 1."""

    def to_mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    edges = 700.0 * (10.0 ** (np.linspace(to_mel(_LOWEST_HZ), to_mel(_HIGHEST_HZ), N_MELS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(_FFT_SIZE, 1 / SAMPLE_RATE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0.0, None)
    return (filters / np.maximum(filters.sum(0, keepdims=True), 1e-9)).astype(np.float32)


_FILTERS = _mel_filters()
_HANN = np.hanning(_WINDOW).astype(np.float32)
# White noise of variance v gives v in every band.
_SCALED_HANN = (_HANN / np.sqrt((_HANN**2).sum())).astype(np.float32)


def _frames_to_mel(frames: Float[np.ndarray, "t w"]) -> Float[np.ndarray, "t m"]:
    spectrum = np.fft.rfft(frames * _SCALED_HANN, _FFT_SIZE)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.log(power @ _FILTERS + np.float32(_POWER_FLOOR))


class LogMel:
    """Streaming log-mel features at 100 frames a second, two a hop.

    Frame t sees the 25 ms that end at (t + 1) * 10 ms: nothing of the future. Values are natural logarithms of power,
    white noise of variance v giving log(v) in every band.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all sound, as if new."""
        self._past = np.zeros(_WINDOW - _FRAME_STEP, np.float32)

    def hop(self, samples: Float[np.ndarray, " 320"]) -> Float[np.ndarray, "2 40"]:
        """The features of one hop of 320 samples."""
        sound = np.concatenate([self._past, samples])
        self._past = sound[HOP_SAMPLES:].copy()
        return _frames_to_mel(np.stack([sound[i * _FRAME_STEP :][:_WINDOW] for i in range(FRAMES_PER_HOP)]))


def log_mel(samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t 40"]:
    """All whole frames of a sound at once; the same values as `LogMel` up to rounding."""
    padded = np.concatenate([np.zeros(_WINDOW - _FRAME_STEP, np.float32), samples.astype(np.float32)])
    count = len(samples) // _FRAME_STEP
    if count == 0:
        return np.zeros((0, N_MELS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_FRAME_STEP][:count]
    blocks = [_frames_to_mel(frames[i : i + 2000]) for i in range(0, count, 2000)]
    return np.concatenate(blocks)


def frequency_warp(factor: float) -> Float[np.ndarray, "m m"]:
    """A matrix that stretches the mel axis of powers, as `powers @ matrix`: another length of vocal tract.

    Args:
        factor: band k is what band k * factor was; above 1 voices sound as if from a longer tract.
    """
    position = np.clip(np.arange(N_MELS) * factor, 0, N_MELS - 1)
    low = position.astype(int)
    high = np.minimum(low + 1, N_MELS - 1)
    matrix = np.zeros((N_MELS, N_MELS), np.float32)
    share = position - low
    np.add.at(matrix, (low, np.arange(N_MELS)), 1 - share)
    np.add.at(matrix, (high, np.arange(N_MELS)), share)
    return matrix


class LevelTracker:
    """A causal, slow estimate of how loud the speaker is, so that a quiet microphone looks like a loud one.

    It rises within a tenth of a second and falls by 2 dB a second, never below -50 dB: the hiss of an empty room is not
    blown up to speech.
    """

    START_DB = -25.0
    FLOOR_DB = -50.0
    RISE = 0.2  # of the distance, each hop
    FALL_DB = 0.04  # each hop

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the speaker."""
        self.level_db = self.START_DB

    def hop(self, energy_db: float) -> float:
        """Take the energy of the next hop in dB; give the level in dB."""
        self.level_db = float(self.advance(np.asarray(self.level_db), np.asarray(energy_db)))
        return self.level_db

    @classmethod
    def advance(cls, level_db: np.ndarray, energy_db: np.ndarray) -> np.ndarray:
        """One step of the recursion, for any shape."""
        risen = level_db + cls.RISE * (energy_db - level_db)
        fallen = np.maximum(np.maximum(level_db - cls.FALL_DB, energy_db), cls.FLOOR_DB)
        return np.where(energy_db > level_db, risen, fallen)
