"""Filters for streams of poses at a fixed rate. All are causal, start at their first input, and hold no clock."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

__all__ = ["Envelope", "OneEuro", "SlowNoise", "Spring", "ease"]


def ease(t: float) -> float:
    """The minimum-jerk course from 0 at t <= 0 to 1 at t >= 1."""
    t = min(max(t, 0.0), 1.0)
    return t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)


class OneEuro:
    """A low-pass filter that lets go when the signal moves: no jitter at rest, no visible lag in motion.

    Reference: Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012.
    """

    def __init__(self, rate_hz: float, cutoff_hz: float = 4.0, beta: float | Float[np.ndarray, " n"] = 2.0) -> None:
        """
        Args:
            rate_hz: samples a second.
            cutoff_hz: cut-off at rest.
            beta: how much the cut-off rises for each unit a second that the signal moves at, in Hz; one for all
                values or one for each.
        """
        self._rate, self._beta, self._cutoff = rate_hz, beta, cutoff_hz
        self._speed_gain = self._gain(6.0)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | float = 0.0

    def feed(self, value: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The filtered value, float32."""
        value = np.asarray(value, np.float32)
        if self._value is None:
            self._value = value.copy()
            return self._value
        change = (value - self._value) * self._rate
        self._speed = self._speed + self._speed_gain * (change - self._speed)
        gain = self._gain(self._cutoff + self._beta * np.abs(self._speed))
        self._value = (self._value + gain * (value - self._value)).astype(np.float32)
        return self._value

    def _gain(self, cutoff: np.ndarray | float) -> np.ndarray | float:
        return 1.0 / (1.0 + self._rate / (2 * math.pi * cutoff))


class Envelope:
    """A level that rises and falls with different time constants."""

    def __init__(self, rate_hz: float, attack_s: float, release_s: float, start: float = 0.0) -> None:
        self._up, self._down = (1 - math.exp(-1 / (rate_hz * s)) if s > 0 else 1.0 for s in (attack_s, release_s))
        self._start = start
        self.reset()

    def reset(self) -> None:
        self.level = self._start

    def feed(self, target: float) -> float:
        self.level += (self._up if target > self.level else self._down) * (target - self.level)
        return self.level


class Spring:
    """A critically damped follower: smooth position and velocity however its target jumps."""

    def __init__(self, size: int, rate_hz: float, settle_s: float | Float[np.ndarray, " n"]) -> None:
        """
        Args:
            size: how many values follow at once.
            settle_s: time to come within 5 % of a new target, one for all or one for each; may be changed at any time.
        """
        self._size, self._dt = size, 1 / rate_hz
        self.settle_s = settle_s
        self.reset()

    def reset(self) -> None:
        """At rest at zero."""
        self.position, self._velocity = np.zeros(self._size), np.zeros(self._size)

    def jump(self, position: Float[np.ndarray, " n"]) -> None:
        """Be at rest somewhere else."""
        self.position, self._velocity = np.array(position, np.float64), np.zeros(self._size)

    def push(self, velocity: Float[np.ndarray, " n"]) -> None:
        """Give it a knock: `velocity` in units a second."""
        self._velocity = self._velocity + velocity

    def feed(self, target: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """One step, solved exactly, so that it is stable at any rate."""
        omega = 4.74 / self.settle_s
        decay = np.exp(-omega * self._dt)
        offset = self.position - target
        drive = (self._velocity + omega * offset) * self._dt
        self._velocity = (self._velocity - omega * drive) * decay
        self.position = target + (offset + drive) * decay
        return self.position


class SlowNoise:
    """Smooth noise of unit variance as a function of time: a sum of sines with random frequencies and phases."""

    _TERMS = 5

    def __init__(self, rng: np.random.Generator, size: int, lowest_hz: float = 0.05, highest_hz: float = 0.4) -> None:
        steps = rng.uniform(0, 1, (size, self._TERMS))
        self._rate = 2 * math.pi * lowest_hz * (highest_hz / lowest_hz) ** steps
        self._phase = rng.uniform(0, 2 * math.pi, (size, self._TERMS))

    def at(self, time_s: float) -> Float[np.ndarray, " n"]:
        """The values at a time, about +-2 at most."""
        return np.sin(self._rate * time_s + self._phase).sum(-1) * math.sqrt(2 / self._TERMS)
