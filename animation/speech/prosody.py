"""What the rest of the face hears of a voice: whether it speaks, how strongly, where it stresses, asks and pauses."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from animation.smoothing import Envelope
from animation.speech.acoustics import SILENT, Acoustics
from animation.speech.stress import StressListener

__all__ = ["Prosody", "ProsodyTracker"]


@dataclass(frozen=True)
class Prosody:
    """The voice at one pose."""

    activity: float = 0.0
    """0..1, smoothed: rises within a tenth of a second of speech, falls slowly enough to bridge the gaps in it."""
    energy: float = 0.0
    """0..1, loudness relative to the speaker's own level."""
    accent: float = 0.0
    """Strength 0..1 of a stress that begins at this pose, else 0."""
    phrase_end: bool = False
    """The voice has just fallen silent."""
    phrase_start: bool = False
    """The voice has just set in after a pause."""
    pitch_st: float = 0.0
    """Semitones over the speaker's usual pitch; 0 without a voice."""
    question: bool = False
    """A phrase has just ended on a rising voice."""


class ProsodyTracker:
    """Follows voice activity, loudness and pitch, pose by pose."""

    _RANGE_DB = 22.0
    _REFRACTORY_S = 0.32
    _PAUSE_S = 0.24
    _SURE = 0.65
    _FINAL_S = 0.5
    """The end of a phrase, where it is heard whether it asks."""
    _RISE_ST, _HIGH_ST = 3.0, 1.0

    def __init__(self, rate_hz: float) -> None:
        self._dt = 1 / rate_hz
        self._activity = Envelope(rate_hz, attack_s=0.05, release_s=0.25)
        self._fast = Envelope(rate_hz, attack_s=0.03, release_s=0.06)
        self._level = Envelope(rate_hz, attack_s=0.6, release_s=8.0, start=-30.0)
        self._stress = StressListener()
        self._final: deque[float] = deque(maxlen=round(self._FINAL_S * rate_hz))
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        for envelope in (self._activity, self._fast, self._level):
            envelope.reset()
        self._stress.reset()
        self._final.clear()
        self._quiet_s = self._since_accent_s = 10.0
        self._speaking = False
        self._usual_st: float | None = None
        self._pitch_st = 0.0
        self._voiced_poses = 0

    def feed(self, voice: float, loudness_db: float, heard: Acoustics = SILENT) -> Prosody:
        """One pose.

        Args:
            voice: voice activity 0..1.
            loudness_db: of full scale.
            heard: the acoustics `AHEAD_HOPS` after the pose, so that a stress is known as it comes; later ones only
                make what depends on them late.
        """
        activity = self._activity.feed(voice)
        if voice > 0.5:
            self._level.feed(max(loudness_db, -60.0))
        relative = (loudness_db - self._level.level + 0.75 * self._RANGE_DB) / self._RANGE_DB
        energy = self._fast.feed(voice * min(max(relative, 0.0), 1.0))
        pitch_st = self._follow_pitch(heard)
        accent = self._accent(self._stress.feed(heard), voice)
        ended = started = question = False
        if voice > 0.5:
            started = not self._speaking
            self._speaking, self._quiet_s = True, 0.0
        else:
            self._quiet_s += self._dt
            if self._speaking and self._quiet_s >= self._PAUSE_S:
                self._speaking, ended = False, True
                question = self._asks()
        if started:
            self._final.clear()
        return Prosody(activity, energy, accent, ended, started, pitch_st, question)

    def _accent(self, sure: float, voice: float) -> float:
        self._since_accent_s += self._dt
        if sure < self._SURE or voice < 0.3 or self._since_accent_s < self._REFRACTORY_S:
            return 0.0
        self._since_accent_s = 0.0
        return min((sure - 0.3) / 0.6, 1.0)

    def _follow_pitch(self, heard: Acoustics) -> float:
        if heard.pitch_hz <= 0:
            self._voiced_poses = 0
            self._pitch_st *= 0.9
            return self._pitch_st
        st = 12 * float(np.log2(heard.pitch_hz / 100))
        usual = st if self._usual_st is None else self._usual_st
        self._usual_st = usual + 0.01 * float(np.clip(st - usual, -4, 4))
        self._voiced_poses += 1
        if self._voiced_poses >= 3:  # the first hops of a voiced stretch are often an octave off
            over = float(np.clip(st - self._usual_st, -12, 12))
            self._pitch_st += 0.3 * (over - self._pitch_st)
            self._final.append(over)
        return self._pitch_st

    def _asks(self) -> bool:
        """Whether the voice rose over the last half second of voiced sound, and ended high."""
        if len(self._final) < 8:
            return False
        course = np.array(self._final)
        end = float(np.median(course[-4:]))
        return end > self._HIGH_ST and end - float(course[:-4].min()) > self._RISE_ST
