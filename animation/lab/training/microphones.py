"""What lies between a mouth and a model: microphones, amplifiers, codecs, and programs that mean well."""

from __future__ import annotations

import io
import logging

import av
import numpy as np
import scipy.signal
import soxr
from jaxtyping import Float

from animation.speech.audio import SAMPLE_RATE

__all__ = ["automatic_gain", "codec", "microphone", "noise_suppression", "recorded"]

_log = logging.getLogger(__name__)

# Encoder, container, sample rate, bits a second from and to.
_CODECS = (
    ("libopus", "ogg", 16000, 6000, 24000),
    ("libmp3lame", "mp3", 16000, 16000, 40000),
    ("aac", "adts", 16000, 16000, 40000),
    ("mp2", "mp2", 16000, 24000, 48000),
    ("libopencore_amrnb", "amr", 8000, 4750, 12200),
    ("pcm_mulaw", "wav", 8000, 0, 0),
    ("adpcm_ima_wav", "wav", 8000, 0, 0),
)
_MOST_LAG_S = 0.2


def microphone(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A cheap microphone: no bass, few highs, resonances of its case, and sometimes too little headroom."""
    bands = [scipy.signal.butter(2, rng.uniform(60, 400), "high", fs=SAMPLE_RATE, output="sos")]
    if rng.random() < 0.6:
        order, edge = int(rng.integers(1, 5)), rng.uniform(3000, 7500)
        bands.append(scipy.signal.butter(order, edge, "low", fs=SAMPLE_RATE, output="sos"))
    for _ in range(int(rng.integers(0, 4))):
        bands.append(_peak(rng.uniform(150, 6500), rng.uniform(-9, 9), rng.uniform(0.7, 5.0)))
    x = scipy.signal.sosfilt(np.concatenate(bands), samples)
    if rng.random() < 0.25:
        limit = np.abs(x).max() * rng.uniform(0.15, 0.7) + 1e-9
        x = limit * np.tanh(x / limit) if rng.random() < 0.5 else np.clip(x, -limit, limit)
    return x.astype(np.float32)


def _peak(hz: float, gain_db: float, quality: float) -> Float[np.ndarray, "1 6"]:
    """A resonance or a dip, as a second-order section.

    Reference: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients", peaking EQ.
    """
    amplitude = 10 ** (gain_db / 40)
    angle = 2 * np.pi * hz / SAMPLE_RATE
    alpha, cosine = np.sin(angle) / (2 * quality), np.cos(angle)
    over = np.array([1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude])
    under = np.array([1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude])
    return np.concatenate([over, under])[None] / under[0]


def automatic_gain(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Quiet made loud and loud made quiet, as recorders and calls do: pauses pump up, onsets overshoot."""
    release = np.exp(-1 / (SAMPLE_RATE * rng.uniform(0.05, 0.6)))
    envelope = np.sqrt(scipy.signal.lfilter([1 - release], [1, -release], np.square(samples, dtype=np.float64)) + 1e-12)
    loud = np.quantile(envelope, 0.9) + 1e-9
    gain = (np.maximum(envelope, loud * 10 ** (-rng.uniform(15, 40) / 20)) / loud) ** -rng.uniform(0.3, 0.85)
    return (samples * gain).astype(np.float32)


def noise_suppression(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Steady noise taken away band by band, with what such programs take away from a voice, too."""
    size = 512
    _, _, spectrum = scipy.signal.stft(samples, SAMPLE_RATE, nperseg=size)
    power = np.abs(spectrum) ** 2
    floor = np.quantile(power, rng.uniform(0.1, 0.4), axis=1, keepdims=True) * rng.uniform(1, 4)
    gain = np.clip(1 - floor / (power + 1e-12), 10 ** (-rng.uniform(8, 30) / 20), 1)
    _, x = scipy.signal.istft(spectrum * gain, SAMPLE_RATE, nperseg=size)
    return _fitted(x, len(samples))


def codec(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The sound after a lossy codec, in step with what it was. Encoders that this FFmpeg lacks are passed over."""
    order = rng.permutation(len(_CODECS))
    for index in order:
        name, container, rate, least, most = _CODECS[index]
        bits = int(rng.uniform(least, most)) if most else 0
        try:
            coded = _coded(samples, name, container, rate, bits)
        except (av.FFmpegError, ValueError, OSError) as error:
            _log.debug("codec %s: %s", name, error)
            continue
        return _in_step(coded, samples)
    return samples


def _coded(samples: Float[np.ndarray, " n"], name: str, container: str, rate: int, bits: int) -> np.ndarray:
    sound = soxr.resample(samples, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else samples
    whole = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(name, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if bits:
            stream.bit_rate = bits
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    buffer.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(buffer, "r") as coded:
        parts = [part for frame in coded.decode(audio=0) for part in resampler.resample(frame)]
        parts += resampler.resample(None)
    return np.concatenate([part.to_ndarray().reshape(-1) for part in parts])


def _in_step(coded: Float[np.ndarray, " m"], samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Codecs delay: shifted back to where it correlates best with what went in."""
    size = 1 << int(np.ceil(np.log2(len(coded) + len(samples))))
    correlation = np.fft.irfft(np.fft.rfft(coded, size) * np.conj(np.fft.rfft(samples, size)), size)
    most = int(_MOST_LAG_S * SAMPLE_RATE)
    lags = np.concatenate([np.arange(most), np.arange(-most, 0)])
    lag = int(lags[correlation[lags].argmax()])
    return _fitted(coded[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.float32), coded]), len(samples))


def _fitted(x: np.ndarray, count: int) -> Float[np.ndarray, " n"]:
    return np.pad(x[:count], (0, max(0, count - len(x)))).astype(np.float32)


def recorded(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The sound through a random chain of these, in the order in which a recording meets them."""
    for step, chance in ((microphone, 0.65), (automatic_gain, 0.25), (noise_suppression, 0.2), (codec, 0.35)):
        if rng.random() < chance:
            samples = step(samples, rng)
    return samples
