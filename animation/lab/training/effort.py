"""Vocal effort by processing: whispered, raised and soft voices made of ordinary ones, at the same times."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.signal
from jaxtyping import Float

from animation.speech.audio import SAMPLE_RATE

__all__ = ["raised", "softened", "whispered"]

_ORDER = 18
_FRAME, _STEP = 480, 240
_TINY = 1e-9


def whispered(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The voice's resonances excited by breath: linear prediction, with noise in place of the residual."""
    window = np.hanning(_FRAME)
    padded = np.pad(samples.astype(np.float64), (_FRAME, _FRAME))
    out = np.zeros(len(padded) + _FRAME)
    breath = rng.normal(0, 1, len(out))
    for start in range(0, len(padded) - _FRAME, _STEP):
        frame = padded[start : start + _FRAME] * window
        correlation = np.correlate(frame, frame, "full")[_FRAME - 1 : _FRAME + _ORDER]
        if correlation[0] < _TINY:
            continue
        correlation[0] *= 1.0001
        prediction = scipy.linalg.solve_toeplitz(correlation[:-1], correlation[1:])
        gain = np.sqrt(max(correlation[0] - prediction @ correlation[1:], 0.0) / _FRAME)
        filtered = scipy.signal.lfilter([1.0], np.concatenate([[1.0], -prediction]), breath[start : start + _FRAME])
        out[start : start + _FRAME] += gain * filtered * window
    high = scipy.signal.butter(1, rng.uniform(300, 900), "high", fs=SAMPLE_RATE, output="sos")
    return _levelled(scipy.signal.sosfilt(high, out[_FRAME : _FRAME + len(samples)]), samples)


def raised(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> tuple[Float[np.ndarray, " n"], float]:
    """A raised voice: a flatter spectrum, less difference between loud and quiet; and how much wider mouths open."""
    strength = rng.uniform(0.2, 1.0)
    edge = rng.uniform(600, 1500)
    bright = scipy.signal.sosfilt(scipy.signal.butter(1, edge, "high", fs=SAMPLE_RATE, output="sos"), samples)
    x = samples + 3.0 * strength * bright
    drive = (1.0 + 4.0 * strength) / (np.abs(x).max() + _TINY)
    return _levelled(np.tanh(drive * x), samples), 1.0 + 0.5 * strength


def softened(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> tuple[Float[np.ndarray, " n"], float]:
    """A soft, mumbling voice: a steeper spectrum; and how much less wide mouths open."""
    strength = rng.uniform(0.2, 1.0)
    edge = rng.uniform(500, 1200)
    dull = scipy.signal.sosfilt(scipy.signal.butter(1, edge, "low", fs=SAMPLE_RATE, output="sos"), samples)
    return _levelled((1.0 - 0.7 * strength) * samples + 0.7 * strength * dull, samples), 1.0 - 0.35 * strength


def _levelled(x: np.ndarray, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """As loud as the samples."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)) + _TINY)
    return (x * (level / (np.sqrt(np.mean(np.square(x))) + _TINY))).astype(np.float32)
