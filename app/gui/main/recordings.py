"""Recordings and stills: where they go, and what is said about them."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QObject, QStandardPaths, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices

from app.gui.main.bridge import Bridge
from app.gui.main.notices import Banner
from app.gui.panels.recording_bar import RecordingBar
from app.live.scene import LiveImage
from app.output.recorder import RecorderStatus
from app.output.still import save_still
from app.settings import Store
from avatar.errors import UserError

__all__ = ["Recordings"]


class Recordings(QObject):
    """Starts and ends recordings, saves stills. Nothing here is waited for."""

    _still_saved = pyqtSignal(object, str)
    """Where, and what went wrong if something did."""

    def __init__(self, store: Store, bridge: Bridge, bar: RecordingBar, banner: Banner) -> None:
        super().__init__()
        self._store, self._bridge, self._bar, self._banner = store, bridge, bar, banner
        self._promised: set[Path] = set()
        """Stills that are being written."""
        self._still_saved.connect(self._on_still)
        bridge.restarted.connect(self.show_result)

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
            if session.recordings.busy:
                session.recordings.finish()
            elif not session.ready:
                text = self.tr("The avatar is being prepared: record when it moves.")
                self._banner.put_up(text, "info", "recording", for_s=6)
            else:
                settings = self._store.value
                sequence = settings.record_format == "png"
                path = self._new_path("" if sequence else f".{settings.record_format}")
                session.recordings.start(path, settings.record_fps or None, settings.record_quality, sequence)
                if self._banner.key in ("saved", "recording"):
                    self._banner.take_down()
        except UserError as error:
            self._banner.put_up(str(error), "bad", "recording")
        self.follow()

    def follow(self) -> None:
        """Show how a recording goes, and what has become of it."""
        session = self._bridge.session
        self.show_result(session.recordings.take_result())
        self._bar.show_recording(session.recordings.status, session.recordings.finishing)

    def show_result(self, status: RecorderStatus | None) -> None:
        """Say what has become of a recording; nothing for None."""
        if status is not None and status.error:
            self._banner.put_up(status.error, "bad", "recording")
        elif status is not None:
            self._saved(status)

    def save_still(self) -> None:
        """Save the next picture as PNG."""
        path = self._new_path(".png")
        self._promised.add(path)

        def keep(image: LiveImage) -> None:
            pixels = np.array(image.bgra)  # on the render thread, which goes on with its buffer
            self._bridge.in_background(lambda: write(pixels))

        def write(pixels: np.ndarray) -> None:
            try:
                save_still(path, pixels)
                self._still_saved.emit(path, "")
            except UserError as error:
                self._still_saved.emit(path, str(error))

        self._bridge.session.ask_image(keep)

    def _on_still(self, path: Path, problem: str) -> None:
        self._promised.discard(path)
        if problem:
            self._banner.put_up(problem, "bad", "still")
        else:
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
        paths = (self.folder / f"{name}{suffix}" for name in names)
        return next(path for path in paths if path not in self._promised and not path.exists())

    def _saved(self, status: RecorderStatus) -> None:
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
