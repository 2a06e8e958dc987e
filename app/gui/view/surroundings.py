"""What is painted around, behind and over the avatar's picture, whoever paints the picture."""

from __future__ import annotations

from PyQt6.QtCore import QCoreApplication, QRect, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QPainter, QPen, QPixmap

from app.gui.look.theme import TYPE, current

__all__ = ["Surroundings", "fitted"]


def fitted(width: int, height: int, room: QRect) -> QRectF:
    """Where a picture goes: as large as fits, centred. A difference of a pixel or two is not worth a border."""
    scale = min(room.width() / width, room.height() / height)
    w, h = width * scale, height * scale
    if room.width() - w <= 2 and room.height() - h <= 2:
        return QRectF(room)
    return QRectF((room.width() - w) / 2, (room.height() - h) / 2, w, h)


class Surroundings:
    """What surrounds the avatar, as far as Qt paints it. For the GUI thread."""

    def __init__(self) -> None:
        self.behind = QColor(current().backdrop)
        self.transparent = False
        self.waiting = ""
        """What stands there until the first picture."""
        self.dropping = False
        self.focused = False
        self._checks: QPixmap | None = None

    def set_behind(self, colour: QColor, transparent: bool) -> None:
        """Follow theme and settings."""
        self.behind, self.transparent = colour, transparent
        self._checks = None

    def paint_behind(self, painter: QPainter, room: QRect) -> None:
        """The colour, or the squares that stand for transparency."""
        if self.transparent:
            painter.drawTiledPixmap(room, self._checkerboard())
        else:
            painter.fillRect(room, self.behind)

    def paint_over(self, painter: QPainter, room: QRect, empty: bool) -> None:
        """The focus, an invitation to drop, and what is being waited for."""
        if empty:
            self._write(painter, room, self.waiting)
        if self.dropping:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(current().accent), 2, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(QRectF(room).adjusted(12, 12, -12, -12), 12, 12)
            text = QCoreApplication.translate("Viewport", "Drop an avatar, a sound, or a picture for the background")
            self._write(painter, room, text)
        elif self.focused:
            painter.setPen(QPen(QColor(current().accent), 2))
            painter.drawRect(room.adjusted(1, 1, -1, -1))

    def _write(self, painter: QPainter, room: QRect, text: str) -> None:
        font = QFont(painter.font())
        font.setPixelSize(TYPE["title"])
        painter.setFont(font)
        painter.setPen(QColor("#c4c9d2" if self.behind.lightness() < 128 else "#4a505c"))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(room.adjusted(32, 32, -32, -32), flags, text)

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
