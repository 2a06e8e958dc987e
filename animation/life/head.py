"""How the head moves: by itself, with one's own voice, and to another's.

References: Hadar et al., "Head movement correlates of juncture and stress at sentence level", 1983; Munhall et al.,
"Visual prosody and speech intelligibility", 2004 (the head follows the pitch of the voice); Ward and Tsukahara,
"Prosodic features which cue back-channel responses", 2000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from animation.life.manner import Manner
from animation.smoothing import SlowNoise, Spring, ease
from animation.speech.prosody import Prosody

__all__ = ["HeadMotion"]


@dataclass(frozen=True)
class _Beat:
    """A quick turn of the head and the slower way back."""

    start_s: float
    turn: Float[np.ndarray, "3"]
    out_s: float
    back_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.out_s + self.back_s

    def at(self, time_s: float) -> Float[np.ndarray, "3"]:
        since_s = time_s - self.start_s
        part = ease(since_s / self.out_s) if since_s < self.out_s else 1 - ease((since_s - self.out_s) / self.back_s)
        return part * self.turn


class HeadMotion:
    """Turns of the head: slow sway and breathing always; while speaking, nods on stresses, a fall at the end of
    phrases, a tilt on questions and a new posture between phrases; while listening, small nods to the other voice.

    Rotations are axis-angle in radians: pitch down, yaw to the subject's left, roll to the subject's right.
    """

    _PITCH_DEG = 0.4
    """How far the head rises for each semitone of the voice: with its phrases, not with its syllables."""
    _OUT_S, _BACK_S = (0.09, 0.105), (0.26, 0.38)
    _NOD_DEG, _NOD_EVERY_S = 2.1, 0.45

    def __init__(self, rng: np.random.Generator, rate_hz: float) -> None:
        self._rng = rng
        self._beat_rng = np.random.default_rng(rng.integers(2**63))
        """Of its own, so that a stress changes nothing but its nod."""
        self._sway = SlowNoise(rng, 3, 0.05, 0.35)
        self._stir = SlowNoise(rng, 3, 0.4, 1.3)
        self._breath_hz, self._breath_phase = rng.uniform(0.2, 0.26), rng.uniform(0, 2 * math.pi)
        self._dt = 1 / rate_hz
        self._posture = Spring(3, rate_hz, settle_s=1.2)
        self._follow = Spring(1, rate_hz, settle_s=1.4)
        self._aim = np.zeros(3)
        self._next_aim_s = rng.uniform(2.0, 5.0)
        self._beats: list[_Beat] = []
        self._next_nod_s = 0.0
        self._moved_s = 0.0
        # Everyone accompanies speech in a way of their own: with nods, turns or tilts, often or rarely, wide or small.
        self._takes = rng.uniform(0.6, 0.95)
        self._turns = rng.normal(0, 0.3, 2)
        self._wide = rng.uniform(0.8, 1.25)
        self._side = rng.choice([-1.0, 1.0])

    def step(
        self,
        time_s: float,
        prosody: Prosody,
        manner: Manner,
        amount: float = 1.0,
        emphasis: float = 1.0,
        other: Prosody | None = None,
    ) -> Float[np.ndarray, "3"]:
        """Rotation at a pose.

        Args:
            amount: size of what is not a feeling's posture.
            emphasis: size of the nods on stresses, besides.
            other: the voice of another who is being listened to.
        """
        self._moved_s += self._dt * manner.head_tempo
        self._breath_phase += 2 * math.pi * self._breath_hz * self._dt * manner.breath_rate
        self._beats = [b for b in self._beats if time_s < b.end_s]
        self._take_postures(time_s, prosody, manner)
        if prosody.accent > 0.55 + self._beat_rng.uniform() * (1 - self._takes) and time_s >= self._next_nod_s:
            self._nod(time_s, emphasis * prosody.accent * manner.nod_size)
            self._next_nod_s = time_s + self._NOD_EVERY_S
        if prosody.question:
            self._tilt(time_s, manner.nod_size)
        if other is not None and other.phrase_end and prosody.activity < 0.3:
            self._agree(time_s, manner.nod_size)
        size = amount * manner.head_size
        self._posture.settle_s = 1.2 / max(manner.head_tempo, 0.3)
        posture = self._posture.feed(size * self._aim + manner.posture)
        pitch = self._follow.feed(np.array([-np.clip(prosody.pitch_st, -5, 6) * self._PITCH_DEG]))
        sway = np.radians([0.55, 0.8, 0.5]) * self._sway.at(self._moved_s)
        stir = np.radians([0.2, 0.5, 0.4]) * self._stir.at(self._moved_s) * prosody.energy
        beats = sum((b.at(time_s) for b in self._beats), np.zeros(3))
        follow = np.radians([float(pitch[0]), 0.0, 0.0])
        breath = np.radians([0.12 * manner.breath_depth * self._breath(), 0.0, 0.0])
        return posture + size * (sway + stir + follow) + amount * beats + breath

    def lift_m(self, manner: Manner) -> float:
        """How far breathing lifts the head."""
        return 0.0004 * manner.breath_depth * self._breath()

    def _breath(self) -> float:
        return math.sin(self._breath_phase)

    def _take_postures(self, time_s: float, prosody: Prosody, manner: Manner) -> None:
        if not prosody.phrase_start and time_s < self._next_aim_s:
            return
        spread = np.radians([1.0, 2.6, 1.7]) if prosody.activity > 0.3 else np.radians([0.7, 1.2, 1.2])
        self._aim = np.clip(self._rng.normal(0, spread), -2 * spread, 2 * spread)
        self._next_aim_s = time_s + self._rng.uniform(1.8, 5.0) / manner.head_tempo

    def _nod(self, time_s: float, size: float) -> None:
        depth = math.radians(self._NOD_DEG) * self._wide * size * self._beat_rng.uniform(0.6, 1.2)
        aside = self._turns + self._beat_rng.normal(0, 0.25, 2)
        self._add(time_s, depth * np.array([1.0, *aside]))

    def _tilt(self, time_s: float, size: float) -> None:
        turn = np.radians([-1.2, 0.0, 3.2 * self._side]) * size * self._beat_rng.uniform(0.7, 1.2)
        self._beats.append(_Beat(time_s, turn, 0.35, self._beat_rng.uniform(0.7, 1.1)))

    def _agree(self, time_s: float, size: float) -> None:
        """One or two small nods, the second smaller."""
        if self._beat_rng.uniform() > 0.75:
            return
        depth, start_s = (
            math.radians(2.2) * size * self._beat_rng.uniform(0.7, 1.2),
            time_s + self._beat_rng.uniform(0.1, 0.3),
        )
        for k in range(self._beat_rng.integers(1, 3)):
            self._beats.append(_Beat(start_s + 0.42 * k, depth * np.array([0.7**k, 0.0, 0.0]), 0.17, 0.25))

    def _add(self, time_s: float, turn: Float[np.ndarray, "3"]) -> None:
        self._beats.append(
            _Beat(time_s, turn, self._beat_rng.uniform(*self._OUT_S), self._beat_rng.uniform(*self._BACK_S))
        )
