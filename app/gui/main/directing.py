"""Directing a clip: its timeline, and the emotions of the timeline while it is played."""

from __future__ import annotations

import hashlib
import logging
from functools import partial
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtWidgets import QFileDialog

from animation.performance.document import Performance
from app.gui.main.bridge import Bridge
from app.gui.main.clips import Clips
from app.gui.main.notices import Banner
from app.gui.timeline.clip_sound import ClipSound, read_clip
from app.gui.timeline.direction import Direction
from app.gui.timeline.panel import TimelinePanel
from avatar.errors import UserError
from avatar.home import data_dir

__all__ = ["Directing", "draft_path"]

_log = logging.getLogger(__name__)


def draft_path(clip: Path) -> Path:
    """Where the performance of a clip is kept as it is edited."""
    mark = hashlib.sha256(str(clip.resolve()).encode()).hexdigest()[:10]
    return data_dir() / "performances" / f"{clip.stem[:40]}-{mark}.json"


class Directing(QObject):
    """Shows the clip that is played, or would be; keeps every change of its performance; lets the avatar feel it.

    While the clip plays, what its cues say takes the place of the emotion that is picked. Keyframes and variations of
    a file are kept, and seen in what `gaussian-avatar render` makes of it.
    """

    _read = pyqtSignal(object, object)
    """A clip, and its `ClipSound` or one line on why there is none."""

    def __init__(self, bridge: Bridge, clips: Clips, banner: Banner) -> None:
        super().__init__()
        self._bridge, self._clips, self._banner = bridge, clips, banner
        self.panel = TimelinePanel()
        self.panel.hide()
        self.clip: Path | None = None
        """What the timeline shows."""
        self._closed = False
        self._read.connect(self._show)
        self.panel.play.connect(self._play)
        self.panel.stop.connect(bridge.stop_playing)
        self.panel.save.connect(self._ask_save)
        self.panel.open.connect(self._ask_open)

    def toggle(self) -> None:
        """Show or hide the timeline."""
        self.panel.setVisible(not self.panel.isVisible())
        self.tick()

    def close(self) -> None:
        """Whatever is being read is not wanted any more."""
        self._closed = True

    def tick(self) -> None:
        """Follow the clip. Often: the emotions are as punctual as this."""
        if not self.panel.isVisible():
            self._bridge.direct(None)
            return
        playing = self._bridge.playing
        if (wanted := playing or self._clips.chosen) != self.clip:
            self._take(wanted)
        heard_s = self._bridge.session.devices.position_s if playing is not None else None
        if heard_s is None:
            self.panel.show_playing(None)
            self._bridge.direct(None)
            return
        self._bridge.direct(self.panel.strip.direction.performance.track.at(heard_s))
        self.panel.show_playing(max(heard_s - self._bridge.session.inference.delay.delay_s, 0.0))

    def _take(self, clip: Path) -> None:
        """Another clip: read it, on a thread of its own."""
        self.clip = clip
        self.panel.show_clip(clip.name, None, Direction())

        def read() -> None:
            try:
                found: ClipSound | str | None = read_clip(clip, lambda: self._closed or clip != self.clip)
            except UserError as error:
                found = str(error)
            if found is not None and not self._closed:
                self._read.emit(clip, found)

        self._bridge.in_background(read)

    def _show(self, clip: Path, found: ClipSound | str) -> None:
        if clip != self.clip:
            return
        if isinstance(found, str):
            self.panel.show_problem(found)
            return
        kept = draft_path(clip)
        performance = None
        if kept.exists():
            try:
                performance = Performance.load(kept)
            except UserError as error:
                _log.warning("the timeline begins anew: %s", error)
        direction = Direction(performance, found.duration_s)
        direction.subscribe(partial(self._keep, kept, direction))
        self.panel.show_clip(clip.name, found, direction)

    def _keep(self, path: Path, direction: Direction) -> None:
        """Nothing is lost, whenever the window goes."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            direction.performance.save(path)
        except (OSError, UserError) as error:
            self._say(str(error))

    def _play(self, from_s: float) -> None:
        if self.clip is not None:
            self._clips.play(self.clip, from_s)

    def _ask_save(self) -> None:
        assert self.clip is not None
        usual = str(self.clip.with_suffix(".performance.json"))
        path, _ = QFileDialog.getSaveFileName(
            self.panel, self.tr("Save the performance"), usual, self.tr("Performances (*.json)")
        )
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the performance for others to read."""
        try:
            self.panel.strip.direction.performance.save(path)
        except UserError as error:
            self._say(str(error))
            return
        assert self.clip is not None
        text = self.tr("Saved. To render it: gaussian-avatar render {} --performance {}")
        self._banner.put_up(text.format(self.clip.name, path.name), "good", "performance", for_s=12)

    def _ask_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.panel, self.tr("Open a performance"), "", self.tr("Performances (*.json)")
        )
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Take a performance from a file; the one before can be had back by undoing."""
        try:
            self.panel.strip.direction.open(Performance.load(path))
        except UserError as error:
            self._say(str(error))

    def _say(self, line: str) -> None:
        self._banner.put_up(line, "warn", "performance", for_s=12)
