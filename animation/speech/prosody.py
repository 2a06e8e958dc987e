"""What the rest of the face hears of a voice: whether it speaks, how strongly, and where it stresses and pauses."""

from __future__ import annotations

from dataclasses import dataclass

from animation.smoothing import Envelope

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


class ProsodyTracker:
    """Follows voice activity and loudness, pose by pose."""

    _RANGE_DB = 22.0
    _RISE = 0.16
    _REFRACTORY_S = 0.45
    _PAUSE_S = 0.24

    def __init__(self, rate_hz: float) -> None:
        self._dt = 1 / rate_hz
        self._activity = Envelope(rate_hz, attack_s=0.05, release_s=0.25)
        self._fast = Envelope(rate_hz, attack_s=0.03, release_s=0.06)
        self._slow = Envelope(rate_hz, attack_s=0.35, release_s=0.35)
        self._level = Envelope(rate_hz, attack_s=0.6, release_s=8.0, start=-30.0)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        for envelope in (self._activity, self._fast, self._slow, self._level):
            envelope.reset()
        self._quiet_s = self._since_accent_s = 10.0
        self._speaking = False

    def feed(self, voice: float, loudness_db: float) -> Prosody:
        """One pose: voice activity 0..1 and loudness in dB full scale."""
        activity = self._activity.feed(voice)
        if voice > 0.5:
            self._level.feed(max(loudness_db, -60.0))
        relative = (loudness_db - self._level.level + 0.75 * self._RANGE_DB) / self._RANGE_DB
        energy = self._fast.feed(voice * min(max(relative, 0.0), 1.0))
        rise = energy - self._slow.feed(energy)
        self._since_accent_s += self._dt
        accent = 0.0
        if rise > self._RISE and voice > 0.5 and self._since_accent_s > self._REFRACTORY_S:
            accent = min(rise / 0.32, 1.0)
            self._since_accent_s = 0.0
        ended = started = False
        if voice > 0.5:
            started = not self._speaking
            self._speaking, self._quiet_s = True, 0.0
        else:
            self._quiet_s += self._dt
            if self._speaking and self._quiet_s >= self._PAUSE_S:
                self._speaking, ended = False, True
        return Prosody(activity, energy, accent, ended, started)
