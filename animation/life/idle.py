"""Idle life: blinks, gaze and head motion, seeded, one step a pose.

References: Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", 1997 (17 blinks a minute at rest,
26 in conversation); Bahill, Clark and Stark, "The main sequence", 1975 (2.2 ms a degree + 21 ms);
Lee, Badler and Badler, "Eyes alive", 2002 (gaze in conversation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from animation.smoothing import SlowNoise, Spring, ease
from animation.speech.prosody import Prosody

__all__ = ["BlinkMotion", "GazeMotion", "HeadMotion", "IdleMotion", "IdlePose"]


@dataclass(frozen=True)
class IdlePose:
    """What idle motion adds at one pose."""

    blink: float
    """Closing of the lids, 0..1."""
    gaze: Float[np.ndarray, "2"]
    """Direction of the eyes in the head: up and to the subject's left, radians."""
    head: Float[np.ndarray, "3"]
    """Rotation of the head, axis-angle in radians: pitch down, yaw to the subject's left, roll to the right."""
    lift_m: float
    """How far breathing raises the head, metres."""


class BlinkMotion:
    """When the lids close, and how: fast down, a moment shut, slower up.

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

    def step(self, time_s: float, prosody: Prosody, rate: float = 1.0, invited: bool = False) -> float:
        """How far the lids are closed, 0..1; `rate` scales the number of blinks, `invited` suggests one now."""
        due = time_s >= self._next_s or time_s >= self._follow_s
        if prosody.phrase_end:
            invited = self._rng.uniform() < 0.6
        elif invited:
            invited = self._rng.uniform() < 0.35
        if (due or invited) and time_s - self._start_s > (0.34 if time_s >= self._follow_s else self._SHORTEST_S):
            self._begin(time_s, rate)
        return self._shape(time_s - self._start_s)

    def _interval(self) -> float:
        return self._MEDIAN_S * math.exp(self._SPREAD * self._rng.standard_normal())

    def _begin(self, time_s: float, rate: float) -> None:
        doubled = time_s >= self._follow_s
        self._start_s = time_s
        close, shut, reopen = self._rng.uniform([0.08, 0.03, 0.17], [0.12, 0.06, 0.25])
        self._times = (close, shut, reopen)
        self._next_s = time_s + max(self._interval() / max(rate, 0.1), self._SHORTEST_S)
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


class GazeMotion:
    """Where the eyes point in space: at the camera most of the time, with small saccades and short looks away."""

    _FIXATION_S = (0.35, 1.6)
    _AWAY_S = (0.4, 1.3)

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._from = self._to = np.zeros(2)
        self._start_s, self._duration_s = -1.0, 0.03
        self._next_s = rng.uniform(*self._FIXATION_S)
        self._next_away_s = rng.exponential(8.0) + 3.0
        self._away = False
        self.shifted = False

    def step(self, time_s: float, prosody: Prosody) -> Float[np.ndarray, "2"]:
        """Direction up and to the subject's left, radians. `shifted` tells whether a large saccade began."""
        self.shifted = False
        if prosody.phrase_start and not self._away and self._rng.uniform() < 0.25:
            self._next_away_s = min(self._next_away_s, time_s)  # speakers look away as they plan what to say
        if prosody.phrase_end and self._away:
            self._next_s = time_s  # and back at the listener as they finish
        if time_s >= self._next_s:
            self._saccade(time_s)
        part = ease((time_s - self._start_s) / self._duration_s)
        return self._from + part * (self._to - self._from)

    def _saccade(self, time_s: float) -> None:
        rng = self._rng
        self._from = self._to
        if not self._away and time_s >= self._next_away_s:
            self._away = True
            side = rng.choice([-1.0, 1.0])
            self._to = np.radians([rng.normal(-1.0, 2.5), side * rng.uniform(3.0, 8.0)])
            stay = rng.uniform(*self._AWAY_S)
            self._next_away_s = time_s + stay + 3.0 + rng.exponential(7.0)
        else:
            self._away = False
            # Within the camera's surroundings: from one eye of the person there to the other, to the mouth.
            self._to = np.radians(np.clip(rng.normal(0, [0.45, 0.7]), -1.6, 1.6))
            stay = rng.uniform(*self._FIXATION_S)
        size_deg = math.degrees(float(np.hypot(*(self._to - self._from))))
        self.shifted = size_deg > 4.0
        self._start_s, self._duration_s = time_s, 0.021 + 0.0022 * size_deg
        self._next_s = time_s + stay


class HeadMotion:
    """Turns of the head: slow sway and breathing always, postures and nods with the voice."""

    def __init__(self, rng: np.random.Generator, rate_hz: float) -> None:
        self._rng = rng
        self._sway = SlowNoise(rng, 3, 0.05, 0.35)
        self._stir = SlowNoise(rng, 3, 0.4, 1.3)
        self._breath_hz, self._breath_phase = rng.uniform(0.2, 0.26), rng.uniform(0, 2 * math.pi)
        self._posture = Spring(3, rate_hz, settle_s=0.9)
        self._nod = Spring(3, rate_hz, settle_s=0.38)
        self._aim = np.zeros(3)
        self._next_aim_s = rng.uniform(2.0, 5.0)

    def step(
        self, time_s: float, prosody: Prosody, amount: float = 1.0, lean: Float[np.ndarray, "3"] | None = None
    ) -> Float[np.ndarray, "3"]:
        """Rotation at a pose, axis-angle in radians; `lean` is a posture to take on (an emotion's)."""
        if prosody.phrase_start or time_s >= self._next_aim_s:
            spread = np.radians([1.2, 2.2, 1.2]) if prosody.activity > 0.3 else np.radians([0.8, 1.4, 0.8])
            self._aim = np.clip(self._rng.normal(0, spread), -2 * spread, 2 * spread)
            self._next_aim_s = time_s + self._rng.uniform(1.8, 5.0)
        if prosody.accent > 0:
            nod = self._rng.uniform(0.5, 1.2) * prosody.accent
            turn = self._rng.normal(0, 0.5, 2)
            self._nod.push(np.radians([42.0 * nod, 20.0 * nod * turn[0], 14.0 * nod * turn[1]]))
        posture = self._posture.feed(amount * self._aim + (0.0 if lean is None else lean))
        nod_now = self._nod.feed(np.radians([0.9 * prosody.energy, 0.0, 0.0]))
        sway = np.radians([0.55, 0.8, 0.5]) * self._sway.at(time_s)
        stir = np.radians([0.5, 0.55, 0.35]) * self._stir.at(time_s) * prosody.energy
        breath = np.radians([0.12, 0.0, 0.0]) * self._breath(time_s)
        return posture + amount * (nod_now + sway + stir) + breath

    def lift_m(self, time_s: float) -> float:
        """How far breathing lifts the head."""
        return 0.0004 * self._breath(time_s)

    def _breath(self, time_s: float) -> float:
        return math.sin(2 * math.pi * self._breath_hz * time_s + self._breath_phase)


class IdleMotion:
    """Blinks, gaze and head motion that belong together: the eyes hold their aim while the head turns.

    Each part draws from its own random stream, so that switching one off leaves the others as they were.
    """

    _REFLEX = 0.95
    """Gain of the vestibulo-ocular reflex."""

    def __init__(self, seed: int, rate_hz: float) -> None:
        self._seed, self._rate = seed, rate_hz
        self.reset()

    def reset(self) -> None:
        """Back to the start of the stream."""
        streams = [np.random.default_rng([self._seed, 2, part]) for part in range(3)]
        self._blink = BlinkMotion(streams[0])
        self._gaze = GazeMotion(streams[1])
        self._head = HeadMotion(streams[2], self._rate)

    def step(
        self,
        time_s: float,
        prosody: Prosody,
        *,
        lean: Float[np.ndarray, "3"] | None = None,
        look: Float[np.ndarray, "2"] | None = None,
        blink_rate: float = 1.0,
        movement: float = 1.0,
        blinks: bool = True,
        gaze: bool = True,
        head: bool = True,
    ) -> IdlePose:
        """The next pose, `time_s` after the start of the stream.

        Args:
            lean: posture of the head to take on, axis-angle in radians.
            look: where the eyes rest, up and to the subject's left, radians.
            blink_rate: blinks relative to the usual number.
            movement: head motion relative to the usual amount.
            blinks, gaze, head: what is shown; hidden motion goes on unseen.
        """
        turn = self._head.step(time_s, prosody, movement, lean)
        aim = self._gaze.step(time_s, prosody)
        shut = self._blink.step(time_s, prosody, blink_rate, self._gaze.shifted)
        if not head:
            turn = np.zeros(3)
        eyes = (aim if gaze else np.zeros(2)) + (0.0 if look is None else look)
        if gaze:
            # Pitch is positive downwards, gaze upwards: the eyes turn against the head either way.
            eyes = eyes + self._REFLEX * np.array([turn[0], -turn[1]])
        return IdlePose(shut if blinks else 0.0, eyes, turn, self._head.lift_m(time_s) if head else 0.0)
