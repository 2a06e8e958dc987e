"""The main window: the avatar large, everything else beside it."""

from __future__ import annotations

import contextlib
import datetime
import logging
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QSettings, QStandardPaths, Qt, QTimer, QUrl
from PyQt6.QtGui import QCloseEvent, QColor, QDesktopServices, QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QApplication,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from animation.emotion import EMOTIONS
from app.gui.bridge import Bridge, MakeSession
from app.gui.controls import Panel
from app.gui.menus import Menus
from app.gui.notices import LASTING, Banner, ErrorDialog
from app.gui.outputs_panel import OutputsPanel
from app.gui.panels import EmotionPanel, ExpressionPanel, MotionPanel
from app.gui.recording_bar import RecordingBar
from app.gui.stage_panels import AvatarPanel, PicturePanel, ViewPanel
from app.gui.stage_window import StageWindow
from app.gui.theme import SPACE, apply_theme, current
from app.gui.thumbnails import Thumbnails
from app.gui.viewport import Viewport
from app.gui.voice_panel import VoicePanel
from app.live.rendering import LiveImage
from app.live.session import LiveSession
from app.live.worker import Failure
from app.output.video import save_still
from app.state import Settings, Store
from avatar.errors import UserError
from avatar.library import assets_dir, default_name, names, user_dir

__all__ = ["MainWindow", "sample_clip"]

_log = logging.getLogger(__name__)
_SIDE_WIDTH = 372
_METER_MS, _STATUS_MS, _SAVE_MS = 33, 250, 800
_PATIENCE_MS = 5000
_AVATARS = {".safetensors", ".ply", ".zip"}
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def sample_clip() -> Path | None:
    """The bundled sample of speech."""
    folder = Path(__file__).parents[1] / "assets"
    return next((p for p in sorted(folder.glob("sample*")) if p.suffix in (".flac", ".wav")), None)


def _file_of(avatar: str) -> Path:
    """The file of an avatar that can be opened by name; the user's own win."""
    own = user_dir() / f"{avatar}.safetensors"
    return own if own.exists() else assets_dir() / own.name


class MainWindow(QMainWindow):
    """Wires settings, engine and widgets together."""

    def __init__(self, store: Store, make_session: MakeSession = LiveSession, audio_file: Path | None = None) -> None:
        """
        Args:
            audio_file: played once there is a picture.
        """
        super().__init__()
        self.store = store
        self.setWindowTitle("Gaussian Avatar")
        self.setMinimumSize(860, 620)
        self.bridge = Bridge(store, make_session)
        self._first_audio = audio_file
        self._sample_offered = False
        self._last_file: Path | None = None
        self._error_dialog: ErrorDialog | None = None
        self._closing = False
        self._seen_image = False
        self._stage_window: StageWindow | None = None

        self.viewport = Viewport()
        self.stage = QWidget()
        stage = QVBoxLayout(self.stage)
        stage.setContentsMargins(0, 0, 0, 0)
        stage.addWidget(self.viewport)
        self.banner = Banner(self.stage)
        self.bar = RecordingBar()
        self.avatars = AvatarPanel(store)
        self.emotions = EmotionPanel(store)
        self.expressions = ExpressionPanel(store)
        self.voice = VoicePanel(store)
        self.view = ViewPanel(store)
        self.motion = MotionPanel(store)
        self.outputs = OutputsPanel(store, self.banner)
        self.picture = PicturePanel(store)
        self.panels: dict[str, Panel] = {
            "avatar": self.avatars, "emotion": self.emotions, "expressions": self.expressions, "voice": self.voice,
            "view": self.view, "motion": self.motion, "picture": self.picture, "outputs": self.outputs,
        }  # fmt: skip
        self._lay_out()
        self.menus = Menus(self)
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

    def start(self) -> None:
        """Start the engine. After the window has been shown, so that it appears at once."""
        self.bridge.start()
        QTimer.singleShot(_PATIENCE_MS, self._explain_waiting)
        self._meter_timer.start(_METER_MS)
        self._status_timer.start(_STATUS_MS)

    def closeEvent(self, event: QCloseEvent | None) -> None:
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
        self.bridge.stop()

    # -- actions ---------------------------------------------------------------------------------------------------

    def toggle_recording(self) -> None:
        """Start or finish a recording."""
        session = self.bridge.session
        try:
            if session.recording is None:
                settings = self.store.value
                session.record(self._new_file(), settings.record_fps or None, settings.record_quality)
                if self.banner.key == "saved":
                    self.banner.take_down()
            else:
                self._saved(session.stop_recording())
        except UserError as error:
            self.banner.put_up(str(error), "bad", "recording")
        self.bar.show_recording(session.recording)

    def save_picture(self) -> None:
        """Save what is on display as PNG."""
        image = self.bridge.session.images.get()
        if image is None:
            return
        path = self._folder() / f"{self._stamp()}.png"
        try:
            save_still(path, np.array(image.bgra))
        except UserError as error:
            self.banner.put_up(str(error), "bad", "still")
            return
        self._offer_file(self.tr("Saved {}").format(path.name), path, 8.0)

    def toggle_clip(self) -> None:
        """Play the last sound file, or the sample; or stop it."""
        if self.bridge.playing is not None:
            self.bridge.stop_playing()
        else:
            chosen = self.store.value.audio_file
            path = Path(chosen) if chosen and Path(chosen).is_file() else sample_clip()
            if path is None:
                self.choose_audio()
            else:
                self.bridge.play(path)
        self._show_playing()

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
            self.store.change(avatar=str(path))
        elif suffix in _PICTURES:
            self.store.change(background="image", background_image=str(path))
        else:
            self.store.change(audio_file=str(path))
            self.bridge.play(path)
            self._show_playing()

    def show_folder(self) -> None:
        """Open the folder of recordings."""
        folder = self._folder()
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def reset_view(self) -> None:
        """The framing as it was."""
        self.store.change(yaw_deg=0.0, pitch_deg=0.0, zoom=1.0, pan=(0.0, 0.0))

    def toggle_stage(self) -> None:
        """Show the avatar in a window without a frame, on a transparent background; or close that window."""
        if self._stage_window is not None:
            self._stage_window.close()
            return
        self._stage_window = StageWindow(self)
        self._stage_window.closed.connect(self._stage_closed)
        self.store.change(background="transparent")
        self._stage_window.show()

    def show_error(self, failure: Failure) -> None:
        """A dialog with cause and details; one at a time."""
        if self._error_dialog is not None:
            return
        dialog = ErrorDialog(self, self.tr("Something went wrong"), failure.message, failure.details)
        self._error_dialog = dialog
        dialog.destroyed.connect(self._error_closed)
        dialog.open()

    # -- news from the engine --------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        image = self.bridge.take_image()
        if image is not None:
            self.viewport.show_image(image)
            if self._stage_window is not None:
                self._stage_window.show_image(image)
            if not self._seen_image:
                self._seen_image = True
                self.bridge.ask_backends()
                self._play_first()

    def _on_painted(self, image: LiveImage, at_s: float) -> None:
        self.bridge.session.painted(image, at_s)

    def _on_source(self) -> None:
        session = self.bridge.session
        state = session.devices.state
        self.voice.show_devices(session.inputs, state)
        key = "source"
        if state.kind in ("missing", "lost") and self.bridge.playing is None:
            text = state.problem[:1].upper() + state.problem[1:]
            if state.kind == "missing" and not self._sample_offered and sample_clip() is not None:
                self._sample_offered = True
                self._first_audio = self._first_audio or sample_clip()
            if self._first_audio is not None:
                text = self.tr("{}. Playing a sample instead.").format(text)
            actions = ((self.tr("Look again"), self._look_again),)
            self.banner.put_up(text, "warn" if state.kind == "missing" else "bad", key, actions)
            if self._seen_image:
                self._play_first()
        elif state.kind in ("device", "none") and self.banner.key == key and not state.problem:
            self.banner.take_down()
        self._show_playing()

    def _on_failed(self, failure: Failure) -> None:
        _log.error("%s: %s", failure.worker, failure.message)
        names = {
            "render": self.tr("The renderer"), "inference": self.tr("The animation"), "audio": self.tr("The sound"),
            "devices": self.tr("The microphone"), "outputs": self.tr("The output"),
        }  # fmt: skip
        self.banner.put_up(
            self.tr("{} stopped: {}").format(names.get(failure.worker, failure.worker), failure.message),
            "bad",
            LASTING,
            (
                (self.tr("Details"), lambda: self.show_error(failure)),
                (self.tr("Restart"), self._restart),
            ),
        )
        if self.bridge.session.images.get() is None:
            self.viewport.set_waiting("")

    def _play_first(self) -> None:
        """What is played at the start, once there is a picture to see it with."""
        if self._first_audio is not None:
            path, self._first_audio = self._first_audio, None
            self.bridge.play(path)
            self._show_playing()

    def _explain_waiting(self) -> None:
        if self.bridge.session.images.get() is None and not self.bridge.session.failures:
            self.viewport.set_waiting(self.tr("Preparing the renderer. The first start takes a little longer."))

    def _on_notice(self, text: str) -> None:
        self.banner.put_up(text, "warn", "notice", for_s=10)

    def _on_avatar(self, asked: str, name: str) -> None:
        if self.banner.key == "avatar":
            self.banner.take_down()
        self._list_avatars()

    def _on_avatar_failed(self, asked: str, problem: str) -> None:
        actions = ((self.tr("Open a file…"), self.choose_avatar),)
        self.banner.put_up(problem[:1].upper() + problem[1:], "bad", "avatar", actions)
        if self.bridge.session.images.get() is None:
            self.viewport.set_waiting(self.tr("No avatar to show"))
            if asked:
                self.bridge.load_avatar(None)

    def _restart(self) -> None:
        self.banner.take_down()
        self.bridge.restart()

    def _look_again(self) -> None:
        self.bridge.session.devices.look_again()

    # -- following the settings ------------------------------------------------------------------------------------

    def _show(self, settings: Settings, changed: frozenset[str]) -> None:
        if "theme" in changed:
            self._dress()
        for name, panel in self.panels.items():
            panel.show_settings(settings)  # type: ignore[attr-defined]
            panel.set_folded(name in settings.collapsed)
        self.bar.show_settings(settings)
        self.menus.show_settings(settings)
        if "avatar" in changed and settings.avatar not in self.avatars.cards:
            self._list_avatars()
        behind = settings.background_colour or current().stage
        self.viewport.set_behind(QColor(behind), settings.background == "transparent")
        self._save_timer.start(_SAVE_MS)

    def _dress(self) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, self.store.value.theme)
        for panel in self.panels.values():
            panel.dress()
        self.bar.dress()
        self.banner.dress()
        self.bridge.refresh_scene()
        behind = self.store.value.background_colour or current().stage
        self.viewport.set_behind(QColor(behind), self.store.value.background == "transparent")

    def _on_system_theme(self) -> None:
        if self.store.value.theme == "system":
            self._dress()

    def _tick_meter(self) -> None:
        self.voice.show_level(self.bridge.session.status())

    def _tick_status(self) -> None:
        self.bridge.poll()
        status = self.bridge.session.status()
        self.bar.show_status(status)
        self.bar.show_recording(status.recording)
        self._show_playing()
        if status.recording is not None and status.recording.error:
            done = self.bridge.session.stop_recording()
            self.bar.show_recording(None)
            self._saved(done)

    def _show_playing(self) -> None:
        playing = self.bridge.playing
        self.bar.show_playing(playing.name if playing else None)

    def _fold(self, name: str, folded: bool) -> None:
        others = tuple(n for n in self.store.value.collapsed if n != name)
        self.store.change(collapsed=(*others, name) if folded else others)

    def _orbit(self, yaw: float, pitch: float) -> None:
        settings = self.store.value
        turned = (settings.yaw_deg + yaw + 180.0) % 360.0 - 180.0
        self.store.change(yaw_deg=turned, pitch_deg=min(max(settings.pitch_deg + pitch, -60.0), 60.0))

    def _pan(self, right: float, up: float) -> None:
        settings = self.store.value
        height_m = 0.35 / settings.zoom
        x, y = settings.pan[0] + right * height_m, settings.pan[1] + up * height_m
        self.store.change(pan=(min(max(x, -0.3), 0.3), min(max(y, -0.3), 0.3)))

    def _zoom(self, factor: float) -> None:
        self.store.change(zoom=min(max(self.store.value.zoom * factor, 0.4), 6.0))

    def _resized(self) -> None:
        self.bridge.set_view(self.viewport.size(), self.viewport.devicePixelRatioF())

    # -- files -----------------------------------------------------------------------------------------------------

    def _folder(self) -> Path:
        if self.store.value.folder:
            return Path(self.store.value.folder)
        videos = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
        return Path(videos or Path.home()) / "Gaussian Avatar"

    def _stamp(self) -> str:
        return f"Avatar {datetime.datetime.now():%Y-%m-%d %H.%M.%S}"

    def _new_file(self) -> Path:
        kind = self.store.value.record_format
        return self._folder() / (self._stamp() if kind == "png" else f"{self._stamp()}.{kind}")

    def _saved(self, status: object) -> None:
        from app.output.recorder import RecorderStatus

        assert isinstance(status, RecorderStatus)
        if status.error:
            self.banner.put_up(status.error, "bad", "recording")
            return
        minutes, seconds = divmod(int(status.duration_s), 60)
        text = self.tr("Saved {}, {:d}:{:02d}, {:.1f} MB").format(
            status.path.name, minutes, seconds, status.bytes / 1e6
        )
        if status.images_dropped:
            text += self.tr(", {} images dropped").format(status.images_dropped)
        self._offer_file(text, status.path, 20.0)

    def _offer_file(self, text: str, path: Path, for_s: float) -> None:
        actions = (
            (self.tr("Open"), lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))),
            (self.tr("Show in folder"), lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))),
        )
        self.banner.put_up(text, "good", "saved", actions, for_s)  # type: ignore[arg-type]

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
        column.addWidget(self.stage, 1)
        column.addWidget(self.bar)
        inside = QWidget()
        panels = QVBoxLayout(inside)
        panels.setContentsMargins(SPACE[3], SPACE[3], SPACE[3], SPACE[3])
        panels.setSpacing(SPACE[2])
        for panel in self.panels.values():
            panels.addWidget(panel)
        panels.addStretch(1)
        self.side = QScrollArea()
        self.side.setObjectName("side")
        self.side.setWidget(inside)
        self.side.setWidgetResizable(True)
        self.side.setFrameShape(QFrame.Shape.NoFrame)
        self.side.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        frame = QFrame()
        frame.setObjectName("sideFrame")
        frame.setFixedWidth(_SIDE_WIDTH)
        around = QVBoxLayout(frame)
        around.setContentsMargins(1, 0, 0, 0)
        around.addWidget(self.side)
        self.side_frame = frame
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(left, 1)
        row.addWidget(frame)
        self.setCentralWidget(whole)

    def _connect(self) -> None:
        self._meter_timer, self._status_timer, self._save_timer = QTimer(self), QTimer(self), QTimer(self)
        self._meter_timer.timeout.connect(self._tick_meter)
        self._status_timer.timeout.connect(self._tick_status)
        self._save_timer.setSingleShot(True)
        self._save_timer.timeout.connect(self._save)
        self.bridge.ready.connect(self._on_ready)
        self.bridge.source_changed.connect(self._on_source)
        self.bridge.failed.connect(self._on_failed)
        self.bridge.noticed.connect(self._on_notice)
        self.bridge.avatar_loaded.connect(self._on_avatar)
        self.bridge.avatar_failed.connect(self._on_avatar_failed)
        self.bridge.backends_known.connect(self.picture.show_backends)
        self.viewport.painted.connect(self._on_painted)
        self.viewport.orbited.connect(self._orbit)
        self.viewport.panned.connect(self._pan)
        self.viewport.zoomed.connect(self._zoom)
        self.viewport.reset.connect(self.reset_view)
        self.viewport.resized.connect(self._resized)
        self.viewport.dropped.connect(self.open_path)
        self.bar.record.connect(self.toggle_recording)
        self.bar.still.connect(self.save_picture)
        self.bar.play.connect(self.toggle_clip)
        self.bar.mute.connect(self.toggle_mute)
        self.voice.look_again.connect(self._look_again)
        self.avatars.open_file.connect(self.choose_avatar)
        self.thumbnails.ready.connect(self.avatars.set_picture)
        for name, panel in self.panels.items():
            panel.folded.connect(lambda folded, name=name: self._fold(name, folded))
        self.store.subscribe(self._show)
        hints = QApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(self._on_system_theme)

    def _shortcuts(self) -> None:
        keys = {
            "R": self.toggle_recording, "S": self.save_picture, "P": self.toggle_clip, "M": self.toggle_mute,
            "0": self.reset_view,
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
        if set(infos) | {self.store.value.avatar} - {None} != set(self.avatars.cards) or not infos:
            self.avatars.show_avatars(list(infos), default)
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
        self._media.audioInputsChanged.connect(self._look_again)

    def _stage_closed(self) -> None:
        self._stage_window = None

    def _error_closed(self) -> None:
        self._error_dialog = None
