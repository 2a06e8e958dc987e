"""Brings faces of one's own to the window: the webcam's panel, the dialog of photos, and that of sliders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtWidgets import QWidget

from app.gui.capture.face_panel import FacePanel
from app.gui.capture.photo_dialog import PhotoDialog
from app.gui.main.bridge import Bridge
from app.live.camera import list_cameras
from app.settings import Store

if TYPE_CHECKING:
    from app.gui.capture.person_dialog import PersonDialog

__all__ = ["OwnFace"]


class OwnFace(QObject):
    """Wires the face panel, the engine and the dialogs together."""

    _at_hand = pyqtSignal()
    """What makes people has been loaded."""

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
        self.person: PersonDialog | None = None
        self._at_hand.connect(self._open_person)
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

    def new_person(self) -> None:
        """Open the dialog of sliders. The workshop behind it is loaded first, while the window goes on."""

        def load() -> None:
            import app.forging  # noqa: F401

            self._at_hand.emit()

        self._bridge.in_background(load)

    def close(self) -> None:
        """End what the dialogs have begun."""
        if self.person is not None:
            self.person.give_back()
        if self.dialog is not None:
            self.dialog.give_back()

    def _open_person(self) -> None:
        from app.gui.capture.person_dialog import PersonDialog

        if self.person is None:
            self.person = PersonDialog(self._window)
            self.person.made.connect(self._show)
            self.person.left.connect(lambda: self._bridge.spare(False))
        if not self.person.isVisible():
            self._bridge.spare(True)
            self.person.open()
            self.person.begin_drawing()

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
