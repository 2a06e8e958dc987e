"""When the lids close, and how.

Reference: Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", 1997 (17 blinks a minute at rest,
26 in conversation).
"""

from __future__ import annotations

import math

import numpy as np

from animation.life.manner import Manner
from animation.speech.prosody import Prosody

__all__ = ["BlinkMotion"]


class BlinkMotion:
    """Fast down, a moment shut, slower up.

    Intervals are log-normal. The end of a phrase often brings a blink, a large turn of the eyes too, and one in
    fourteen comes as a pair.
    """

    _MEDIAN_S, _SPREAD = 3.4, 0.55
    _SHORTEST_S = 0.9

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._next_s = 0.4 * self._interval()
        self._start_s = -10.0
        self._times = (0.1, 0.04, 0.2)
        self._follow_s = math.inf

    def step(self, time_s: float, prosody: Prosody, manner: Manner, invited: bool = False) -> float:
        """How far the lids are closed, 0..1; `invited` suggests a blink now."""
        due = time_s >= self._next_s or time_s >= self._follow_s
        if prosody.phrase_end:
            invited = self._rng.uniform() < 0.6
        elif invited:
            invited = self._rng.uniform() < 0.35
        if (due or invited) and time_s - self._start_s > (0.34 if time_s >= self._follow_s else self._SHORTEST_S):
            self._begin(time_s, manner)
        return self._shape(time_s - self._start_s)

    def _interval(self) -> float:
        return self._MEDIAN_S * math.exp(self._SPREAD * self._rng.standard_normal())

    def _begin(self, time_s: float, manner: Manner) -> None:
        doubled = time_s >= self._follow_s
        self._start_s = time_s
        close, shut, reopen = self._rng.uniform([0.08, 0.03, 0.17], [0.12, 0.06, 0.25])
        close, shut, reopen = close * manner.blink_length**0.5, shut * manner.blink_length, reopen * manner.blink_length
        self._times = (close, shut, reopen)
        self._next_s = time_s + max(self._interval() / max(manner.blink_rate, 0.1), self._SHORTEST_S)
        again = self._rng.uniform() < 1 / 14 and not doubled
        self._follow_s = time_s + close + shut + reopen + self._rng.uniform(0.02, 0.12) if again else math.inf

    def _shape(self, since_s: float) -> float:
        close, shut, reopen = self._times
        # The lids are shut for longer than one pose, so that some pose shows them fully closed.
        if since_s < close:
            return math.sin(0.5 * math.pi * max(since_s, 0.0) / close) ** 2
        if since_s <= close + shut:
            return 1.0
        # Opening starts fast and settles slowly.
        left = 1 - min((since_s - close - shut) / reopen, 1.0)
        return left * left * (3 - 2 * left) if left < 1 else 1.0
