"""Brings one's own face to the window: the webcam's panel and the dialog of photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QObject
from PyQt6.QtWidgets import QWidget

from app.gui.capture.face_panel import FacePanel
from app.gui.capture.photo_dialog import PhotoDialog
from app.gui.main.bridge import Bridge
from app.live.camera import list_cameras
from app.settings import Store

__all__ = ["OwnFace"]


class OwnFace(QObject):
    """Wires the face panel, the engine and the dialog together."""

    def __init__(
        self, window: QWidget, store: Store, bridge: Bridge, panel: FacePanel, list_again: Callable[[], None]
    ) -> None:
        """
        Args:
            list_again: there is a new avatar in the library.
        """
        super().__init__()
        self._window, self._store, self._bridge, self._panel = window, store, bridge, panel
        self._list_again = list_again
        self.dialog: PhotoDialog | None = None
        panel.calibrate.connect(lambda: bridge.session.face.calibrate())
        panel.look_again.connect(lambda: panel.show_cameras(list_cameras()))
        panel.new_avatar.connect(self.new_avatar)
        bridge.face_changed.connect(self.refresh)

    def new_avatar(self, photo: Path | None = None) -> None:
        """Open the dialog, with a photo in it if one is given."""
        if self.dialog is None or not self.dialog.isVisible():
            self.dialog = PhotoDialog(self._window, lambda: self._bridge.session.face.pictures.get())
            self.dialog.made.connect(self._show)
            self.dialog.open()
        if photo is not None:
            self.dialog.add_file(photo)

    def refresh(self) -> None:
        """Show what the webcam is doing."""
        face = self._bridge.session.face
        self._panel.show_state(face.state, face.problem, face.latency_ms)

    def _show(self, name: str) -> None:
        self._list_again()
        if self._store.value.avatar == name:
            self._bridge.load_avatar(name)  # made anew under the name of the one that is shown
        else:
            self._store.change(avatar=name)
