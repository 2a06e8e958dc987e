"""The avatar drawn by OpenGL straight onto the screen: no picture is read back."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable

import numpy as np
from PyQt6.QtCore import QRect, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QOpenGLContext, QPainter
from PyQt6.QtOpenGLWidgets import QOpenGLWidget
from PyQt6.QtWidgets import QWidget

from app.gui.view.surface import surface_format
from app.gui.view.surroundings import Surroundings, fitted
from app.live.scene import Drawn, ImageRequest
from avatar.render.opengl import WindowPainter

__all__ = ["GLCanvas"]

_log = logging.getLogger(__name__)


class GLCanvas(QOpenGLWidget):
    """Draws the newest request, as large as the widget is.

    `ready` comes when OpenGL works, `failed` with one line when it does not, or no longer; `painted` with a `Drawn` and
    the time right after the window was handed to the display.
    """

    painted = pyqtSignal(object, float)
    ready = pyqtSignal()
    failed = pyqtSignal(str)

    def __init__(self, surroundings: Surroundings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFormat(surface_format())
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.frameSwapped.connect(self._swapped)
        self._surroundings = surroundings
        self._painter: WindowPainter | None = None
        self._finish: Callable[[], None] = lambda: None
        self._broken = False
        self._request: ImageRequest | None = None
        self._drawn: Drawn | None = None
        self._shown = 0
        self._backdrop: tuple[np.ndarray, QImage] | None = None

    @property
    def device(self) -> str:
        """Who made the driver, and what it draws with; empty before `ready`."""
        return self._painter.device if self._painter is not None else ""

    @property
    def working(self) -> bool:
        """Whether it can draw now."""
        return self._painter is not None and not self._broken

    def show_request(self, request: ImageRequest) -> None:
        """Draw this one at the next opportunity."""
        self._request = request
        self.update()

    def close_gl(self) -> None:
        """Give back everything on the GPU, and the context. The widget is of no use afterwards."""
        self._broken = True
        self._release()
        self._request = self._drawn = self._backdrop = None
        self.hide()
        self.setParent(None)
        self.deleteLater()

    def initializeGL(self) -> None:
        context = self.context()
        assert context is not None
        context.aboutToBeDestroyed.connect(self._release)  # the window may get another one
        try:
            self._painter = WindowPainter(lambda name: _address(context, name))
            self._finish = ctypes.CFUNCTYPE(None)(_address(context, "glFinish"))
        except Exception as error:  # an exception must not leave a virtual function of Qt's
            self._fail(error)
        else:
            self.ready.emit()

    def paintGL(self) -> None:
        painter = QPainter(self)
        try:
            self._paint(painter)
        except Exception as error:  # as above; the driver may fail in many ways
            self._fail(error)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        room, request = self.rect(), self._request
        around = self._surroundings
        clear = request is not None and request.background is None
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.fillRect(room, Qt.GlobalColor.transparent if clear else around.behind)
        if request is not None and self.working:
            target = fitted(request.scene.width, request.scene.height, room)
            painter.beginNativePainting()
            try:
                self._draw(request, target.toRect())
            finally:
                painter.endNativePainting()
            if clear:
                painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationOver)
                if (backdrop := request.backdrop) is not None:
                    painter.drawImage(target, self._image_of(backdrop))
                around.paint_behind(painter, room)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        around.paint_over(painter, room, request is None)

    def _draw(self, request: ImageRequest, target: QRect) -> None:
        assert self._painter is not None
        begun_s = time.perf_counter()
        ratio = self.devicePixelRatioF()
        height = round(self.height() * ratio)
        left, top = round(target.x() * ratio), round(target.y() * ratio)
        camera = request.camera(max(1, round(target.width() * ratio)), max(1, round(target.height() * ratio)))
        self._painter.paint(
            self.defaultFramebufferObject(),
            request.avatar,
            request.params,
            camera,
            request.background,
            request.gaussians,
            (left, height - top - camera.height),
        )
        self._finish()  # so that the time is the GPU's too: the level of detail goes by it
        drawn_s = time.perf_counter()
        if self._drawn is None or self._drawn.request is not request:
            self._drawn = Drawn(request, (drawn_s - begun_s) * 1000, drawn_s)

    def _image_of(self, backdrop: np.ndarray) -> QImage:
        """The same image each time, so that Qt uploads it once."""
        if self._backdrop is None or self._backdrop[0] is not backdrop:
            height, width = backdrop.shape[:2]
            form = QImage.Format.Format_RGB32
            image = QImage(backdrop.data, width, height, 4 * width, form).copy()  # type: ignore[call-overload]
            self._backdrop = (backdrop, image)
        return self._backdrop[1]

    def _swapped(self) -> None:
        drawn = self._drawn
        if drawn is not None and drawn.request.number != self._shown:
            self._shown = drawn.request.number
            self.painted.emit(drawn, time.perf_counter())

    def _fail(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            _log.warning("the window cannot be drawn with OpenGL", exc_info=error)
            self.failed.emit((str(error).strip().splitlines() or [type(error).__name__])[0][:200])

    def _release(self) -> None:
        painter, self._painter = self._painter, None
        if painter is not None:
            self.makeCurrent()
            painter.close()
            self.doneCurrent()


def _address(context: QOpenGLContext, name: str) -> int:
    return int(context.getProcAddress(name.encode()) or 0)
