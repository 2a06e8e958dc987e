"""Recordings and stills: where they go, and what is said about them."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QObject, QStandardPaths, QUrl
from PyQt6.QtGui import QDesktopServices

from app.gui.main.bridge import Bridge
from app.gui.main.notices import Banner
from app.gui.panels.recording_bar import RecordingBar
from app.output.recorder import RecorderStatus
from app.output.still import save_still
from app.settings import Store
from avatar.errors import UserError

__all__ = ["Recordings"]


class Recordings(QObject):
    """Starts and ends recordings, saves stills."""

    def __init__(self, store: Store, bridge: Bridge, bar: RecordingBar, banner: Banner) -> None:
        super().__init__()
        self._store, self._bridge, self._bar, self._banner = store, bridge, bar, banner

    @property
    def folder(self) -> Path:
        """Where files go."""
        if self._store.value.folder:
            return Path(self._store.value.folder)
        videos = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
        return Path(videos or Path.home()) / "Gaussian Avatar"

    def toggle_recording(self) -> None:
        """Start or finish a recording."""
        session = self._bridge.session
        try:
            if session.recording is None:
                settings = self._store.value
                sequence = settings.record_format == "png"
                path = self._new_path("" if sequence else f".{settings.record_format}")
                session.record(path, settings.record_fps or None, settings.record_quality, sequence)
                if self._banner.key == "saved":
                    self._banner.take_down()
            else:
                self._saved(session.stop_recording())
        except UserError as error:
            self._banner.put_up(str(error), "bad", "recording")
        self._bar.show_recording(session.recording)

    def follow(self, status: RecorderStatus | None) -> None:
        """Show how a recording goes; finish one that has failed."""
        self._bar.show_recording(status)
        if status is not None and status.error:
            done = self._bridge.session.stop_recording()
            self._bar.show_recording(None)
            self._saved(done)

    def save_still(self) -> None:
        """Save what is on display as PNG."""
        image = self._bridge.session.still()
        if image is None:
            return
        path = self._new_path(".png")
        try:
            save_still(path, np.array(image.bgra))
        except UserError as error:
            self._banner.put_up(str(error), "bad", "still")
            return
        self._offer(self.tr("Saved {}").format(path.name), path, 8.0)

    def show_folder(self) -> None:
        """Open the folder in the system's file manager."""
        folder = self.folder
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _new_path(self, suffix: str) -> Path:
        """Named after this moment; what was made in the same second keeps its name."""
        stamp = f"Avatar {datetime.datetime.now():%Y-%m-%d %H.%M.%S}"
        names = itertools.chain([stamp], (f"{stamp} ({number})" for number in itertools.count(2)))
        return next(path for name in names if not (path := self.folder / f"{name}{suffix}").exists())

    def _saved(self, status: RecorderStatus) -> None:
        if status.error:
            self._banner.put_up(status.error, "bad", "recording")
            return
        minutes, seconds = divmod(int(status.duration_s), 60)
        text = self.tr("Saved {}, {:d}:{:02d}, {:.1f} MB").format(
            status.path.name, minutes, seconds, status.bytes / 1e6
        )
        if status.images_dropped:
            text += self.tr(", {} images dropped").format(status.images_dropped)
        self._offer(text, status.path, 20.0)

    def _offer(self, text: str, path: Path, for_s: float) -> None:
        def show(what: Path) -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(what)))

        actions = (
            (self.tr("Open"), lambda: show(path)),
            (self.tr("Show in folder"), lambda: show(path.parent)),
        )
        self._banner.put_up(text, "good", "saved", actions, for_s)
