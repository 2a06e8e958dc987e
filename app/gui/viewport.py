"""The picture of the avatar: painted from the newest image, turned and zoomed by mouse and keys."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QPoint, QRectF, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QFont,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QSizePolicy, QWidget

from app.gui.theme import TYPE, current
from app.live.rendering import LiveImage

__all__ = ["Viewport"]


class Viewport(QWidget):
    """Shows images; says how the user wants to look.

    `painted` is emitted with the image and the time right after it has been painted.
    """

    painted = pyqtSignal(object, float)
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
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 320)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Avatar"))
        self.setAccessibleDescription(
            self.tr("Drag or use the arrow keys to turn, the wheel or + and - to zoom, 0 to reset")
        )
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self._image: LiveImage | None = None
        self._picture: QImage | None = None
        self._shown = 0
        self._behind = QColor(current().stage)
        self._transparent = False
        self._waiting = self.tr("Preparing the avatar…")
        self._drag: QPoint | None = None
        self._dropping = False
        self._checks: QPixmap | None = None

    def sizeHint(self) -> QSize:
        return QSize(760, 760)

    @property
    def picture(self) -> QImage | None:
        """The image on display."""
        return self._picture

    def show_image(self, image: LiveImage) -> None:
        """Show an image; its buffer is copied, so that the renderer may go on."""
        height, width = image.bgra.shape[:2]
        pixels = np.ascontiguousarray(image.bgra)
        form = QImage.Format.Format_ARGB32_Premultiplied if self._transparent else QImage.Format.Format_RGB32
        self._picture = QImage(pixels.data, width, height, 4 * width, form).copy()  # type: ignore[call-overload]
        self._image = image
        self.update()

    def set_behind(self, colour: QColor, transparent: bool) -> None:
        """What is painted around, or behind, the picture."""
        self._behind, self._transparent = colour, transparent
        self._checks = None
        self.update()

    def set_waiting(self, text: str) -> None:
        """What stands there until the first image."""
        self._waiting = text
        self.update()

    def target(self) -> QRectF:
        """Where the picture goes: as large as fits, centred; never blown up needlessly when it nearly fits."""
        if self._picture is None:
            return QRectF(self.rect())
        width, height = self._picture.width(), self._picture.height()
        scale = min(self.width() / width, self.height() / height)
        w, h = width * scale, height * scale
        return QRectF((self.width() - w) / 2, (self.height() - h) / 2, w, h)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        if self._transparent:
            painter.drawTiledPixmap(self.rect(), self._checkerboard())
        target = self.target()
        if not self._transparent and (self._picture is None or target != QRectF(self.rect())):
            painter.fillRect(self.rect(), self._behind)
        if self._picture is None:
            self._write(painter, self._waiting)
        else:
            exact = target.width() * self.devicePixelRatioF() == self._picture.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not exact)
            painter.drawImage(target, self._picture)
        if self._dropping:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(current().accent), 2, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(12, 12, -12, -12), 12, 12)
            self._write(painter, self.tr("Drop an avatar, a sound, or a picture for the background"))
        elif self.hasFocus():
            painter.setPen(QPen(QColor(current().accent), 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()
        image = self._image
        if image is not None and image.number != self._shown:
            self._shown = image.number
            # What is painted goes to the screen after this event: look at the clock then.
            QTimer.singleShot(0, lambda: self.painted.emit(image, time.perf_counter()))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
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
            self._dropping = True
            self.update()

    def dragLeaveEvent(self, event: object) -> None:
        self._dropping = False
        self.update()

    def dropEvent(self, event: QDropEvent | None) -> None:
        self._dropping = False
        self.update()
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        event.acceptProposedAction()
        for url in data.urls():
            if url.isLocalFile():
                self.dropped.emit(Path(url.toLocalFile()))

    def _write(self, painter: QPainter, text: str) -> None:
        font = QFont(self.font())
        font.setPixelSize(TYPE["title"])
        painter.setFont(font)
        dark = self._behind.lightness() < 128
        painter.setPen(QColor("#c4c9d2" if dark else "#4a505c"))
        painter.drawText(
            self.rect().adjusted(32, 32, -32, -32), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text
        )

    def _checkerboard(self) -> QPixmap:
        if self._checks is None:
            self._checks = QPixmap(24, 24)
            dark = current().dark
            self._checks.fill(QColor("#2a2d33" if dark else "#f4f5f7"))
            painter = QPainter(self._checks)
            for x, y in ((0, 0), (12, 12)):
                painter.fillRect(x, y, 12, 12, QColor("#32363d" if dark else "#e4e6ea"))
            painter.end()
        return self._checks
