"""The breath that a singer draws through the mouth when a phrase has ended."""

from __future__ import annotations

from animation.smoothing import ease
from animation.speech.acoustics import Acoustics

__all__ = ["SungBreath"]


class SungBreath:
    """Follows a voice, hop by hop. Speech has its breaths too, but hardly any that show: only notes that last count."""

    _CLEAR = 0.8
    _NOTE_S = 0.4
    """A tone that lasts so long is sung."""
    _PHRASE_S = 1.0
    """So much singing is followed by a breath."""
    _AFTER_S, _LENGTH_S = 0.1, 0.5
    _SPEAKS = 0.3

    def __init__(self, rate_hz: float) -> None:
        self._dt = 1 / rate_hz
        self.reset()

    def reset(self) -> None:
        """Forget the voice."""
        self._note_s = self._sung_s = self._silent_s = 0.0

    def feed(self, heard: Acoustics, voice: float) -> float:
        """How far the mouth opens for breath, 0..1.

        Args:
            voice: voice activity, 0..1.
        """
        if voice > self._SPEAKS:
            self._silent_s = 0.0
            self._note_s = self._note_s + self._dt if heard.clarity >= self._CLEAR else 0.0
            if self._note_s >= self._NOTE_S:
                self._sung_s += self._dt
            return 0.0
        self._note_s, self._silent_s = 0.0, self._silent_s + self._dt
        into = (self._silent_s - self._AFTER_S) / self._LENGTH_S
        if into >= 1:
            self._sung_s = 0.0
        if self._sung_s < self._PHRASE_S:
            return 0.0
        return ease(2 * into) if into < 0.5 else ease(2 - 2 * into)
