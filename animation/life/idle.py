"""Idle life: blinks, gaze and head motion, seeded, one step a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from animation.life.blinks import BlinkMotion
from animation.life.gaze import GazeMotion
from animation.life.head import HeadMotion
from animation.life.manner import Manner
from animation.speech.prosody import Prosody

__all__ = ["IdleMotion", "IdlePose"]

_CALM = Manner()


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
        manner: Manner = _CALM,
        *,
        turning: bool = False,
        liveliness: float = 1.0,
        emphasis: float = 1.0,
        other: Prosody | None = None,
        blinks: bool = True,
        gaze: bool = True,
        head: bool = True,
    ) -> IdlePose:
        """The next pose, `time_s` after the start of the stream.

        Args:
            manner: how a feeling shows.
            turning: another feeling is about to set in.
            liveliness: size of the head's movements.
            emphasis: size of those on stresses, besides.
            other: the voice of another who is being listened to.
            blinks, gaze, head: what is shown; hidden motion goes on unseen.
        """
        turn = self._head.step(time_s, prosody, manner, liveliness, emphasis, other)
        aim = self._gaze.step(time_s, prosody, manner, turning)
        shut = self._blink.step(time_s, prosody, manner, self._gaze.shifted)
        if not head:
            turn = np.zeros(3)
        eyes = (aim if gaze else np.zeros(2)) + manner.gaze
        if gaze:
            # Pitch is positive downwards, gaze upwards: the eyes turn against the head either way.
            eyes = eyes + self._REFLEX * np.array([turn[0], -turn[1]])
        return IdlePose(shut if blinks else 0.0, eyes, turn, self._head.lift_m(manner) if head else 0.0)
