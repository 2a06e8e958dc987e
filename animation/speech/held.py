"""Vowels that last, as in singing: told by their resonances, which no network of speech has learned to expect so long.

A voiced sound is a row of harmonics; the mouth's shape is read from how strong each of them is, against how strong the
tract of each vowel would pass it. A tone that tilts evenly (a sine, a hum, a flute) is explained as well without any
tract, and so is no vowel.

References: J. Sundberg, "Formant technique in a professional female singer", Acustica 32, 1975 (above its first
resonance a singer opens the jaw with the pitch); "The acoustics of the singing voice", 1977.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from animation.smoothing import Envelope
from animation.speech.acoustics import PITCH_WINDOW, pitch_of
from animation.speech.articulation import targets
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.channels import CLOSED, JAW, REST
from animation.speech.phonemes import VISEME_INDEX, VISEME_OF, VISEMES
from animation.speech.resonances import (
    BANDWIDTHS_HZ,
    HIGHER_HZ,
    NASAL_BANDWIDTHS_HZ,
    NASALS_HZ,
    RESONANCES_HZ,
    envelope_db,
)

__all__ = ["NOTHING_HELD", "Held", "HeldVowels"]

_TRACTS = (0.9, 1.0, 1.1, 1.2, 1.3)
"""Resonances of men, women and children relative to a man's."""
_HUM = "M"
_SOUNDS = (*RESONANCES_HZ, _HUM)
_STEP_HZ, _HIGHEST_HZ = 10.0, 3400.0

_WINDOW = 1024
_FFT_SIZE = 4096


class Held(NamedTuple):
    """What is held at one hop."""

    amount: float
    """0..1: how surely the sound is a vowel, or a hum, that lasts."""
    articulation: Float[np.ndarray, " 7"]
    """The mouth that makes it."""
    visemes: Float[np.ndarray, " v"]
    """Which it is, as probabilities."""


NOTHING_HELD = Held(0.0, REST, np.eye(len(VISEMES), dtype=np.float32)[0])


class HeldVowels:
    """Listens hop by hop to what the last 64 ms sound like. Costs about 0.3 ms a hop while there is a tone."""

    _QUIETEST_DB = -55.0
    _CLEAR = 0.8
    """Periodicity of a sung tone."""
    _SETS_IN_S, _SURE_S = 0.1, 0.22
    """How long a tone has to sound like one vowel or another to begin to count, and to count fully."""
    _LONGEST_S = 25.0
    """No breath lasts longer: a tone that does comes from a machine."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._sound = np.zeros(_WINDOW)
        self._errors: Float[np.ndarray, "s r"] | None = None
        self._lasted_s = self._tone_s = 0.0
        self._amount = Envelope(1 / HOP_S, attack_s=0.04, release_s=0.05)
        self._held = NOTHING_HELD
        self._usual_st: float | None = None

    def hop(self, samples: Float[np.ndarray, " 320"], voice: float = 0.0) -> Held:
        """The next 20 ms.

        Args:
            samples: mono, 16 kHz.
            voice: how surely somebody speaks, by what else is known: less is asked of the sound of a voice that is.
        """
        self._sound = np.concatenate([self._sound[len(samples) :], samples])
        recent = self._sound[-PITCH_WINDOW:]
        loud = 10 * math.log10(float(np.mean(recent * recent)) + 1e-10) > self._QUIETEST_DB
        pitch_hz, clarity = pitch_of(recent) if loud else (0.0, 0.0)
        believed = self._lasted_s >= self._SETS_IN_S or voice > 0.5
        errors = self._fit(pitch_hz, _GOING_ON if believed else _SETTING_IN) if clarity >= self._CLEAR else None
        self._tone_s = self._tone_s + HOP_S if clarity >= self._CLEAR else 0.0
        if errors is None or self._tone_s > self._LONGEST_S:
            self._lasted_s, self._errors, self._usual_st = 0.0, None, None
        else:
            self._lasted_s += HOP_S
            self._errors = errors if self._errors is None else self._errors + _FOLLOWS * (errors - self._errors)
        sure = (self._lasted_s - self._SETS_IN_S) / (self._SURE_S - self._SETS_IN_S)
        amount = self._amount.feed(min(max(sure, 0.0), 1.0))
        if self._errors is None:
            return self._held._replace(amount=amount)
        likely = np.exp(-(self._errors**2 - self._errors.min() ** 2) / (2 * _SPREAD_DB**2))
        shares = likely.max(1) / likely.max(1).sum()
        articulation = (shares @ _TARGETS).astype(np.float32)
        articulation[JAW] = self._sung_jaw(float(articulation[JAW]), float(articulation[CLOSED]), pitch_hz)
        self._held = Held(amount, articulation, (shares @ _SHOWN).astype(np.float32))
        return self._held

    def _fit(self, pitch_hz: float, asked: tuple[float, float, int]) -> Float[np.ndarray, "s r"] | None:
        """How far the harmonics are from what each tract would pass, dB; None if no tract explains them better than an
        even tilt does."""
        power = np.abs(np.fft.rfft(self._sound * _HANN, _FFT_SIZE)) ** 2
        harmonics = pitch_hz * np.arange(1, int(_HIGHEST_HZ / pitch_hz) + 1)
        middle = harmonics * _FFT_SIZE / SAMPLE_RATE
        reach = max(0.3 * middle[0], 1.5)
        edges = np.stack([middle - reach, middle + reach + 1], 1).astype(int)
        level_db = 10 * np.log10(np.array([power[a:b].max() for a, b in edges]) + 1e-12)
        below = level_db - level_db.max()
        weights = np.clip((below + _FLOOR_DB) / 10, 0.0, 1.0)
        misfit_db, uneven_db, least = asked
        if (weights > 0.5).sum() < least:
            return None
        octaves = np.log2(np.arange(1, len(harmonics) + 1))
        passed = _ENVELOPES[..., np.minimum((harmonics / _STEP_HZ).astype(int), _ENVELOPES.shape[-1] - 1)]
        errors = _misfit(level_db - passed, octaves, weights)
        plain = float(_misfit(level_db, octaves, weights))
        best = float(errors.min())
        return errors + _UNUSUAL_DB if best < misfit_db and plain > uneven_db else None

    def _sung_jaw(self, jaw: float, closed: float, pitch_hz: float) -> float:
        """Above its first resonance a voice needs a wider jaw; and a little of the vibrato shows."""
        st = 12 * math.log2(pitch_hz / 100)
        self._usual_st = st if self._usual_st is None else self._usual_st + 0.05 * (st - self._usual_st)
        vibrato = min(max(st - self._usual_st, -1.0), 1.0)
        tuned = float(np.interp(pitch_hz, *_JAW_BY_PITCH))
        return min(max(jaw, tuned) + _VIBRATO * vibrato, 1.0) if closed < 0.5 else jaw


def _misfit(
    left_db: Float[np.ndarray, "*batch k"], octaves: Float[np.ndarray, " k"], weights: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "*batch"]:
    """What is left of levels after the gain and the tilt of a voice's source, root mean square, dB."""
    share = weights / weights.sum()
    across = octaves - share @ octaves
    centred = left_db - (left_db @ share)[..., None]
    tilt = (centred @ (share * across)) / max(float(share @ across**2), 1e-9)
    tilt = np.clip(tilt, *_TILTS_DB)
    return np.sqrt(((centred - tilt[..., None] * across) ** 2) @ share)


_FLOOR_DB = 50.0
_SETTING_IN, _GOING_ON = (5.5, 3.8, 5), (7.5, 2.0, 3)
"""What is asked of a tone: the most that a tract may leave unexplained, the least that an even tilt must leave, both in
dB, and so many harmonics that can be heard."""
_TILTS_DB = (-24.0, 3.0)
"""Of sources, an octave."""
_SPREAD_DB = 2.0
_FOLLOWS = 0.2
_VIBRATO = 0.03
"""Of the jaw's way, a semitone."""
_JAW_BY_PITCH = ((350.0, 500.0, 700.0, 900.0), (0.0, 0.35, 0.6, 0.85))

_HANN = np.hanning(_WINDOW)
_GRID_HZ = np.arange(0.0, _HIGHEST_HZ + _STEP_HZ, _STEP_HZ)


def _envelopes() -> Float[np.ndarray, "s r f"]:
    tracts = []
    for sound in _SOUNDS:
        hz = (*RESONANCES_HZ[sound], *HIGHER_HZ) if sound in RESONANCES_HZ else NASALS_HZ[sound]
        widths = BANDWIDTHS_HZ if sound in RESONANCES_HZ else NASAL_BANDWIDTHS_HZ
        tracts.append([envelope_db([r * f for f in hz], widths, _GRID_HZ) for r in _TRACTS])
    return np.array(tracts)


_ENVELOPES = _envelopes()
_UNUSUAL_DB = np.abs(np.array(_TRACTS) - 1.1) * 4.0 + np.array([[1.5 if sound == _HUM else 0.0] for sound in _SOUNDS])
"""Hums and tracts of unusual length have to explain the sound better by so much, to be believed."""
_TARGETS = np.stack([targets(sound) for sound in _SOUNDS])
_SHOWN = np.eye(len(VISEMES))[[VISEME_INDEX[VISEME_OF[sound]] for sound in _SOUNDS]]
