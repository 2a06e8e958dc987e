"""Line icons, drawn: crisp at any pixel ratio and in any colour."""

from __future__ import annotations

import math
from collections.abc import Callable

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

__all__ = ["EMOTION_TINTS", "draw_face", "icon"]

EMOTION_TINTS = {
    "neutral": "#8f98a8", "happy": "#e8b23f", "sad": "#5b8fdc", "surprised": "#c77fd6", "afraid": "#8577dd",
    "disgusted": "#7fae52", "angry": "#e0605a", "contempt": "#4fa6a0",
}  # fmt: skip

# Of each emotion: inner and outer end of the brow (up is negative), opening of the eyes, and the mouth: bend (smile is
# positive), width, opening, and how much higher its left end is. In units of the face's radius.
_FACES = {
    "neutral": (-0.42, -0.42, 0.10, 0.0, 0.34, 0.0, 0.0),
    "happy": (-0.48, -0.44, 0.07, 0.30, 0.46, 0.0, 0.0),
    "sad": (-0.56, -0.34, 0.08, -0.20, 0.32, 0.0, 0.0),
    "surprised": (-0.62, -0.60, 0.14, 0.0, 0.15, 0.22, 0.0),
    "afraid": (-0.62, -0.46, 0.14, -0.10, 0.34, 0.12, 0.0),
    "disgusted": (-0.36, -0.42, 0.05, -0.18, 0.36, 0.0, 0.10),
    "angry": (-0.28, -0.50, 0.09, -0.12, 0.34, 0.0, 0.0),
    "contempt": (-0.42, -0.46, 0.08, 0.02, 0.36, 0.0, -0.22),
}


def draw_face(painter: QPainter, rect: QRectF, emotion: str, colour: QColor, width: float = 1.6) -> None:
    """A face in lines: brows, eyes, mouth."""
    inner, outer, eye, bend, mouth_width, opening, tilt = _FACES[emotion]
    radius, centre = rect.width() / 2 - width, rect.center()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(centre, radius, radius)

    def at(x: float, y: float) -> QPointF:
        return QPointF(centre.x() + x * radius, centre.y() + y * radius)

    for side in (-1, 1):
        painter.drawLine(at(side * 0.20, inner), at(side * 0.52, outer))
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    for side in (-1, 1):
        painter.drawEllipse(at(side * 0.36, -0.10), 0.10 * radius, max(eye, 0.06) * radius)
    painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if opening > 0 and bend == 0:
        painter.drawEllipse(at(0, 0.46), mouth_width * radius, opening * radius)
    else:
        path = QPainterPath(at(-mouth_width, 0.44 + tilt / 2 - bend / 2))
        path.quadTo(at(0, 0.44 + bend), at(mouth_width, 0.44 - tilt / 2 - bend / 2))
        if opening > 0:
            path.quadTo(at(0, 0.44 + bend + 2 * opening), at(-mouth_width, 0.44 + tilt / 2 - bend / 2))
        painter.drawPath(path)
    painter.restore()


def icon(name: str, colour: str, size: int = 18) -> QIcon:
    """A named icon.

    Raises:
        KeyError: for a name that there is not.
    """
    result = QIcon()
    for ratio in (1, 2, 3):
        pixmap = QPixmap(size * ratio, size * ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(size * ratio / 24, size * ratio / 24)
        pen = QPen(QColor(colour), 1.8, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        _ICONS[name](painter, QColor(colour))
        painter.end()
        pixmap.setDevicePixelRatio(ratio)
        result.addPixmap(pixmap)
    return result


def _line(painter: QPainter, *points: tuple[float, float], close: bool = False) -> None:
    path = QPainterPath(QPointF(*points[0]))
    for point in points[1:]:
        path.lineTo(QPointF(*point))
    if close:
        path.closeSubpath()
    painter.drawPath(path)


def _microphone(painter: QPainter, colour: QColor) -> None:
    painter.drawRoundedRect(QRectF(9, 3, 6, 11), 3, 3)
    path = QPainterPath(QPointF(5.5, 11))
    path.arcTo(QRectF(5.5, 4.5, 13, 13), 180, 180)
    painter.drawPath(path)
    _line(painter, (12, 17.5), (12, 21))
    _line(painter, (8.5, 21), (15.5, 21))


def _microphone_off(painter: QPainter, colour: QColor) -> None:
    _microphone(painter, colour)
    _line(painter, (4, 3), (20, 21))


def _record(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.drawEllipse(QPointF(12, 12), 6, 6)


def _stop(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.drawRoundedRect(QRectF(7, 7, 10, 10), 2, 2)


def _play(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    _line(painter, (8, 5.5), (18.5, 12), (8, 18.5), close=True)


def _still(painter: QPainter, colour: QColor) -> None:
    painter.drawRoundedRect(QRectF(3, 7, 18, 13), 2.5, 2.5)
    _line(painter, (8, 7), (9.5, 4), (14.5, 4), (16, 7))
    painter.drawEllipse(QPointF(12, 13.3), 3.6, 3.6)


def _reset(painter: QPainter, colour: QColor) -> None:
    path = QPainterPath()
    path.arcMoveTo(QRectF(5, 5, 14, 14), 60)
    path.arcTo(QRectF(5, 5, 14, 14), 60, 300)
    painter.drawPath(path)
    x, y = 12 + 7 * math.cos(math.radians(60)), 12 - 7 * math.sin(math.radians(60))
    _line(painter, (x - 0.2, y - 4.2), (x, y), (x + 4.2, y + 0.4))


def _folder(painter: QPainter, colour: QColor) -> None:
    _line(painter, (3.5, 19), (3.5, 5.5), (9.5, 5.5), (11.5, 8), (20.5, 8), (20.5, 19), close=True)


def _chevron_down(painter: QPainter, colour: QColor) -> None:
    _line(painter, (7, 10), (12, 15), (17, 10))


def _chevron_right(painter: QPainter, colour: QColor) -> None:
    _line(painter, (10, 7), (15, 12), (10, 17))


def _cross(painter: QPainter, colour: QColor) -> None:
    _line(painter, (7, 7), (17, 17))
    _line(painter, (17, 7), (7, 17))


def _headphones(painter: QPainter, colour: QColor) -> None:
    path = QPainterPath(QPointF(4.5, 15))
    path.lineTo(4.5, 12)
    path.arcTo(QRectF(4.5, 4.5, 15, 15), 180, -180)
    path.lineTo(19.5, 15)
    painter.drawPath(path)
    painter.drawRoundedRect(QRectF(3.5, 14, 4, 6), 1.5, 1.5)
    painter.drawRoundedRect(QRectF(16.5, 14, 4, 6), 1.5, 1.5)


def _plus(painter: QPainter, colour: QColor) -> None:
    _line(painter, (12, 6), (12, 18))
    _line(painter, (6, 12), (18, 12))


def _warning(painter: QPainter, colour: QColor) -> None:
    _line(painter, (12, 4), (21, 19.5), (3, 19.5), close=True)
    _line(painter, (12, 10), (12, 14.2))
    painter.drawPoint(QPointF(12, 16.9))


def _info(painter: QPainter, colour: QColor) -> None:
    painter.drawEllipse(QPointF(12, 12), 8.5, 8.5)
    _line(painter, (12, 11.5), (12, 16))
    painter.drawPoint(QPointF(12, 8.2))


def _search(painter: QPainter, colour: QColor) -> None:
    painter.drawEllipse(QPointF(10.5, 10.5), 5.5, 5.5)
    _line(painter, (14.7, 14.7), (19.5, 19.5))


_ICONS: dict[str, Callable[[QPainter, QColor], None]] = {
    "microphone": _microphone,
    "microphone-off": _microphone_off,
    "record": _record,
    "stop": _stop,
    "play": _play,
    "still": _still,
    "reset": _reset,
    "folder": _folder,
    "chevron-down": _chevron_down,
    "chevron-right": _chevron_right,
    "cross": _cross,
    "headphones": _headphones,
    "plus": _plus,
    "warning": _warning,
    "info": _info,
    "search": _search,
}
