"""Images that the engine has drawn, on the screen."""

from __future__ import annotations

import time

import numpy as np
from PyQt6.QtCore import QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

from app.gui.view.surroundings import Surroundings, fitted
from app.live.scene import LiveImage

__all__ = ["ImageCanvas"]


class ImageCanvas(QWidget):
    """Paints the newest image. `painted` comes with the image and the time right after."""

    painted = pyqtSignal(object, float)

    def __init__(self, surroundings: Surroundings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.picture: QImage | None = None
        """What is on display."""
        self._surroundings = surroundings
        self._image: LiveImage | None = None
        self._shown = 0

    def show_image(self, image: LiveImage) -> None:
        """Show an image; its buffer is copied, so that the renderer may go on."""
        height, width = image.bgra.shape[:2]
        pixels = np.ascontiguousarray(image.bgra)
        clear = self._surroundings.transparent
        form = QImage.Format.Format_ARGB32_Premultiplied if clear else QImage.Format.Format_RGB32
        self.picture = QImage(pixels.data, width, height, 4 * width, form).copy()  # type: ignore[call-overload]
        self._image = image
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        picture, room = self.picture, self.rect()
        target = QRectF(room) if picture is None else fitted(picture.width(), picture.height(), room)
        if picture is None or self._surroundings.transparent or target != QRectF(room):
            self._surroundings.paint_behind(painter, room)
        if picture is not None:
            exact = target.width() * self.devicePixelRatioF() == picture.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not exact)
            painter.drawImage(target, picture)
        self._surroundings.paint_over(painter, room, picture is None)
        painter.end()
        image = self._image
        if image is not None and image.request.number != self._shown:
            self._shown = image.request.number
            # What is painted goes to the screen after this event: look at the clock then.
            QTimer.singleShot(0, lambda: self.painted.emit(image, time.perf_counter()))
