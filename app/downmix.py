"""One voice out of a recording's channels: those in which somebody speaks, neither diluted nor cancelled."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

__all__ = ["Downmix"]

_HOP_S = 0.02
_CHOOSE_S = 0.05
_RAMP_S = 0.01
_LOWEST_HZ, _HIGHEST_HZ = 250.0, 3800.0
_POWER_FLOOR = 1e-9
_DIGITAL_SILENCE = 1e-8
"""Power below which a channel says nothing about the noise of its room: it is switched off."""


class Downmix:
    """Takes the channel that speech is in; a second one only where somebody else speaks in it.

    Channels are judged by their loudness over time alone, so that polarity and delay between microphones do not
    matter: what rises above a channel's own steady noise counts as voice. Of channels that rise and fall together (a
    stereo recording, two microphones before one mouth) the best is taken as it is: averaging them would cancel
    antiphase stereo and cost 6 dB where one side is silent. Channels that take turns (two people with a microphone
    each) are added. Where the layout names a centre channel, that is where dialogue is mixed, and it goes first; the
    low-frequency effects channel never speaks.

    A block's own sound is heard before its mix is decided, so nothing is delayed. For one thread.
    """

    _VOICE_S = 4.0
    """How long a channel is remembered to have spoken."""
    _TOGETHER_S = 3.0
    """Over how long channels are compared."""
    _NOISE_RISE_DB_S = 3.0
    _ABOVE_NOISE = 4.0
    """Sound with less than this many times the power of the steady noise is no voice."""
    _LOUDNESS_SHARE = 1e-3
    """What mere loudness counts: it decides until somebody has spoken."""
    _CENTRE = 10.0
    """How much more a centre channel counts than its power."""
    _LOYALTY = 2.0
    """How much more another channel must have to take the place of the one that is heard."""
    _JOIN, _LEAVE = 0.03, 0.01
    """Share of the best channel's voice from which another speaker's is added, and below which it goes again."""
    _ALIKE, _STILL_ALIKE = 0.4, 0.6
    """Correlation of loudness above which two channels hold the same speaker."""
    _LEAST_SPREAD_DB = 2.0
    """Channels whose loudness varies less cannot be told apart."""

    def __init__(self, channels: int, rate: int, names: Sequence[str] = (), pick: int | None = None) -> None:
        """
        Args:
            names: of the channels in a layout that has names, such as FL, FR, FC, LFE.
            pick: take this channel, counted from 0, and no other.

        Raises:
            ValueError: for no channels, or a pick that is not there.
        """
        if channels < 1 or (pick is not None and not 0 <= pick < channels):
            raise ValueError(f"expected a channel in 0..{channels - 1}, got {pick}")
        self.channels = channels
        self._rate = rate
        self._pick = 0 if channels == 1 else pick
        known = {"FC": self._CENTRE, "LFE": 0.0}
        self._prior = np.array([known.get(name, 1.0) for name in (*names, *[""] * channels)[:channels]])
        self._centre = names.index("FC") if channels > 1 and "FC" in names[:channels] else None
        self._noise = np.full(channels, np.nan)
        self._voice = np.zeros(channels)
        self._heard_s = self._choose_s = 0.0
        self._mean = np.zeros(channels)
        self._covariance = np.zeros((channels, channels))
        self._chosen = [0]
        self._weights: Float32[np.ndarray, " c"] | None = None

    @property
    def chosen(self) -> tuple[int, ...]:
        """The channels that are heard now, counted from 0; the best first."""
        return (self._pick,) if self._pick is not None else tuple(self._chosen)

    def feed(self, samples: Float32[np.ndarray, "n c"]) -> Float32[np.ndarray, " n"]:
        """The voice in a block."""
        if self._pick is not None or not len(samples):
            return np.ascontiguousarray(samples[:, self._pick or 0], np.float32)
        self._listen(samples)
        score = self._voice * self._prior
        if self._heard_s >= self._choose_s or int(score.argmax()) != self._chosen[0]:
            self._choose(score)
            self._choose_s = self._heard_s + _CHOOSE_S
        weights = np.zeros(self.channels, np.float32)
        weights[self._chosen] = 1.0
        before, self._weights = self._weights, weights
        if before is None or (before == weights).all():
            return _mixed(samples, weights)
        n = min(len(samples), max(1, round(_RAMP_S * self._rate)))
        share = np.arange(1, n + 1, dtype=np.float32)[:, None] / np.float32(n)
        mono = _mixed(samples, weights)
        mono[:n] = (samples[:n] * (before + share * (weights - before))).sum(1)
        return mono

    def _listen(self, samples: Float32[np.ndarray, "n c"]) -> None:
        """Take the block's loudness in, where voices have most of theirs: neither hum nor hiss."""
        pieces = max(1, round(len(samples) / (self._rate * _HOP_S)))
        edges = np.linspace(0, len(samples), pieces + 1).round().astype(int)
        for start, end in itertools.pairwise(edges):
            window, low, high, scale = _band(int(end - start), self._rate)
            spectrum = np.fft.rfft(samples[start:end].T * window)[:, low:high]
            power = scale * (spectrum.real**2 + spectrum.imag**2).sum(1)
            self._hop(power, (end - start) / self._rate)

    def _hop(self, power: Float64[np.ndarray, " c"], hop_s: float) -> None:
        sounding = power > _DIGITAL_SILENCE
        risen = self._noise * 10 ** (self._NOISE_RISE_DB_S * hop_s / 10)
        self._noise = np.where(sounding, np.fmin(power, risen), risen)
        limit = self._ABOVE_NOISE * np.where(np.isnan(self._noise), 0.0, self._noise) + _POWER_FLOOR
        keep = np.exp(-hop_s / self._VOICE_S)
        fresh = np.maximum(power - limit, 0.0) + self._LOUDNESS_SHARE * power
        self._voice = keep * self._voice + (1 - keep) * fresh
        above_db = np.clip(10 * np.log10((power + _POWER_FLOOR) / limit), 0.0, 40.0)
        follow = 1 - np.exp(-hop_s / self._TOGETHER_S)
        difference = above_db - self._mean
        self._mean += follow * difference
        self._covariance += follow * (np.outer(difference, difference) - self._covariance)
        self._heard_s += hop_s

    def _choose(self, score: Float64[np.ndarray, " c"]) -> None:
        best = int(score.argmax())
        if self._chosen and score[self._chosen[0]] * self._LOYALTY >= score[best]:
            best = self._chosen[0]
        chosen = [best]
        if best != self._centre and self._heard_s >= self._TOGETHER_S / 2:
            spread_db = np.sqrt(np.maximum(np.diag(self._covariance), self._LEAST_SPREAD_DB**2))
            steady = np.diag(self._covariance) < self._LEAST_SPREAD_DB**2
            alike = np.where(steady[:, None] | steady, 1.0, self._covariance / np.outer(spread_db, spread_db))
            for other in np.argsort(-score, kind="stable"):
                there = int(other) in self._chosen
                loud = score[other] > score[best] * (self._LEAVE if there else self._JOIN)
                limit = self._STILL_ALIKE if there else self._ALIKE
                if loud and other not in chosen and alike[other, chosen].max() < limit:
                    chosen.append(int(other))
        self._chosen = chosen


@functools.lru_cache(maxsize=16)
def _band(n: int, rate: int) -> tuple[Float64[np.ndarray, " n"], int, int, float]:
    """Window of a piece of n samples, the bins of its spectrum where voices are, and what makes power of them."""
    window = np.hanning(n + 2)[1:-1]
    hz = np.fft.rfftfreq(n, 1 / rate)
    low, high = (int(i) for i in np.searchsorted(hz, (_LOWEST_HZ, _HIGHEST_HZ)))
    return window, low, max(high, low + 1), 2 / (n * float(np.square(window).sum()))


def _mixed(samples: Float32[np.ndarray, "n c"], weights: Float32[np.ndarray, " c"]) -> Float32[np.ndarray, " n"]:
    """The channels of weight 1, added; one alone comes through bit by bit."""
    heard = np.flatnonzero(weights)
    mono = np.array(samples[:, heard[0]], np.float32)
    for channel in heard[1:]:
        mono += samples[:, channel]
    return mono
