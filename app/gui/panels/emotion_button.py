"""A button for each emotion."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QEnterEvent, QFont, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QAbstractButton, QSizePolicy

from app.gui.look.icons import EMOTION_TINTS, draw_face
from app.gui.look.theme import TYPE, current

__all__ = ["EmotionButton"]


class EmotionButton(QAbstractButton):
    """A face in lines, its name, its key; tinted when it is the one that shows."""

    def __init__(self, emotion: str, label: str, key: str) -> None:
        super().__init__()
        self.emotion = emotion
        self._key = key
        self.setText(label)
        self.setCheckable(True)
        self.setAccessibleName(label)
        self.setAccessibleDescription(self.tr("Emotion, key {}").format(key))
        self.setToolTip(self.tr("{} (key {})").format(label, key))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._hover = False

    def sizeHint(self) -> QSize:
        return QSize(76, 72)

    def enterEvent(self, event: QEnterEvent | None) -> None:
        self._hover = True
        self.update()

    def leaveEvent(self, event: QEvent | None) -> None:
        self._hover = False
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        theme = current()
        tint = QColor(EMOTION_TINTS[self.emotion])
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        on = self.isChecked()
        fill = QColor(theme.hover if self._hover else theme.raised)
        if on:
            fill = QColor(tint)
            fill.setAlpha(56 if theme.dark else 44)
        border = tint if on else QColor(theme.accent if self.hasFocus() else theme.line)
        painter.setPen(QPen(border, 1.5 if on or self.hasFocus() else 1.0))
        painter.setBrush(fill)
        painter.drawRoundedRect(rect, 8, 8)
        if on and self.hasFocus():
            painter.setPen(QPen(QColor(theme.accent), 1.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(3, 3, -3, -3), 5, 5)
        size = 28.0
        face = QRectF((self.width() - size) / 2, 11, size, size)
        line = QColor(theme.text) if on else QColor(theme.muted)
        draw_face(painter, face, self.emotion, line)
        font = QFont(self.font())
        font.setPixelSize(TYPE["caption"])
        if on:
            font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(theme.text if on else theme.muted))
        below = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        painter.drawText(self.rect().adjusted(2, 0, -2, -8), below, self.text())
        font.setPixelSize(10)
        font.setWeight(QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(theme.faint))
        corner = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
        painter.drawText(self.rect().adjusted(0, 5, -7, 0), corner, self._key)
        painter.end()
