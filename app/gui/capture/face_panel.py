"""The panel that says what moves the face: the voice, a webcam, or both."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QLabel, QPushButton

from app.gui.look.wording import sentence
from app.gui.panels.controls import Panel, Picker, muted_label
from app.live.camera import CameraDevice
from app.live.face import FaceState
from app.settings import Settings, Store

__all__ = ["FacePanel"]


class FacePanel(Panel):
    """Source, camera, state, calibration, and the way to an avatar of one's own."""

    calibrate = pyqtSignal()
    look_again = pyqtSignal()
    """Cameras may have changed."""
    new_avatar = pyqtSignal()

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Face"))
        self._store = store
        self._listed: list[CameraDevice] | None = None
        self.source = Picker(self.tr("Face from"))
        for value, label in (
            ("voice", self.tr("Face from the voice")),
            ("webcam", self.tr("Face from the webcam")),
            ("both", self.tr("Lips from the voice, the rest from the webcam")),
        ):
            self.source.addItem(label, value)
        self.source.activated.connect(self._picked_source)
        self.camera = Picker(self.tr("Webcam"))
        self.camera.activated.connect(lambda: store.change(webcam=self.camera.currentData()))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.again = QPushButton(self.tr("Look ahead at rest, then press here"))
        self.again.setToolTip(self.tr("The face of two seconds becomes the rest that all else is measured against"))
        self.again.clicked.connect(self.calibrate.emit)
        self.photo = QPushButton(self.tr("New avatar from a photo…"))
        self.photo.clicked.connect(self.new_avatar.emit)
        self.add(self.source, self.camera, self.words, self.again, self.photo)
        self.add(muted_label(self.tr("Pictures of the webcam never leave this machine and are not kept.")))

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.source.setCurrentIndex(self.source.findData(settings.face_from))
        on = settings.face_from != "voice"
        for widget in (self.camera, self.words, self.again):
            widget.setVisible(on)
        if on and self._listed is None:
            self.look_again.emit()
        self._choose(settings)

    def show_cameras(self, cameras: list[CameraDevice]) -> None:
        """Follow the cameras."""
        if cameras == self._listed:
            return
        self._listed = list(cameras)
        self.camera.clear()
        self.camera.addItem(self.tr("First webcam") if cameras else self.tr("No webcam was found"), None)
        for camera in cameras:
            self.camera.addItem(camera.name, camera.key)
        self._choose(self._store.value)

    def show_state(self, state: FaceState, problem: str, latency_ms: float) -> None:
        """What the camera and the face in it are doing."""
        text = {
            "off": "",
            "opening": self.tr("Opening the webcam…"),
            "calibrating": self.tr("Look ahead, face at rest: two seconds…"),
            "following": self.tr("Following the face ({:.0f} ms after each picture)").format(latency_ms),
            "no face": self.tr("No face is in sight"),
            "lost": sentence(problem),
        }[state]
        if self.words.text() != text:
            self.words.setText(text)
        self.again.setEnabled(state in ("following", "no face"))

    def _picked_source(self) -> None:
        self.look_again.emit()
        self._store.change(face_from=self.source.currentData())

    def _choose(self, settings: Settings) -> None:
        at = self.camera.findData(settings.webcam)
        if at < 0 and settings.webcam is not None:
            self.camera.addItem(self.tr("{} (not connected)").format(settings.webcam), settings.webcam)
            at = self.camera.count() - 1
        self.camera.setCurrentIndex(max(at, 0))
