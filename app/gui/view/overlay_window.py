"""The avatar alone: a borderless, transparent window above all others, over slides, streams and games."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QPoint, QRect, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PyQt6.QtWidgets import QWidget

from app.live.scene import LiveImage

__all__ = ["OverlayWindow"]


class OverlayWindow(QWidget):
    """Shows the images of the session with their alpha. Drag moves it, the wheel sizes it, Esc or a double click
    closes it."""

    closed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint | Qt.WindowType.WindowStaysOnTopHint,
        )
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Avatar"))
        self.setAccessibleName(self.tr("Avatar, without a frame"))
        self.setToolTip(self.tr("Drag to move, wheel to size, Esc to close"))
        self.resize(QSize(480, 480))
        self._picture: QImage | None = None
        self._grip: QPoint | None = None

    def show_image(self, image: LiveImage) -> None:
        """Show an image; its buffer is copied."""
        height, width = image.bgra.shape[:2]
        pixels = np.ascontiguousarray(image.bgra)
        form = QImage.Format.Format_ARGB32_Premultiplied
        self._picture = QImage(pixels.data, width, height, 4 * width, form).copy()  # type: ignore[call-overload]
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if self._picture is None:
            return
        painter = QPainter(self)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self._picture.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        corner = QPoint((self.width() - size.width()) // 2, (self.height() - size.height()) // 2)
        painter.drawImage(QRect(corner, size), self._picture)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            self._grip = event.globalPosition().toPoint() - self.pos()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self._grip is not None:
            self.move(event.globalPosition().toPoint() - self._grip)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self._grip = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        self.close()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None:
            side = min(max(round(self.width() * 1.001 ** event.angleDelta().y()), 120), 2000)
            self.resize(side, round(side * self.height() / max(self.width(), 1)))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.closed.emit()
        super().closeEvent(event)
