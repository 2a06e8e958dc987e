"""What a face does besides speaking, and the other ways in which it might have done it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from animation.expression.emotions import EmotionState
from animation.life.idle import IdleMotion
from animation.performance.document import Variation
from animation.settings import DriverSettings
from animation.smoothing import ease
from animation.speech.prosody import Prosody

__all__ = ["Behaviour", "BehaviourPose"]


@dataclass(frozen=True)
class BehaviourPose:
    """Feeling and idle life at one pose."""

    weights: Float32[np.ndarray, "52"]
    """Of the feeling."""
    blink: float
    gaze: Float[np.ndarray, "2"]
    head: Float[np.ndarray, "3"]
    lift_m: float


class _Seeded:
    """One seed's behaviour."""

    def __init__(self, seed: int, rate_hz: float, settings: DriverSettings) -> None:
        self.emotion = EmotionState(seed, rate_hz, settings.variety)
        self.idle = IdleMotion(seed, rate_hz)

    def step(
        self, time_s: float, prosody: Prosody, settings: DriverSettings, gain: float, other: Prosody | None
    ) -> BehaviourPose:
        self.emotion.variety = settings.variety
        feeling = self.emotion.step(
            time_s, prosody, gain, settings.emotion_over_speech, settings.emphasis * settings.liveliness
        )
        manner = feeling.manner
        if settings.blink_rate != 1:
            manner = replace(manner, blink_rate=manner.blink_rate * settings.blink_rate)
        idle = self.idle.step(
            time_s,
            prosody,
            manner,
            turning=feeling.turning,
            liveliness=settings.liveliness,
            emphasis=settings.emphasis,
            other=other,
            blinks=settings.blinks,
            gaze=settings.gaze,
            head=settings.head,
        )
        return BehaviourPose(feeling.weights, idle.blink, idle.gaze, idle.head, idle.lift_m)


class Behaviour:
    """Feeling and idle life from a seed, and from others for as long as variations ask for them.

    Every seed goes its way from the start of the stream, so that what lies outside a variation is the same with it and
    without it, to the last bit.
    """

    _FADE_S = 0.4
    """From one seed to another; longer than a blink."""

    def __init__(self, rate_hz: float, settings: DriverSettings, variations: Sequence[Variation] = ()) -> None:
        self._own = _Seeded(settings.seed, rate_hz, settings)
        self._variations = [(v, _Seeded(v.seed, rate_hz, settings)) for v in variations]

    def feel(self, emotion: str, intensity: float, transition_s: float) -> None:
        """Head for an emotion or expression, from the next pose on.

        Raises:
            UserError: for an unknown emotion or numbers out of range.
        """
        for seeded in (self._own, *(seeded for _, seeded in self._variations)):
            seeded.emotion.set(emotion, intensity, transition_s)

    def step(
        self,
        time_s: float,
        prosody: Prosody,
        settings: DriverSettings,
        *,
        gain: float = 1.0,
        other: Prosody | None = None,
        clip_s: float | None = None,
    ) -> BehaviourPose:
        """The next pose, `time_s` after the start of the stream.

        Args:
            gain: of the emotion's intensity.
            other: the voice of another who is being listened to.
            clip_s: the time that variations count in; the same if None.
        """
        pose = self._own.step(time_s, prosody, settings, gain, other)
        at_s = time_s if clip_s is None else clip_s
        for variation, seeded in self._variations:
            varied = seeded.step(time_s, prosody, settings, gain, other)
            inside_s = min(at_s - variation.start_s, variation.end_s - at_s) + self._FADE_S / 2
            if (share := ease(inside_s / self._FADE_S)) > 0:
                pose = _mixed(pose, varied, share, variation.parts)
        return pose


def _mixed(a: BehaviourPose, b: BehaviourPose, share: float, parts: Sequence[str]) -> BehaviourPose:
    face, eyes, head = (share if part in parts else 0.0 for part in ("face", "eyes", "head"))
    blink = a.blink
    if eyes > 0:
        blink = b.blink if eyes == 1 else max(a.blink, b.blink)  # one that has begun is not cut short
    return BehaviourPose(
        np.float32(1 - face) * a.weights + np.float32(face) * b.weights,
        blink,
        b.gaze if eyes >= 0.5 else a.gaze,
        (1 - head) * a.head + head * b.head,
        (1 - head) * a.lift_m + head * b.lift_m,
    )
