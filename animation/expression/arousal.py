"""How aroused a voice sounds, against what is usual for its speaker; live, from the past only.

Level, pitch and its range, tempo, and spectral tilt all rise with arousal; a whisper, which has no pitch at all, is
taken for calm. What can be heard of valence in this way is little: joy and rage sound alike, and so do grief and
boredom. A voice that is loud for half a minute becomes what is usual.

References: Scherer, "Vocal communication of emotion: a review of research paradigms", 2003, table 2; Banse and Scherer,
"Acoustic profiles in vocal emotion expression", 1996.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from jaxtyping import Float

from animation.speech.acoustics import Acoustics

__all__ = ["ArousalTracker"]

_CUES = ("level", "pitch", "range", "tempo", "tilt", "voicing")
_WEIGHTS = np.array([0.32, 0.3, 0.12, 0.3, 0.22, 0.3])
_SPREAD = np.array([4.0, 2.0, 1.0, 0.9, 4.0, 0.18])
"""What counts as one step: dB, semitones, semitones, syllables a second, dB, share of speech."""


class ArousalTracker:
    """Follows a voice, hop by hop. The number is 0 for the speaker's usual voice, towards 1 for a shout and towards -1
    for a murmur; in pauses it returns to 0 slowly."""

    _NOW_S = 0.9
    """Over how much speech the present is measured."""
    _USUAL_S = 25.0
    """Over how much speech the usual is."""
    _FIRST_S = 2.0
    """So much speech is heard before anything is said."""
    _TEMPO_S = 2.0
    _ACTIVE_DB = 22.0
    _DIP_DB = 4.0

    def __init__(self, rate_hz: float) -> None:
        self._dt = 1 / rate_hz
        self._hops = round(self._TEMPO_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget the speaker."""
        self.value = 0.0
        self._loud_db = -60.0
        self._heard_s = 0.0
        self._now: Float[np.ndarray, " c"] | None = None
        self._usual: Float[np.ndarray, " c"] | None = None
        self._pitch_st, self._pitch_square, self._tilt = 0.0, 0.0, 0.0
        self._voiced_hops = 0
        self._nuclei: deque[bool] = deque(maxlen=self._hops)
        self._top_db = self._bottom_db = -60.0
        self._rising = True

    def feed(self, heard: Acoustics, voice: float) -> float:
        """One hop: its acoustics, and voice activity 0..1."""
        self._loud_db += (0.2 if heard.sonority_db > self._loud_db else 0.002) * (heard.sonority_db - self._loud_db)
        if voice < 0.5 or heard.sonority_db < self._loud_db - self._ACTIVE_DB:
            if voice < 0.5:
                self.value *= math.exp(-self._dt / 4.0)
            return self.value
        self._nuclei.append(self._nucleus(heard.sonority_db))
        voiced = heard.pitch_hz > 0
        if voiced:
            self._follow_voicing(heard)
        self._heard_s += self._dt
        cues = np.array(
            [
                heard.loudness_db,
                self._pitch_st,
                math.sqrt(max(self._pitch_square - self._pitch_st**2, 0.0)),
                sum(self._nuclei) / (len(self._nuclei) * self._dt),
                self._tilt,
                float(voiced),
            ]
        )
        if self._now is None or self._usual is None:
            self._now, self._usual = cues.copy(), cues.copy()
        share = self._dt / min(self._heard_s, self._NOW_S)
        self._now = self._now + share * (cues - self._now)
        slow = self._dt / min(self._heard_s, self._USUAL_S)
        self._usual = self._usual + slow * (cues - self._usual)
        if self._heard_s < self._FIRST_S:
            return 0.0
        steps = np.clip((self._now - self._usual) / _SPREAD, -3, 3)
        goal = math.tanh(0.8 * float(_WEIGHTS @ steps))
        self.value += self._dt / 0.35 * (goal - self.value)
        return self.value

    def _follow_voicing(self, heard: Acoustics) -> None:
        st = 12 * math.log2(heard.pitch_hz / 100)
        self._voiced_hops += 1
        if self._voiced_hops > 25 and abs(st - self._pitch_st) > 9:  # an octave off: a mistake, or a squeak
            return
        share = 1 / min(self._voiced_hops, round(self._NOW_S / self._dt))
        self._pitch_st += share * (st - self._pitch_st)
        self._pitch_square += share * (st * st - self._pitch_square)
        self._tilt += share * (min(max(heard.tilt_db, -45.0), 5.0) - self._tilt)

    def _nucleus(self, sonority_db: float) -> bool:
        """Whether a syllable's loudest moment has just passed."""
        if self._rising:
            self._top_db = max(self._top_db, sonority_db)
            if sonority_db < self._top_db - self._DIP_DB:
                self._rising, self._bottom_db = False, sonority_db
                return True
            return False
        self._bottom_db = min(self._bottom_db, sonority_db)
        if sonority_db > self._bottom_db + self._DIP_DB:
            self._rising, self._top_db = True, sonority_db
        return False
