"""The picture in the window: shows the avatar, and is turned and zoomed by mouse and keys."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPoint, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QSizePolicy, QWidget

from app.gui.view.image_canvas import ImageCanvas
from app.gui.view.surface import missing_opengl
from app.gui.view.surroundings import Surroundings
from app.live.scene import ImageRequest, LiveImage

if TYPE_CHECKING:
    from app.gui.view.gl_canvas import GLCanvas

__all__ = ["Viewport"]

_log = logging.getLogger(__name__)


class Viewport(QWidget):
    """Shows images, or draws requests itself with OpenGL; says how the user wants to look.

    A canvas, its only child, does the painting; the viewport has the focus, the mouse and what is dropped.
    """

    painted = pyqtSignal(object, float)
    """A `Drawn`, and the time right after it was painted."""
    direct_changed = pyqtSignal()
    direct_failed = pyqtSignal(str)
    """One line: images are shown instead."""
    orbited = pyqtSignal(float, float)
    """By degrees: to the right, up."""
    panned = pyqtSignal(float, float)
    """By shares of the picture's height: right, up."""
    zoomed = pyqtSignal(float)
    """By a factor."""
    reset = pyqtSignal()
    resized = pyqtSignal()
    dropped = pyqtSignal(object)
    """A file's path."""

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 320)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Avatar"))
        self.setAccessibleDescription(
            self.tr("Drag or use the arrow keys to turn, the wheel or + and - to zoom, 0 to reset")
        )
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self._drag: QPoint | None = None
        self._around = Surroundings()
        self._around.waiting = self.tr("Preparing the avatar…")
        self._images = ImageCanvas(self._around, self)
        self._images.painted.connect(self.painted)
        self._gl: GLCanvas | None = None
        self._refused = False

    def sizeHint(self) -> QSize:
        return QSize(760, 760)

    @property
    def picture(self) -> QImage | None:
        """The image on display; None while it draws itself."""
        return None if self.direct else self._images.picture

    @property
    def direct(self) -> bool:
        """Whether it draws requests itself, rather than showing images."""
        return self._gl is not None and self._gl.working

    def paint_directly(self, on: bool) -> None:
        """Draw requests itself, if OpenGL works in this window; `direct_changed` follows, or `direct_failed`, after
        which it is not tried again before it has been switched off."""
        if on and self._gl is None and not self._refused:
            self._open_gl()
        elif not on:
            self._refused = False
            self._close_gl()

    def show_image(self, image: LiveImage) -> None:
        """Show an image; its buffer is copied."""
        self._images.show_image(image)

    def show_request(self, request: ImageRequest) -> None:
        """Draw a request."""
        if self._gl is not None:
            self._gl.show_request(request)

    def set_behind(self, colour: QColor, transparent: bool) -> None:
        """What is painted around, or behind, the picture."""
        self._around.set_behind(colour, transparent)
        self._repaint()

    def set_waiting(self, text: str) -> None:
        """What stands there until the first image."""
        self._around.waiting = text
        self._repaint()

    def _open_gl(self) -> None:
        try:
            from app.gui.view.gl_canvas import GLCanvas
        except ImportError as error:  # Qt's OpenGL widgets need libraries of the system
            self._refuse(str(error))
            return
        if (reason := missing_opengl()) is not None:
            self._refuse(f"no OpenGL for windows: {reason}")
            return
        self._gl = GLCanvas(self._around, self)
        self._gl.painted.connect(self.painted)
        self._gl.ready.connect(self.direct_changed)
        self._gl.failed.connect(self._give_up)
        self._gl.setGeometry(self.rect())
        self._gl.show()

    def _close_gl(self) -> None:
        canvas, self._gl = self._gl, None
        if canvas is not None:
            canvas.close_gl()
            self.direct_changed.emit()

    def _give_up(self, reason: str) -> None:
        QTimer.singleShot(0, lambda: self._refuse(reason))  # it is painting: it cannot be taken away now

    def _refuse(self, reason: str) -> None:
        _log.warning("showing images instead of drawing in the window: %s", reason)
        self._refused = True
        self._close_gl()
        self.direct_failed.emit(reason)

    def _repaint(self) -> None:
        (self._gl or self._images).update()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        self._around.focused = True
        self._repaint()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        self._around.focused = False
        self._repaint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._images.setGeometry(self.rect())
        if self._gl is not None:
            self._gl.setGeometry(self.rect())
        self.resized.emit()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            self._drag = event.position().toPoint()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self._drag = None
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is None or self._drag is None:
            return
        at = event.position().toPoint()
        by = at - self._drag
        self._drag = at
        pan = event.buttons() & (Qt.MouseButton.RightButton | Qt.MouseButton.MiddleButton)
        if pan or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.panned.emit(by.x() / max(self.height(), 1), -by.y() / max(self.height(), 1))
        else:
            self.orbited.emit(-by.x() * 0.35, by.y() * 0.35)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        self.reset.emit()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None:
            self.zoomed.emit(1.0015 ** event.angleDelta().y())
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None:
            return
        pan = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        directions = {
            Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1),
        }  # fmt: skip
        direction = directions.get(Qt.Key(event.key()))
        if direction is not None:
            x, y = direction
            if pan:
                self.panned.emit(0.02 * x, 0.02 * y)
            else:
                self.orbited.emit(4.0 * x, 4.0 * y)
        elif event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoomed.emit(1.1)
        elif event.key() == Qt.Key.Key_Minus:
            self.zoomed.emit(1 / 1.1)
        elif event.key() == Qt.Key.Key_0:
            self.reset.emit()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()
            self._around.dropping = True
            self._repaint()

    def dragLeaveEvent(self, event: object) -> None:
        self._around.dropping = False
        self._repaint()

    def dropEvent(self, event: QDropEvent | None) -> None:
        self._around.dropping = False
        self._repaint()
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        event.acceptProposedAction()
        for url in data.urls():
            if url.isLocalFile():
                self.dropped.emit(Path(url.toLocalFile()))
