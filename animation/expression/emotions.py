"""A feeling as it lives on a face: how it sets in, swells, speaks along and gives way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from animation.expression.action_units import IN_MOUTH, UNIT_MATRIX, UNIT_NAMES, YIELDS, unit_vector
from animation.expression.prototypes import (
    EMOTIONS,
    FEELINGS,
    MANNERS,
    PROTOTYPES,
    Prototype,
    check_emotion,
    emotion_weights,
    feeling_name,
)
from animation.expression.swells import Swells
from animation.expression.track import EmotionCue, EmotionTrack
from animation.life.manner import Manner
from animation.smoothing import Envelope, Spring
from animation.speech.prosody import Prosody
from avatar.flame.arkit import NAMES

__all__ = [
    "EMOTIONS",
    "FEELINGS",
    "EmotionCue",
    "EmotionState",
    "EmotionTrack",
    "Feeling",
    "HeldExpression",
    "check_emotion",
    "emotion_weights",
    "feeling_name",
]


@dataclass(frozen=True)
class Feeling:
    """What an emotion asks of the face and head at one pose."""

    weights: Float32[np.ndarray, "52"]
    manner: Manner
    strength: float = 0.0
    """How much of a feeling there is, 0..1."""
    turning: bool = False
    """Another feeling begins to set in at this pose."""


@dataclass(frozen=True)
class _Pulse:
    """A passing movement: a bell over `duration_s`."""

    start_s: float
    duration_s: float
    units: Float[np.ndarray, " u"]

    def at(self, time_s: float) -> float:
        phase = (time_s - self.start_s) / self.duration_s
        return math.sin(math.pi * phase) ** 2 if 0 < phase < 1 else 0.0


class EmotionState:
    """A feeling over time. One step a pose; reproducible from its seed.

    - A change takes its transition time, each unit in the order that the emotion prescribes (the eyes of a smile after
      its mouth), and may be changed again midway: position and speed go on smoothly.
    - A feeling that has set in comes in swells (see `Swells`), and is never quite alike on both sides.
    - Stresses and questions of the voice show on the brows.
    - While the voice speaks, units of the mouth yield and others come in; in pauses they come back.

    What moves the lips has a random stream of its own, which is the same for all seeds: seeds differ in brows, eyes and
    cheeks, and say the same.
    """

    _GLANCE_S = 0.1
    """The eyes leave before the face changes."""
    _SWELL_S = 0.9
    """A swell takes so long to come up."""
    _DELAYS = 32

    def __init__(self, seed: int, rate_hz: float, variety: float = 0.5) -> None:
        self._seed, self._rate = seed, rate_hz
        self.variety = variety
        """How far swells may go from the prototypes, 0..1; may be changed at any time."""
        self.reset()

    def reset(self) -> None:
        """Neutral, at the start of the stream."""
        self._rng = np.random.default_rng([self._seed, 1])
        self._mouth, self._upper = Swells(np.random.default_rng(3)), Swells(np.random.default_rng([self._seed, 3]))
        self._sides = Spring(2, self._rate, 1.2)
        self._target, self._intensity = "neutral", 1.0
        self._mix = Spring(len(FEELINGS), self._rate, 1.0)
        self._units = Spring(len(UNIT_NAMES), self._rate, 1.0)
        self._goals = np.zeros((self._DELAYS, len(UNIT_NAMES)))
        self._delay = np.zeros(len(UNIT_NAMES), np.intp)
        self._transition_s = self._onset_s = 1.0
        self._count, self._set_s, self._time_s = 0, -10.0, 0.0
        self._turning = False
        self._yield = Envelope(self._rate, attack_s=0.09, release_s=0.35)
        self._pulses: list[_Pulse] = []
        self._restarted = True
        # Some people speak with their brows, others hardly; and each has brows that do it in their own way.
        self._takes, self._style = self._rng.uniform(0.45, 0.9), self._rng.uniform(0.6, 1.3, len(UNIT_NAMES))

    def set(self, emotion: str, intensity: float = 1.0, transition_s: float = 0.0) -> None:
        """Head for an emotion or expression, from the next step on.

        Raises:
            UserError: for an unknown emotion or numbers out of range.
        """
        check_emotion(emotion, intensity, transition_s)
        name = feeling_name(emotion)
        prototype = PROTOTYPES[name]
        self._transition_s = max(transition_s, 1 / self._rate)
        self._onset_s = prototype.onset * self._transition_s
        self._set_s = self._time_s
        if name != self._target or transition_s == 0:
            self._turning = transition_s > 0
            wait_s = self._GLANCE_S if transition_s > 0.2 else 0.0
            pace = min(self._transition_s / 0.5, 1.5)
            poses = np.round((wait_s + pace * prototype.late_s) * self._rate).astype(np.intp)
            self._delay = np.minimum(poses, self._DELAYS - 1)
            for swells in (self._mouth, self._upper):
                swells.restart(self._time_s, len(prototype.variants), wait_s + self._onset_s)
        self._target, self._intensity = name, intensity
        if transition_s == 0:
            goal = prototype.units(intensity)
            self._units.jump(goal)
            self._goals[:] = goal
            self._mix.jump(self._aim())

    def step(
        self, time_s: float, prosody: Prosody, gain: float = 1.0, over_speech: float = 0.5, emphasis: float = 1.0
    ) -> Feeling:
        """The next pose, `time_s` after the start of the stream.

        Args:
            gain: of the intensity, where the voice moves it.
            over_speech: how well the mouth's units hold while the voice speaks: 0 hardly, 0.5 as people do, 1 fully.
            emphasis: size of what stresses do to the brows.
        """
        self._time_s = time_s
        turning, self._turning = self._turning, False
        prototype = PROTOTYPES[self._target]
        for swells in (self._mouth, self._upper):
            swells.step(time_s, self.variety)
        intensity = min(self._intensity * gain, 1.0)
        at = self._count % self._DELAYS
        self._count += 1
        self._goals[at] = self._goal(prototype, intensity)
        goal = self._goals[(at - self._delay) % self._DELAYS, _ALL_UNITS]
        self._units.settle_s = self._settle(time_s, goal)
        units = self._units.feed(goal)
        self._mix.settle_s = self._transition_s
        mix = self._mix.feed(self._aim())

        yielded = self._yield.feed(prosody.activity)
        units = units + yielded * (mix @ _SPEAKING)
        self._listen(time_s, prosody, mix, emphasis)
        for pulse in self._pulses:
            units = units + pulse.at(time_s) * pulse.units
        keep = 1 - np.minimum(2 * (1 - over_speech) * yielded * YIELDS, 1.0)
        weights = np.clip(np.maximum(units, 0.0) * keep @ UNIT_MATRIX, 0.0, 1.0)
        sides = self._sides.feed(np.array([self._mouth.asymmetry, self._upper.asymmetry]))
        weights = np.clip(weights * (1 + sides @ _SIDES), 0.0, 1.0)
        strength = min(float(mix[1:].sum()), 1.0)
        return Feeling(weights.astype(np.float32), MANNERS(mix), strength, turning and time_s > 0.1)

    def _aim(self) -> Float[np.ndarray, " f"]:
        aim = np.zeros(len(FEELINGS))
        aim[FEELINGS.index(self._target)] = self._intensity
        return aim

    def _goal(self, prototype: Prototype, intensity: float) -> Float[np.ndarray, " u"]:
        """Where the units are heading at this moment."""
        mouth, upper = (prototype.units(intensity * s.level, s.shares) for s in (self._mouth, self._upper))
        return np.where(IN_MOUTH, mouth, upper)

    def _settle(self, time_s: float, goal: Float[np.ndarray, " u"]) -> Float[np.ndarray, " u"]:
        """How fast the units follow: with a change at its pace, and what goes more slowly than what comes."""
        if time_s - self._set_s > self._GLANCE_S + self._transition_s + 0.6:
            return _EVERY_UNIT * max(self._SWELL_S, self._onset_s)
        return np.where(goal < self._units.position, self._transition_s, self._onset_s)

    def _listen(self, time_s: float, prosody: Prosody, mix: Float[np.ndarray, " f"], emphasis: float) -> None:
        self._pulses = [p for p in self._pulses if time_s < p.start_s + p.duration_s]
        if prosody.accent > 0:
            # Some stresses pass without the brows taking part: a metronome is what betrays a puppet.
            amount, width, take = self._rng.uniform(0.5, 1.1), self._rng.uniform(0.35, 0.6), self._rng.uniform()
            if take < self._takes:
                felt = mix.copy()
                felt[0] = max(1 - float(mix[1:].sum()), 0.0)
                units = emphasis * prosody.accent * amount * self._style * (felt @ _ACCENTS)
                self._pulses.append(_Pulse(time_s, width, units))
        if prosody.question:
            self._pulses.append(_Pulse(time_s, self._rng.uniform(0.8, 1.1), emphasis * _QUESTION))


class HeldExpression:
    """An expression held on top of an emotion: eases in and out over about a third of a second. One step a pose."""

    _EASE_S = 0.15

    def __init__(self, rate_hz: float) -> None:
        self._ease = np.float32(1 - math.exp(-1 / (rate_hz * self._EASE_S)))
        self._now = np.zeros(len(NAMES), np.float32)

    def step(self, name: str | None, amount: float) -> Float32[np.ndarray, "52"]:
        """Blendshape weights of the next pose, on the way to those of `name` (one of `FEELINGS`; None lets go)."""
        goal = 0.0 if name is None else emotion_weights(name) * np.float32(amount)
        self._now = self._now + self._ease * (goal - self._now)
        return self._now


_SPEAKING, _ACCENTS = (np.stack([getattr(PROTOTYPES[f], name) for f in FEELINGS]) for name in ("speaking", "accent"))
_QUESTION = unit_vector({"1": 0.35, "2": 0.45})
_ALL_UNITS, _EVERY_UNIT = np.arange(len(UNIT_NAMES)), np.ones(len(UNIT_NAMES))


def _sides() -> Float[np.ndarray, "2 52"]:
    """What the asymmetry of the mouth and of the upper face does to the blendshapes; the lids stay together."""
    sides = np.zeros((2, len(NAMES)))
    for index, name in enumerate(NAMES):
        if name.startswith(("eyeBlink", "eyeLook", "jaw")) or name in ("mouthLeft", "mouthRight"):
            continue
        row = 0 if name.startswith("mouth") else 1
        sides[row, index] = 1.0 if name.endswith("Left") else -1.0 if name.endswith("Right") else 0.0
    return sides


_SIDES = _sides()
