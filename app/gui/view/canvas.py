"""A bare widget that paints pictures at once: what showing one costs, apart from everything else in the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import UInt8
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QApplication, QWidget

__all__ = ["Canvas", "offscreen_canvas"]


class Canvas(QWidget):
    """Paints the pixels it is given, unscaled, straight from the renderer's buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._picture: QImage | None = None
        self.painted = 0
        """Pictures painted so far."""

    def paint(self, bgra: UInt8[np.ndarray, "h w 4"]) -> None:
        """Paint an opaque picture before this returns; the widget takes its size."""
        height, width = bgra.shape[:2]
        if (self.width(), self.height()) != (width, height):
            self.resize(width, height)
            QApplication.processEvents()  # else Qt paints nothing, as the window is not exposed in this size yet
        self._picture = QImage(bgra.data, width, height, 4 * width, QImage.Format.Format_RGB32)  # type: ignore[call-overload]
        self.repaint()
        self._picture = None  # the buffer is the renderer's

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if self._picture is not None:
            painter = QPainter(self)
            painter.drawImage(0, 0, self._picture)
            painter.end()
            self.painted += 1


@contextmanager
def offscreen_canvas() -> Iterator[Callable[[UInt8[np.ndarray, "h w 4"]], None]]:
    """A function that paints a picture in a window that nobody sees, for as long as it is wanted."""
    app = QApplication.instance() or QApplication(["gaussian-avatar", "-platform", "offscreen"])
    canvas = Canvas()
    canvas.show()
    app.processEvents()
    try:
        yield canvas.paint
    finally:
        canvas.close()
        canvas.deleteLater()
        app.processEvents()
