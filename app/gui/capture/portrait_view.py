"""The picture of a person who is made by hand: shown as large as there is room, and turned by dragging."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

from app.gui.look.theme import TYPE, current

__all__ = ["PortraitView"]


class PortraitView(QWidget):
    """The picture of the person; dragging turns it.

    Attributes:
        picture: what is shown; None before there is one.
        words: stand in its place until then.
    """

    SIDE = 480
    """Of the picture that it asks for, pixels."""

    turned = pyqtSignal(float)
    """By so many degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(QSize(380, 380))
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setAccessibleName(self.tr("The person; drag to turn"))
        self.setToolTip(self.tr("Drag to turn"))
        self.picture: QImage | None = None
        self.words = ""
        self._at: float | None = None

    def sizeHint(self) -> QSize:
        return QSize(self.SIDE, self.SIDE)

    def show_picture(self, bgra: np.ndarray) -> None:
        """Show a picture; it is copied.

        Args:
            bgra: (height, width, 4), bytes.
        """
        height, width = bgra.shape[:2]
        pixels = np.ascontiguousarray(bgra)
        form = QImage.Format.Format_RGB32
        self.picture = QImage(pixels.data, width, height, 4 * width, form).copy()  # type: ignore[call-overload]
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        side = min(self.width(), self.height())
        room = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        if self.picture is None:
            painter.fillRect(room, QColor(current().backdrop))
            font = painter.font()
            font.setPixelSize(TYPE["title"])
            painter.setFont(font)
            painter.setPen(QColor(current().muted))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(room.adjusted(24, 24, -24, -24), flags, self.words)
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(room, self.picture)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            self._at = event.position().x()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self._at is not None:
            at, self._at = self._at, event.position().x()
            self.turned.emit(0.35 * (at - self._at))

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self._at = None
