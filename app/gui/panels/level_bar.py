"""The microphone's level: bar, peak hold, thresholds, and words."""

from __future__ import annotations

import time

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QFont, QLinearGradient, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from app.gui.look.theme import TYPE, current
from app.live.level import FLOOR_DB

__all__ = ["LevelBar"]

QUIET_DB, WARN_DB, ERROR_DB, CLIP_DB = -40.0, -20.0, -9.0, 0.0
_HOLD_S = 20.0


class LevelBar(QWidget):
    """-60 to 0 dB: calm to -20, warning to -9, error above; the highest peak of the last 20 seconds is marked."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._peak_db = self._loudness_db = FLOOR_DB
        self._hold_db, self._held_at = FLOOR_DB, 0.0
        self._clipped, self._clipped_at = 0, -1e9
        self._gate_db: float | None = None
        self._muted = False
        self._words = ""
        self.setAccessibleName(self.tr("Microphone level"))

    def sizeHint(self) -> QSize:
        return QSize(200, 38)

    @property
    def words(self) -> str:
        """The level in words, as it is painted."""
        return self._words

    def show_level(self, peak_db: float, loudness_db: float, clipped: int, muted: bool, gate_db: float | None) -> None:
        """Show a reading.

        Args:
            clipped: blocks at full scale so far.
            gate_db: threshold of the noise gate; None if it is off.
        """
        now = time.monotonic()
        if peak_db >= self._hold_db or now - self._held_at > _HOLD_S:
            self._hold_db, self._held_at = peak_db, now
        if clipped != self._clipped:
            self._clipped, self._clipped_at = clipped, now
        self._peak_db, self._loudness_db = peak_db, loudness_db
        self._gate_db, self._muted = gate_db, muted
        words = self._describe(now)
        if words != self._words:
            self._words = words
            self.setAccessibleDescription(words)
        self.update()

    def _describe(self, now: float) -> str:
        if self._muted:
            return self.tr("Muted")
        if now - self._clipped_at < 2.0:
            return self.tr("Clipping: turn the gain down")
        if self._peak_db <= FLOOR_DB + 0.5:
            return self.tr("Silent")
        level = self.tr("{:.0f} dB").format(self._peak_db)
        if self._peak_db > ERROR_DB:
            return self.tr("{}, loud").format(level)
        return self.tr("{}, good").format(level) if self._peak_db > QUIET_DB else self.tr("{}, quiet").format(level)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        theme = current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bar = QRectF(0, 3, self.width(), 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.line))
        painter.drawRoundedRect(bar, 4, 4)
        if not self._muted and self._peak_db > FLOOR_DB:
            gradient = QLinearGradient(bar.topLeft(), bar.topRight())
            for db, colour in (
                (FLOOR_DB, theme.good), (WARN_DB - 1, theme.good), (WARN_DB + 1, theme.warn),
                (ERROR_DB - 1, theme.warn), (ERROR_DB + 1, theme.bad), (CLIP_DB, theme.bad),
            ):  # fmt: skip
                gradient.setColorAt(_share(db), QColor(colour))
            painter.save()
            painter.setClipRect(QRectF(0, 0, self.width() * _share(self._peak_db), 14))
            painter.setOpacity(0.45)
            painter.setBrush(gradient)
            painter.drawRoundedRect(bar, 4, 4)
            painter.setOpacity(1.0)
            painter.setClipRect(QRectF(0, 0, self.width() * _share(self._loudness_db + 6), 14))
            painter.drawRoundedRect(bar, 4, 4)
            painter.restore()
        if self._hold_db > FLOOR_DB + 1:
            x = self.width() * _share(self._hold_db)
            painter.setBrush(QColor(theme.bad if self._hold_db > ERROR_DB else theme.text))
            painter.drawRoundedRect(QRectF(min(x, self.width() - 2.0), 2, 2, 10), 1, 1)
        if self._gate_db is not None:
            x = self.width() * _share(self._gate_db)
            painter.setPen(QPen(QColor(theme.accent), 1.5))
            painter.drawLine(round(x), 0, round(x), 14)
        font = QFont(self.font())
        font.setPixelSize(TYPE["caption"])
        painter.setFont(font)
        scale = self.rect().adjusted(0, 16, 0, 0)
        painter.setPen(QColor(theme.faint))
        for db in (-60, -40, -20, -9, 0):
            x = int(self.width() * _share(db))
            align = Qt.AlignmentFlag.AlignHCenter
            box = scale.adjusted(x - 20, 0, x + 20 - self.width(), 0)
            if db == -60:
                box, align = scale, Qt.AlignmentFlag.AlignLeft
            elif db == 0:
                box, align = scale, Qt.AlignmentFlag.AlignRight
            painter.drawText(box, align | Qt.AlignmentFlag.AlignTop, str(db))
        painter.end()


def _share(db: float) -> float:
    return min(max((db - FLOOR_DB) / -FLOOR_DB, 0.0), 1.0)
