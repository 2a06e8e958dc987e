"""Where the eyes look.

References: Bahill, Clark and Stark, "The main sequence", 1975 (2.2 ms a degree + 21 ms); Lee, Badler and Badler, "Eyes
alive", 2002 (gaze in conversation); Kendon, "Some functions of gaze-direction in social interaction", 1967 (listeners
look at who speaks, speakers away as they plan); Adams and Kleck, "Effects of direct and averted gaze on the perception
of facially communicated emotion", 2005 (direct in anger, averted in sadness and fear).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from animation.life.manner import Manner
from animation.smoothing import ease
from animation.speech.prosody import Prosody

__all__ = ["GazeMotion"]


class GazeMotion:
    """Where the eyes point in space: at the camera most of the time, with small saccades and short looks away."""

    _FIXATION_S = (0.35, 1.6)
    _AWAY_S = (0.4, 1.3)
    _EVERY_S = 7.0
    _LISTENING = 0.35
    """How often those who listen look away, relative to those who speak."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._from = self._to = np.zeros(2)
        self._start_s, self._duration_s = -1.0, 0.03
        self._next_s = rng.uniform(*self._FIXATION_S)
        self._next_away_s = rng.exponential(8.0) + 3.0
        self._away = False
        self.shifted = False

    def step(self, time_s: float, prosody: Prosody, manner: Manner, turning: bool = False) -> Float[np.ndarray, "2"]:
        """Direction up and to the subject's left, radians. `shifted` tells whether a large saccade began.

        Args:
            turning: another feeling is about to set in: the eyes leave for a moment first.
        """
        self.shifted = False
        if prosody.phrase_start and not self._away and self._rng.uniform() < 0.25 * min(manner.away_rate, 2.0):
            self._next_away_s = min(self._next_away_s, time_s)  # speakers look away as they plan what to say
        if prosody.phrase_end and self._away:
            self._next_s = time_s  # and back at the listener as they finish
        if turning and not self._away:
            self._look(time_s, self._elsewhere(manner), self._rng.uniform(0.22, 0.4))
            self._away = True
        elif time_s >= self._next_s:
            self._saccade(time_s, prosody, manner)
        part = ease((time_s - self._start_s) / self._duration_s)
        return self._from + part * (self._to - self._from)

    def _saccade(self, time_s: float, prosody: Prosody, manner: Manner) -> None:
        rng = self._rng
        if not self._away and time_s >= self._next_away_s:
            self._away = True
            stay_s = rng.uniform(*self._AWAY_S) * manner.away_length
            often = manner.away_rate * (1.0 if prosody.activity > 0.2 else self._LISTENING)
            self._next_away_s = time_s + stay_s + (3.0 + rng.exponential(self._EVERY_S)) / max(often, 0.1)
            self._look(time_s, self._elsewhere(manner), stay_s)
            return
        self._away = False
        # Within the camera's surroundings: from one eye of the person there to the other, to the mouth.
        aim = np.radians(np.clip(rng.normal(0, [0.45, 0.7]), -1.6, 1.6))
        self._look(time_s, aim, rng.uniform(*self._FIXATION_S))

    def _elsewhere(self, manner: Manner) -> Float[np.ndarray, "2"]:
        side = self._rng.choice([-1.0, 1.0])
        return np.radians([self._rng.normal(-1.0 - manner.away_down_deg, 2.5), side * self._rng.uniform(3.0, 8.0)])

    def _look(self, time_s: float, aim: Float[np.ndarray, "2"], stay_s: float) -> None:
        part = ease((time_s - self._start_s) / self._duration_s)
        self._from = self._from + part * (self._to - self._from)
        self._to = aim
        size_deg = math.degrees(float(np.hypot(*(self._to - self._from))))
        self.shifted = size_deg > 4.0
        self._start_s, self._duration_s = time_s, 0.021 + 0.0022 * size_deg
        self._next_s = time_s + stay_s
