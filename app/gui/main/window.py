"""The main window: the avatar large, everything else beside it."""

from __future__ import annotations

import logging
from pathlib import Path

from PyQt6.QtCore import QSettings, QTimer
from PyQt6.QtGui import QCloseEvent, QColor, QImageReader, QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QVBoxLayout,
    QWidget,
)

from animation.expression.emotions import EMOTIONS
from app.gui.capture.own_face import OwnFace
from app.gui.look.theme import apply_theme, current
from app.gui.main.bridge import Bridge, MakeSession
from app.gui.main.clips import Clips
from app.gui.main.directing import Directing
from app.gui.main.menus import MenuActions, Menus
from app.gui.main.notices import Banner
from app.gui.main.recordings import Recordings
from app.gui.main.reports import EngineReports
from app.gui.panels.recording_bar import RecordingBar
from app.gui.panels.side_bar import SideBar
from app.gui.panels.thumbnails import Thumbnails
from app.gui.view.camera_control import CameraControl
from app.gui.view.overlay_window import OverlayWindow
from app.gui.view.viewport import Viewport
from app.live.scene import Drawn
from app.live.session import LiveSession
from app.live.source import Source
from app.settings import Settings, Store
from avatar.errors import UserError
from avatar.heads import assets_dir
from avatar.library import default_name, names, user_dir

__all__ = ["MainWindow"]

_log = logging.getLogger(__name__)
_METER_MS, _STATUS_MS, _SAVE_MS = 33, 250, 800
_PATIENCE_MS = 5000
_AVATARS = {".safetensors", ".ply", ".zip"}
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def _file_of(avatar: str) -> Path:
    """The file of an avatar that can be opened by name; the user's own win."""
    own = user_dir() / f"{avatar}.safetensors"
    return own if own.exists() else assets_dir() / own.name


class MainWindow(QMainWindow):
    """Wires settings, engine and widgets together."""

    def __init__(self, store: Store, make_session: MakeSession = LiveSession, first: Source | None = None) -> None:
        """
        Args:
            first: a file, played once there is a picture.
        """
        super().__init__()
        self.store = store
        self.setWindowTitle("Gaussian Avatar")
        self.setMinimumSize(860, 620)
        self.bridge = Bridge(store, make_session)
        self._closing = False
        self._overlay_window: OverlayWindow | None = None

        self.viewport = Viewport()
        self.picture_area = QWidget()
        area = QVBoxLayout(self.picture_area)
        area.setContentsMargins(0, 0, 0, 0)
        area.addWidget(self.viewport)
        self.banner = Banner(self.picture_area)
        self.bar = RecordingBar()
        self.side = SideBar(store, self.banner)
        self.clips = Clips(store, self.bridge, self.bar, first)
        self.directing = Directing(self.bridge, self.clips, self.banner)
        self.camera = CameraControl(store, self.viewport)
        self.recordings = Recordings(store, self.bridge, self.bar, self.banner)
        self.own_face = OwnFace(self, store, self.bridge, self.side.face, self._list_avatars)
        self.reports = EngineReports(self, self.bridge, self.banner, self.clips, self.choose_avatar)
        parts = (self.bridge, self.clips, self.camera, self.recordings, self.own_face, self.reports, self.directing)
        for held in parts:
            held.setParent(self)  # to go with the window, on its thread, whenever Python's collector comes by
        self._lay_out()
        self.menus = Menus(
            self,
            store,
            MenuActions(
                open_avatar=self.choose_avatar,
                new_avatar=self.own_face.new_avatar,
                new_person=self.own_face.new_person,
                play_sound=self.choose_audio,
                record=self.recordings.toggle_recording,
                save_still=self.recordings.save_still,
                show_recordings=self.recordings.show_folder,
                reset_camera=self.camera.reset,
                toggle_panel=lambda: self.side.setVisible(not self.side.isVisible()),
                toggle_overlay=self.toggle_overlay,
                toggle_timeline=self.directing.toggle,
            ),
        )
        self.thumbnails = Thumbnails()
        self._connect()
        self._shortcuts()
        self._list_avatars()
        self._watch_devices()
        self._show(store.value, frozenset(Settings.__struct_fields__))
        state = QSettings("gaussian-avatar", "window")
        if (geometry := state.value("geometry")) is not None:
            self.restoreGeometry(geometry)
        else:
            self.resize(1180, 800)

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self, avatar: str | None = None) -> None:
        """Start the engine, with this avatar or the one that the settings remember. After the window has been shown,
        so that it appears at once."""
        self.bridge.start(avatar)
        QTimer.singleShot(_PATIENCE_MS, self.reports.explain_waiting)
        self._meter_timer.start(_METER_MS)
        self._status_timer.start(_STATUS_MS)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.hide()  # at once: what ends behind it may take a moment
        self.shut_down()
        if event is not None:
            event.accept()

    def shut_down(self) -> None:
        """Stop everything and save the settings. Idempotent."""
        if self._closing:
            return
        self._closing = True
        for timer in (self._meter_timer, self._status_timer, self._save_timer):
            timer.stop()
        QSettings("gaussian-avatar", "window").setValue("geometry", self.saveGeometry())
        self._save()
        self.thumbnails.stop()
        self.directing.close()
        self.own_face.close()
        self.bridge.stop()
        self.viewport.paint_directly(False)

    # -- actions ---------------------------------------------------------------------------------------------------

    def toggle_clip(self) -> None:
        """Play the last sound file, or the sample; or stop it."""
        self.clips.toggle()

    def toggle_mute(self) -> None:
        """Mute or unmute the microphone."""
        self.store.change(muted=not self.store.value.muted)

    def choose_audio(self) -> None:
        """Ask for a sound file and play it."""
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Play a sound"), "", self.tr("Sounds and videos (*);;All files (*)")
        )
        if path:
            self.open_path(Path(path))

    def choose_avatar(self) -> None:
        """Ask for an avatar's file."""
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Open an avatar"), "", self.tr("Avatars (*.safetensors *.ply *.zip)")
        )
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Take what was opened or dropped: avatar, background picture or sound."""
        suffix = path.suffix.lower()
        if suffix in _AVATARS:
            self.bridge.load_avatar(str(path))
        elif suffix in _PICTURES and not QImageReader(str(path)).canRead():
            self.reports.say(self.tr("{}: not a picture that can be read").format(path.name))
        elif suffix in _PICTURES:
            self.store.change(background="image", background_image=str(path))
            make = (self.tr("Make an avatar of it"), lambda: self.own_face.new_avatar(path))
            self.banner.put_up(self.tr("The picture is the background now."), "info", "picture", (make,), for_s=12)
        else:
            self.clips.play(path)

    def toggle_overlay(self) -> None:
        """Show the avatar in a window without a frame, on a transparent background; or close that window."""
        if self._overlay_window is not None:
            self._overlay_window.close()
            return
        self._overlay_window = OverlayWindow(self)
        self._overlay_window.closed.connect(self._stage_closed)
        self.store.change(background="transparent")
        self._overlay_window.show()

    # -- pictures --------------------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        if self.viewport.direct:
            if (request := self.bridge.take_request()) is not None:
                self.viewport.show_request(request)
            return
        image = self.bridge.take_image()
        if image is None:
            return
        self.viewport.show_image(image)
        if self._overlay_window is not None:
            self._overlay_window.show_image(image)
        if not self.reports.seen_image:
            self.reports.first_image()
            self.bridge.ask_backends()
        self._follow_backend()

    def _follow_backend(self) -> None:
        """The window draws for itself while OpenGL is the renderer, unless a second window needs the pictures. Not
        before the first image: what is slow at first (compiling, loading) is not for this thread."""
        opengl = self.bridge.session.rendering.backend == "opengl"
        self.viewport.paint_directly(opengl and self.reports.seen_image and self._overlay_window is None)

    def _on_direct(self) -> None:
        self.bridge.session.paint_directly(self.viewport.direct)
        if (request := self.bridge.session.requests.get()) is not None:
            self.viewport.show_request(request)

    def _on_direct_failed(self, reason: str) -> None:
        self.reports.say(self.tr("The window shows images that OpenGL has drawn elsewhere: {}").format(reason))

    def _on_painted(self, drawn: Drawn, at_s: float) -> None:
        self.bridge.session.painted(drawn, at_s)

    # -- following the settings ------------------------------------------------------------------------------------

    def _show(self, settings: Settings, changed: frozenset[str]) -> None:
        if "theme" in changed:
            self._dress()
        self.side.show_settings(settings)
        self.bar.show_settings(settings)
        self.menus.show_settings(settings)
        if "avatar" in changed and settings.avatar not in self.side.avatars.cards:
            self._list_avatars()
        behind = settings.background_colour or current().backdrop
        self.viewport.set_behind(QColor(behind), settings.background == "transparent")
        self._save_timer.start(_SAVE_MS)

    def _dress(self) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, self.store.value.theme)
        self.side.dress()
        self.bar.dress()
        self.directing.panel.dress()
        self.banner.dress()
        self.bridge.refresh_scene()
        behind = self.store.value.background_colour or current().backdrop
        self.viewport.set_behind(QColor(behind), self.store.value.background == "transparent")

    def _on_system_theme(self) -> None:
        if self.store.value.theme == "system":
            self._dress()

    def _on_source(self) -> None:
        session = self.bridge.session
        self.side.voice.show_devices(session.inputs, session.devices.state)

    def _tick_meter(self) -> None:
        self.side.voice.show_level(self.bridge.session.voice.meter)
        self.directing.tick()

    def _tick_status(self) -> None:
        self.own_face.refresh()
        status = self.bridge.session.status()
        self.bar.show_status(status)
        if self.bridge.session.ready:
            self.clips.play_first()
        self.clips.refresh()
        self.recordings.follow()
        self._follow_backend()

    def _resized(self) -> None:
        self.bridge.set_view(self.viewport.size(), self.viewport.devicePixelRatioF())

    def _save(self) -> None:
        try:
            self.store.save()
        except OSError as error:
            _log.warning("the settings could not be saved: %s", error)

    # -- setting up ------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.picture_area, 1)
        column.addWidget(self.directing.panel)
        column.addWidget(self.bar)
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(left, 1)
        row.addWidget(self.side)
        self.setCentralWidget(whole)

    def _connect(self) -> None:
        self._meter_timer, self._status_timer, self._save_timer = QTimer(self), QTimer(self), QTimer(self)
        self._meter_timer.timeout.connect(self._tick_meter)
        self._status_timer.timeout.connect(self._tick_status)
        self._save_timer.setSingleShot(True)
        self._save_timer.timeout.connect(self._save)
        self.bridge.ready.connect(self._on_ready)
        self.bridge.source_changed.connect(self._on_source)
        self.reports.waiting.connect(self.viewport.set_waiting)
        self.reports.avatars_changed.connect(self._list_avatars)
        self.bridge.backends_known.connect(self.side.picture.show_backends)
        self.viewport.painted.connect(self._on_painted)
        self.viewport.direct_changed.connect(self._on_direct)
        self.viewport.direct_failed.connect(self._on_direct_failed)
        self.viewport.resized.connect(self._resized)
        self.viewport.dropped.connect(self.open_path)
        self.bar.record.connect(self.recordings.toggle_recording)
        self.bar.still.connect(self.recordings.save_still)
        self.bar.play.connect(self.toggle_clip)
        self.bar.mute.connect(self.toggle_mute)
        self.side.voice.look_again.connect(self.reports.look_again)
        self.side.avatars.open_file.connect(self.choose_avatar)
        self.side.avatars.new_person.connect(self.own_face.new_person)
        self.side.avatars.picked.connect(self.bridge.load_avatar)
        self.bridge.avatar_failed.connect(lambda asked, problem: self.side.avatars.show_settings(self.store.value))
        self.thumbnails.ready.connect(self.side.avatars.set_picture)
        self.store.subscribe(self._show)
        hints = QApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(self._on_system_theme)

    def _shortcuts(self) -> None:
        keys = {
            "R": self.recordings.toggle_recording, "S": self.recordings.save_still, "P": self.toggle_clip,
            "M": self.toggle_mute, "0": self.camera.reset,
        }  # fmt: skip
        for key, act in keys.items():
            QShortcut(QKeySequence(key), self).activated.connect(act)
        for index, emotion in enumerate(EMOTIONS[:9]):
            shortcut = QShortcut(QKeySequence(str(index + 1)), self)
            shortcut.activated.connect(lambda emotion=emotion: self.store.change(emotion=emotion))

    def _list_avatars(self) -> None:
        try:
            default: str | None = default_name()
        except UserError:
            default = None
        infos = {name: _file_of(name) for name in names()}
        if set(infos) | {self.store.value.avatar} - {None} != set(self.side.avatars.cards) or not infos:
            self.side.avatars.show_avatars(list(infos), default)
            pictures = dict(infos)
            asked = self.store.value.avatar
            if asked is not None and asked not in pictures:
                pictures[asked] = Path(asked)
            self.thumbnails.request(pictures)

    def _watch_devices(self) -> None:
        """Take Qt's word for devices that come and go."""
        try:
            from PyQt6.QtMultimedia import QMediaDevices
        except ImportError as error:  # its system libraries may be missing; the button is still there
            _log.info("no notice of new microphones: %s", error)
            return
        self._media = QMediaDevices()
        self._media.audioInputsChanged.connect(self.reports.look_again)

    def _stage_closed(self) -> None:
        self._overlay_window = None
