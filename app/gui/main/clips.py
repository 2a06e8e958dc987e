"""Sounds that are played as if they were spoken."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QObject

from app.gui.main.bridge import Bridge
from app.gui.panels.recording_bar import RecordingBar
from app.live.source import Source
from app.sample_clip import sample_clip
from app.settings import Store

__all__ = ["Clips"]


class Clips(QObject):
    """Plays and stops clips; keeps one back until there is a picture to see it with."""

    def __init__(self, store: Store, bridge: Bridge, bar: RecordingBar, first: Source | None) -> None:
        """
        Args:
            first: a file, played as soon as there is a picture.
        """
        super().__init__()
        self._store, self._bridge, self._bar = store, bridge, bar
        self._first = first
        self._sample_offered = False

    def play(self, path: Path, start_s: float = 0.0) -> None:
        """Play a file, from somewhere in it; it is remembered if it can be read."""
        self._bridge.play(Source(file=path, start_s=start_s))

    @property
    def chosen(self) -> Path:
        """The last file, or the sample."""
        last = self._store.value.audio_file
        return Path(last) if last and Path(last).is_file() else sample_clip()

    def toggle(self) -> None:
        """Play the last file, or the sample; or stop."""
        if self._bridge.playing is not None:
            self._bridge.stop_playing()
        else:
            self.play(self.chosen)

    def offer_sample(self) -> bool:
        """Nobody can be heard: keep the sample ready, once; whether a clip is ready now."""
        if not self._sample_offered:
            self._sample_offered = True
            self._first = self._first or Source(file=sample_clip())
        return self._first is not None

    @property
    def ready(self) -> bool:
        """Whether a clip waits for the first picture."""
        return self._first is not None

    def play_first(self) -> None:
        """Play what waits: there is a picture."""
        if self._first is not None:
            first, self._first = self._first, None
            self._bridge.play(first)

    def refresh(self) -> None:
        """Show whether something is being played, and remember what could be."""
        playing, played = self._bridge.playing, self._bridge.session.devices.played
        self._bar.show_playing(playing.name if playing else None)
        if played is not None and played != sample_clip() and str(played) != self._store.value.audio_file:
            self._store.change(audio_file=str(played))
