"""A voice in, poses of a head out: the one place where speech, emotion and idle life come together."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Protocol

import numpy as np
from jaxtyping import Float, Float32

from animation.behaviour import Behaviour, BehaviourPose
from animation.blendshapes import Fusion
from animation.blendshapes.learned import LearnedFusion
from animation.expression.arousal import ArousalTracker
from animation.expression.emotions import EmotionCue, HeldExpression
from animation.face import DrivenFace
from animation.life.breath import SungBreath
from animation.performance.document import Performance
from animation.performance.keyframes import Overlay
from animation.settings import DriverSettings
from animation.smoothing import Envelope, OneEuro
from animation.speech.acoustics import SILENT, Acoustics, VoiceAnalyzer
from animation.speech.audio import HOP_SAMPLES
from animation.speech.channels import CHANNELS, CLOSED, JAW, REST
from animation.speech.mouth import MouthMap, bitten, rest_seal
from animation.speech.prosody import ProsodyTracker
from animation.speech.stress import AHEAD_HOPS
from avatar.flame.params import FlameParams

__all__ = ["AvatarDriver", "DriverSettings", "SpeechFramesLike", "SpeechSource"]


class SpeechFramesLike(Protocol):
    """What a speech model says about T poses; see `animation.speech.stream.SpeechFrames`."""

    @property
    def articulation(self) -> Float[np.ndarray, "t 7"]: ...

    @property
    def closure(self) -> Float[np.ndarray, " t"]: ...

    @property
    def voice(self) -> Float[np.ndarray, " t"]: ...

    @property
    def loudness_db(self) -> Float[np.ndarray, " t"]: ...


class SpeechSource(Protocol):
    """A streaming speech model; see `animation.speech.stream.SpeechStream`."""

    @property
    def hop_s(self) -> float: ...

    @property
    def lookahead_ms(self) -> float: ...

    def feed(self, samples: Float32[np.ndarray, " n"]) -> SpeechFramesLike: ...

    def finish(self) -> SpeechFramesLike: ...

    def reset(self) -> None: ...


_TOUCHING_MM = 0.3
_AROUSED = 0.65
"""How much of an emotion's intensity the most aroused voice adds, and the calmest takes away."""
_SHOUTED, _MURMURED = 0.8, 0.35
"""How much further the mouth of the most aroused voice opens, and how much less that of the calmest."""
_JAW_AGILITY = 0.15
"""How readily the jaw follows a jump, relative to the lips: it is heavy, and the lips close ahead of it."""

_BREATHING = REST.copy()
_BREATHING[[JAW, CLOSED]] = 0.12, 0.15


class AvatarDriver:
    """Turns a stream of sound into poses, 50 a second, each stamped with its time in the stream.

    Synchronous and deterministic: the same samples, settings and seed give the same poses, bit by bit, however the
    samples are cut into blocks. Poses come out `lookahead_ms` after the sound they belong to has been fed.
    """

    def __init__(
        self,
        face: DrivenFace,
        settings: DriverSettings | None = None,
        speech: SpeechSource | None = None,
        *,
        fusion: Fusion | None = None,
        performance: Performance | None = None,
    ) -> None:
        """
        Args:
            face: of the head to be moved.
            speech: the speech model; the one that ships if None.
            fusion: what joins speech and emotion; the learned blendshapes that ship if None.
            performance: emotions over time, keyframes and variations; its seed and dials take the place of those of
                the settings, and where it has no emotion, that of the settings holds.
        """
        self._performance = Performance() if performance is None else performance
        self._track, self._overlay = self._performance.track, Overlay(self._performance.curves)
        settings = DriverSettings() if settings is None else settings
        self._speech: SpeechSource = _shipped_speech(settings.lookahead_ms) if speech is None else speech
        self._fusion: Fusion = LearnedFusion.shipped() if fusion is None else fusion
        self._settings = settings if performance is None else performance.applied(settings)
        self.face = face
        self._rate = 1 / self._speech.hop_s
        self._ahead = int(max(min(self._speech.lookahead_ms / 1000 * self._rate - 0.4, AHEAD_HOPS), 0))
        """Hops of sound after a pose's own that are there whenever it is due."""
        self._restart()

    @property
    def face(self) -> DrivenFace:
        """The head that is driven. Another one takes over with the next pose: voice, feeling and motion go on."""
        return self._face

    @face.setter
    def face(self, face: DrivenFace) -> None:
        self._face = face
        self._own = face.style.applied(self._settings)
        self._fusion = self._fusion.for_lips(face.lips)
        self._mouth = MouthMap(face.lips)

    @property
    def hop_s(self) -> float:
        """Time from pose to pose."""
        return self._speech.hop_s

    @property
    def lookahead_ms(self) -> float:
        """How much sound after a pose's own time is needed before it is emitted."""
        return self._speech.lookahead_ms

    @property
    def settings(self) -> DriverSettings:
        return self._settings

    @settings.setter
    def settings(self, settings: DriverSettings) -> None:
        old, self._settings = self._settings, settings
        self._own = self._face.style.applied(settings)
        if settings.seed != old.seed:
            self._behaviour = Behaviour(self._rate, settings, self._performance.variations)
            self._feel(self._cue or settings, 0.0)
        elif (settings.emotion, settings.intensity) != (old.emotion, old.intensity):
            self._feel(settings, settings.transition_s)
        if settings.closure != old.closure:
            self._closure = settings.closure.start()
        if settings.calm != old.calm:
            self._smooth = _smoother(settings.calm, self._rate)

    def set_emotion(self, emotion: str, intensity: float = 1.0, transition_s: float | None = None) -> None:
        """Head for another emotion or expression, from the next pose on. A track's next cue takes over again.

        Raises:
            UserError: for an unknown emotion or numbers out of range.
        """
        transition_s = self._settings.transition_s if transition_s is None else transition_s
        self.settings = replace(self._settings, emotion=emotion, intensity=intensity, transition_s=transition_s)

    def feed(self, samples: Float32[np.ndarray, " n"]) -> list[FlameParams]:
        """Poses that have become due.

        Args:
            samples: mono, 16 kHz, -1..1.
        """
        self._heard.extend(self._analyzer.feed(samples))
        return self._poses(self._speech.feed(samples))

    def finish(self) -> list[FlameParams]:
        """The poses still owed when the sound has ended. `reset` before feeding again."""
        self._heard.extend(self._analyzer.feed(np.zeros((self._ahead + 1) * HOP_SAMPLES, np.float32)))
        return self._poses(self._speech.finish())

    def reset(self) -> None:
        """Back to the start of a stream, keeping the settings."""
        self._speech.reset()
        self._restart()

    def _restart(self) -> None:
        settings = self._settings
        self._count = 0
        self._prosody = ProsodyTracker(self._rate)
        self._analyzer = VoiceAnalyzer()
        self._heard: deque[Acoustics] = deque()
        """Of the poses to come; the first belongs to the next."""
        self._behaviour = Behaviour(self._rate, settings, self._performance.variations)
        self._arousal = ArousalTracker(self._rate)
        self._closure = settings.closure.start()
        self._smooth = _smoother(settings.calm, self._rate)
        self._gate = Envelope(self._rate, attack_s=0.0, release_s=0.08)
        self._breath = SungBreath(self._rate)
        self._bite = Envelope(self._rate, attack_s=0.015, release_s=0.03)
        self._held = HeldExpression(self._rate)
        self._cue: EmotionCue | None = self._track.at(0.0)
        self._feel(self._cue or settings, 0.0)

    def _feel(self, source: EmotionCue | DriverSettings, transition_s: float) -> None:
        self._behaviour.feel(source.emotion, source.intensity, transition_s)

    def _poses(self, frames: SpeechFramesLike) -> list[FlameParams]:
        rows = zip(frames.articulation, frames.closure, frames.voice, frames.loudness_db, strict=True)
        return [self._pose(row[0], float(row[1]), float(row[2]), float(row[3])) for row in rows]

    def _pose(
        self, articulation: Float[np.ndarray, "7"], closure: float, voice: float, loudness_db: float
    ) -> FlameParams:
        settings = self._own
        time_s = (self._count + 0.5) * self._speech.hop_s
        self._count += 1
        self._follow_track(time_s)

        heard = self._heard[self._ahead] if len(self._heard) > self._ahead else SILENT
        if self._heard:
            self._heard.popleft()
        # What is heard already of the sound to come opens the gate: a word that begins with p, b or m begins silently.
        through = self._gate.feed(1.0 if max(loudness_db, heard.loudness_db) >= settings.gate_db else 0.0)
        voice, closure = voice * through, closure * through
        articulation = REST + np.float32(through) * (articulation - REST)
        prosody = self._prosody.feed(voice, loudness_db, heard)
        arousal = self._arousal.feed(heard, voice)
        articulation = articulation + np.float32(self._breath.feed(heard, voice)) * (_BREATHING - articulation)

        seal = self._closure.feed(closure, voice, float(articulation[CLOSED]))
        if self._smooth is not None:
            raw, articulation = articulation, self._smooth.feed(articulation).copy()
            articulation[CLOSED] = min(articulation[CLOSED], raw[CLOSED])  # lips part when the sound says so
        opening = settings.mouth_opening * (1.0 + (_SHOUTED if arousal > 0 else _MURMURED) * arousal)
        speech = self._mouth.weights(articulation, opening, seal)
        gain = 1.0 + _AROUSED * arousal if settings.follow_voice else 1.0
        behaviour = self._behaviour.step(time_s, prosody, settings, gain=gain)
        # Lips that rest between words meet under an emotion too; in longer pauses it may part them.
        resting = min(2 * prosody.activity, 1.0) * min(3 * float(rest_seal(articulation)), 1.0)
        held = self._held.step(settings.expression, settings.expression_amount)
        weights = self._fusion.fuse(speech, np.minimum(behaviour.weights + held, 1.0), max(seal, resting))
        # The lower lip meets the teeth on f and v, whatever a feeling does to the mouth; p, b and m come first.
        bite = self._bite.feed(float(bitten(articulation)) * min(settings.mouth_opening, 1.0))
        weights = self._face.lips.bite(weights, bite * (1.0 - seal))
        if seal == 1 and float(self._face.lips.opening_mm(weights)) > _TOUCHING_MM:
            weights = self._face.lips.seal(weights, seal)  # the promise holds whatever fusion is in place
        return self._assemble(weights, behaviour, time_s, float(self._mouth.tongue_tip(articulation)))

    def _follow_track(self, time_s: float) -> None:
        cue = self._track.at(time_s)
        if cue is not None and cue is not self._cue:
            self._cue = cue
            self._feel(cue, self._settings.transition_s if cue.transition_s is None else cue.transition_s)

    def _assemble(
        self, weights: Float[np.ndarray, "52"], behaviour: BehaviourPose, time_s: float, tongue_tip: float
    ) -> FlameParams:
        weights, head = np.array(weights, np.float32), behaviour.head.copy()
        self._face.look(weights, behaviour.gaze)
        self._overlay.apply(time_s, weights, head)
        self._face.lids.close(weights, behaviour.blink)
        np.clip(weights, 0.0, 1.0, out=weights)
        face = self._face.arkit.params(weights)
        return FlameParams(
            face.shape,
            face.expression,
            face.global_orient,
            head.astype(np.float32),
            face.jaw_pose,
            face.leye_pose,
            face.reye_pose,
            np.array([0.0, behaviour.lift_m, 0.0], np.float32),
            time_s,
            weights,
            tongue_tip=tongue_tip,
        )


def _shipped_speech(lookahead_ms: float) -> SpeechSource:
    from animation.speech.stream import SpeechStream  # the model is loaded only when it is needed

    return SpeechStream.open(lookahead_ms=lookahead_ms)


def _smoother(calm: float, rate_hz: float) -> OneEuro | None:
    if calm <= 0:
        return None
    beta = np.full(len(CHANNELS), 2.0 * (1.5 - calm))
    beta[JAW] *= _JAW_AGILITY
    return OneEuro(rate_hz, cutoff_hz=14.0 * (1 - calm) + 1.5, beta=beta)
