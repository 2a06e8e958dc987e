"""Between the live engine's threads and Qt's: small signals, no pictures in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QObject, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QImage

from animation.driver import DriverSettings
from animation.expression.emotions import EmotionCue
from app.gui.look.theme import background_of, current
from app.live.scene import ImageRequest, LiveImage, Scene
from app.live.session import LiveSession
from app.live.source import Source
from app.settings import Settings, Store
from avatar.render import available_renderers, open_renderer

__all__ = ["Bridge"]

_MOST_PIXELS = 820 * 820
"""Pictures that fit the window are drawn at most this large, and scaled beyond."""

_SPARING_PER_S = 6.0

MakeSession = Callable[..., LiveSession]


class Bridge(QObject):
    """Owns the session; carries settings into it and events out of it. Lives on the GUI thread."""

    ready = pyqtSignal()
    """There is a new image, or request; one signal stands for all that came since it was sent."""
    source_changed = pyqtSignal()
    face_changed = pyqtSignal()
    """The webcam, or the face in it, does something else."""
    failed = pyqtSignal(object)
    """A `Failure`."""
    noticed = pyqtSignal(object)
    """A `Notice`."""
    said = pyqtSignal(str)
    """One line, in the user's language."""
    avatar_loaded = pyqtSignal(str)
    """What was asked for moves; empty for the default avatar."""
    avatar_failed = pyqtSignal(str, str)
    """What was asked for, and one line."""
    restarted = pyqtSignal(object)
    """There is a new engine; with the `RecorderStatus` of a recording that ended with the old one, or None."""
    _stopped = pyqtSignal()
    backends_known = pyqtSignal(object)
    """Renderers by name, each `ok` or why not."""

    def __init__(self, store: Store, make_session: MakeSession = LiveSession) -> None:
        super().__init__()
        self._store = store
        self._make = make_session
        self._pending = False
        self._view = QSize(640, 640)
        self._ratio = 1.0
        self._backdrop: tuple[tuple[str, int, int], np.ndarray] | None = None
        self._loaders: list[threading.Thread] = []
        self._restarting = self._ended = False
        self._stopped.connect(self._start_anew)
        self._cue: EmotionCue | None = None
        self._sparing = False
        self._asked: str | None = None
        """The avatar that was picked last; None is the default."""
        self._shown: str | None = None
        """The last that moved, if any has."""
        self._moves = False
        self.avatar_loaded.connect(self._on_avatar)
        self.avatar_failed.connect(self._on_avatar_failed)
        self.session = self._new_session()
        store.subscribe(self._apply)

    def start(self, avatar: str | None = None) -> None:
        """Start the engine and load the avatar: this one, or the one that the settings remember."""
        self.session.start()
        self.load_avatar(avatar or self._store.value.avatar)
        self.session.set_outputs(self._store.value.outputs)
        self.session.set_monitor(self._store.value.monitor)

    def stop(self) -> bool:
        """Stop the engine, for good; False if a thread would not end."""
        self._ended = True
        for thread in self._loaders:
            thread.join(10)
        return self.session.stop()

    def restart(self) -> None:
        """A new engine in the place of one that failed, as soon as that has stopped; `restarted` follows."""
        if self._restarting:
            return
        self._restarting = True
        old = self.session

        def stop() -> None:
            old.stop(2.0)
            self._stopped.emit()

        self.in_background(stop)

    def _start_anew(self) -> None:
        if self._ended:
            return  # the window was closed meanwhile
        recorded = self.session.recordings.take_result()
        self._restarting = False
        self.session = self._new_session()
        self.start()
        self.restarted.emit(recorded)

    def take_image(self) -> LiveImage | None:
        """The newest image; after this, the next one is announced again."""
        self._pending = False
        return self.session.images.get()

    def take_request(self) -> ImageRequest | None:
        """The newest request; the same."""
        self._pending = False
        return self.session.requests.get()

    def load_avatar(self, name_or_path: str | None) -> None:
        """Show an avatar; `avatar_loaded` or `avatar_failed` follows. The settings remember it when it moves, not
        before: one that cannot be opened never becomes the stored choice."""
        self._asked = name_or_path
        self.session.pick_avatar(name_or_path)

    def _on_avatar(self, asked: str) -> None:
        self._moves, self._shown = True, asked or None
        if self._shown == self._asked != self._store.value.avatar:
            self._store.change(avatar=self._shown)

    def _on_avatar_failed(self, asked: str, problem: str) -> None:
        """The one before goes on, in the settings too; where there was none, the one that the settings remember, and
        if it was that, the default avatar."""
        if (asked or None) != self._asked:
            return  # another has been picked since
        if self._moves:
            self._asked = self._shown
        elif asked:
            remembered = self._store.value.avatar
            self.load_avatar(None if remembered == asked else remembered)
        if self._store.value.avatar != self._asked:
            self._store.change(avatar=self._asked)

    def ask_backends(self) -> None:
        """Find out which renderers work here; `backends_known` follows."""

        def ask() -> None:
            self.backends_known.emit(available_renderers())

        self.in_background(ask)

    def play(self, clip: Source) -> None:
        """Play a sound file as if it were spoken, and heard; the microphone comes back when it has ended. `noticed`
        follows if it cannot be read."""
        self.session.set_source(replace(clip, aloud=True))

    def stop_playing(self) -> None:
        """Back to the microphone."""
        self.session.stop_clip()

    def direct(self, cue: EmotionCue | None) -> None:
        """Feel this in the place of the emotion that is picked; None goes back to it."""
        if cue != self._cue:
            self._cue = cue
            self.session.set_driver(self._driver(self._store.value))

    @property
    def playing(self) -> Path | None:
        """The file that is being played."""
        return self.session.devices.state.file

    def set_view(self, size: QSize, ratio: float) -> None:
        """The viewport's size in logical pixels, and its pixel ratio."""
        if (size, ratio) != (self._view, self._ratio):
            self._view, self._ratio = QSize(size), ratio
            self.refresh_scene()

    def refresh_scene(self) -> None:
        """Carry camera, background and size into the engine."""
        self.session.set_scene(self._scene(self._store.value))

    def spare(self, on: bool) -> None:
        """Draw fewer images, while something else wants the cores; or as many as ever."""
        self._sparing = on
        self.refresh_scene()

    def picture_size(self) -> tuple[int, int]:
        """Of the next image, pixels."""
        choice = self._store.value.picture
        if choice != "window":
            sides = choice.split("x")
            return int(sides[0]) // 2 * 2, int(sides[1]) // 2 * 2  # as H.264 wants them
        width, height = max(self._view.width(), 64) * self._ratio, max(self._view.height(), 64) * self._ratio
        scale = min(1.0, (_MOST_PIXELS / (width * height)) ** 0.5)
        return max(64, int(width * scale) // 2 * 2), max(64, int(height * scale) // 2 * 2)

    def in_background(self, work: Callable[[], None]) -> None:
        """Do what takes long on a thread of its own; the window's end waits for it."""
        self._loaders = [t for t in self._loaders if t.is_alive()]
        thread = threading.Thread(target=work, name="loader", daemon=True)
        self._loaders.append(thread)
        thread.start()

    def _new_session(self) -> LiveSession:
        settings = self._store.value
        return self._make(
            self._source(settings),
            self._scene(settings),
            settings.voice,
            self._driver(settings),
            on_image=self._on_image,
            on_request=self._announce,
            on_source=self.source_changed.emit,
            on_failure=self.failed.emit,
            on_notice=self.noticed.emit,
            open_renderer=partial(open_renderer, patient=False),
            on_avatar=lambda asked: self.avatar_loaded.emit(asked or ""),
            on_avatar_failed=lambda asked, problem: self.avatar_failed.emit(asked or "", problem),
            face=settings.face,
            on_face=self.face_changed.emit,
        )

    def _on_image(self, image: LiveImage) -> None:
        """On the render thread."""
        if not self.session.painting_directly:
            self._announce(image)

    def _announce(self, made: LiveImage | ImageRequest) -> None:
        """On the render thread."""
        if not self._pending:
            self._pending = True
            self.ready.emit()

    def _apply(self, settings: Settings, changed: frozenset[str]) -> None:
        session = self.session
        session.set_voice(settings.voice)
        session.set_driver(self._driver(settings))
        session.set_outputs(settings.outputs)
        session.set_face(settings.face)
        if changed & {"device", "source", "channel"}:
            session.set_source(self._source(settings))
        if "avatar" in changed and settings.avatar != self._asked:
            self.load_avatar(settings.avatar)
        if "monitor" in changed:
            session.set_monitor(settings.monitor)
        self.refresh_scene()

    def _driver(self, settings: Settings) -> DriverSettings:
        cue = self._cue
        if cue is None:
            return settings.driver
        transition_s = settings.transition_s if cue.transition_s is None else cue.transition_s
        return replace(
            settings.driver, emotion=cue.emotion, intensity=cue.intensity, transition_s=transition_s, expression=None
        )

    @staticmethod
    def _source(settings: Settings) -> Source:
        return (
            Source(none=True)
            if settings.source == "none"
            else Source(settings.device, channel=settings.channel or None)
        )

    def _scene(self, settings: Settings) -> Scene:
        width, height = self.picture_size()
        scene = Scene(
            settings.framing,
            width,
            height,
            background_of(current(), settings.background_colour),
            backend=settings.backend,
            images_per_s=_SPARING_PER_S if self._sparing else None,
            max_gaussians=settings.max_gaussians or None,
        )
        if settings.background == "transparent":
            return replace(scene, background=None)
        if settings.background == "image" and settings.background_image:
            return replace(scene, backdrop=self._cover(settings.background_image, width, height))
        return scene

    def _cover(self, path: str, width: int, height: int) -> np.ndarray | None:
        """An image file as BGRA that fills the picture; None, and a notice, if it cannot be read."""
        key = (path, width, height)
        if self._backdrop is not None and self._backdrop[0] == key:
            return self._backdrop[1]
        image = QImage(path)
        if image.isNull():
            self.said.emit(self.tr("{}: not a picture that can be read").format(Path(path).name))
            return None
        image = image.convertToFormat(QImage.Format.Format_RGB32).scaled(
            width,
            height,
            Qt.AspectRatioMode.KeepAspectRatioByExpanding,
            Qt.TransformationMode.SmoothTransformation,
        )
        image = image.copy((image.width() - width) // 2, (image.height() - height) // 2, width, height)
        bits = image.constBits()
        assert bits is not None
        bits.setsize(image.sizeInBytes())
        pixels = (
            np.frombuffer(bits.asstring(), np.uint8).reshape(height, image.bytesPerLine() // 4, 4)[:, :width].copy()
        )
        pixels[..., 3] = 255
        self._backdrop = (key, pixels)
        return pixels
