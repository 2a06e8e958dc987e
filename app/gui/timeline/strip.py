"""The drawn part of the timeline: ruler, sound, lips, emotions, and the mark that runs along them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PyQt6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from animation.expression.emotions import EMOTIONS
from animation.expression.track import EmotionCue
from app.gui.look.icons import EMOTION_TINTS
from app.gui.look.theme import TYPE, current
from app.gui.timeline.clip_sound import STEP_S, ClipSound
from app.gui.timeline.direction import Block, Direction, moved, restrained

__all__ = ["Strip"]

_RULER, _WAVE, _LIPS, _GAP, _BLOCKS, _MARGIN = 18, 44, 16, 4, 52, 12
_TOP_BLOCKS = _RULER + _WAVE + _LIPS + _GAP
_SETTLED_PX = 5
"""So far the pointer goes before it is decided whether a block is moved or made stronger."""
_TICKS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_LEAST_TICK_PX = 64
_LEAST_SPAN_S = 1.0
_VOWELS = ("aa", "E", "ih", "oh", "ou")
_OTHER_TINT = "#9a8f7a"


class Strip(QWidget):
    """Click or drag above the blocks to choose from where to play; drag a block sideways to move it, up and down to
    change how strong it is; double-click where there is none to put one. The wheel scales, with Shift it moves along.
    """

    sought = pyqtSignal(float)
    """Play from here, seconds."""
    picked = pyqtSignal()
    """`selected` is another block, or none."""
    play = pyqtSignal()
    wanted = pyqtSignal(float)
    """A block is to begin here."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Timeline of the clip"))
        self.setAccessibleDescription(
            self.tr("Arrows move the chosen emotion or make it stronger, Tab chooses the next, Delete removes it")
        )
        self.direction = Direction()
        self._sound: ClipSound | None = None
        self._from_s, self._span_s = 0.0, 1.0
        self.selected: int | None = None
        self.mark_s = 0.0
        """What is seen now, or would be played from."""
        self._grip: tuple[QPointF, int] | None = None
        self._way: str | None = None
        self._dragged: tuple[EmotionCue, ...] | None = None
        self._seeking = False

    def sizeHint(self) -> QSize:
        return QSize(400, _TOP_BLOCKS + _BLOCKS + 4)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def show_clip(self, sound: ClipSound | None, direction: Direction) -> None:
        """A clip and its performance; None while it is being read."""
        self._sound, self.direction = sound, direction
        self._from_s, self._span_s = 0.0, max(direction.duration_s, _LEAST_SPAN_S)
        self.mark_s = 0.0
        self._grip = self._dragged = None
        self.select(None)
        direction.subscribe(self._follow)

    def show_mark(self, time_s: float) -> None:
        """Move the mark, and what is seen with it."""
        if time_s == self.mark_s:
            return
        self.mark_s = time_s
        if not self._from_s <= time_s <= self._from_s + self._span_s:
            self._show_from(time_s - 0.1 * self._span_s)
        self.update()

    def select(self, index: int | None) -> None:
        """Choose a block."""
        if index is not None and index >= len(self.direction.cues):
            index = None
        self.selected = index
        self.picked.emit()
        self.update()

    def _follow(self) -> None:
        self.select(self.selected)

    def _show_from(self, time_s: float) -> None:
        self._from_s = max(0.0, min(time_s, self.direction.duration_s - self._span_s))
        self.update()

    def _x(self, time_s: float) -> float:
        return _MARGIN + (time_s - self._from_s) / self._span_s * (self.width() - 2 * _MARGIN)

    def _time(self, x: float) -> float:
        share = (x - _MARGIN) / max(self.width() - 2 * _MARGIN, 1)
        return max(0.0, min(self._from_s + share * self._span_s, self.direction.duration_s))

    # -- hands -----------------------------------------------------------------------------------------------------

    def block_at(self, point: QPointF) -> Block | None:
        """The block under a point."""
        if point.y() < _TOP_BLOCKS:
            return None
        time_s = self._time(point.x())
        return next((b for b in self.direction.blocks() if b.start_s <= time_s < b.end_s), None)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self.setFocus()
        block = self.block_at(event.position())
        if event.position().y() < _TOP_BLOCKS:
            self._seeking = True
            self.show_mark(self._time(event.position().x()))
        else:
            self.select(block.index if block else None)
            self._grip = (event.position(), block.index) if block else None
            self._way = None

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is None:
            return
        if self._seeking:
            self.show_mark(self._time(event.position().x()))
        elif self._grip is not None:
            self._drag(event.position(), *self._grip)
        else:
            over = self.block_at(event.position())
            self.setCursor(Qt.CursorShape.OpenHandCursor if over else Qt.CursorShape.ArrowCursor)
            tip = self.tr("{} {:.0f} %").format(over.cue.emotion, 100 * over.cue.intensity) if over else ""
            self.setToolTip(tip)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        if self._seeking:
            self._seeking = False
            self.sought.emit(self.mark_s)
        cues, self._dragged, self._grip = self._dragged, None, None
        if cues is not None:
            self.direction.take(cues)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.position().y() >= _TOP_BLOCKS:
            self.wanted.emit(self._time(event.position().x()))

    def _drag(self, now: QPointF, start: QPointF, index: int) -> None:
        across, up = now.x() - start.x(), start.y() - now.y()
        if self._way is None and max(abs(across), abs(up)) >= _SETTLED_PX:
            self._way = "time" if abs(across) >= abs(up) else "intensity"
        cue = self.direction.cues[index]
        if self._way == "time":
            shift_s = across / max(self.width() - 2 * _MARGIN, 1) * self._span_s
            time_s = min(cue.time_s + shift_s, self.direction.duration_s)
            self._dragged = moved(self.direction.cues, index, time_s)
        elif self._way == "intensity":
            self._dragged = restrained(self.direction.cues, index, cue.intensity + up / _BLOCKS)
        self.update()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is None:
            return
        delta = event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier or abs(delta.x()) > abs(delta.y()):
            self._show_from(self._from_s - (delta.x() or delta.y()) / 1200 * self._span_s)
        else:
            at_s, share = self._time(event.position().x()), (event.position().x() - _MARGIN) / max(self.width(), 1)
            longest_s = max(self.direction.duration_s, _LEAST_SPAN_S)
            self._span_s = min(max(self._span_s * 0.999 ** delta.y(), _LEAST_SPAN_S), longest_s)
            self._show_from(at_s - share * self._span_s)
        event.accept()

    def event(self, event: QEvent | None) -> bool:
        """Keys that the window knows too (1 to 8, undo) belong to the timeline while it has the focus."""
        if event is not None and event.type() == QEvent.Type.ShortcutOverride:
            assert isinstance(event, QKeyEvent)
            if self._act(event, try_only=True):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and not self._act(event):
            super().keyPressEvent(event)

    def _act(self, event: QKeyEvent, try_only: bool = False) -> bool:
        """Do what a key means here, or only say whether it means something."""
        key, far = event.key(), 5 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        ctrl = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        number, index, direction = key - Qt.Key.Key_1, self.selected, self.direction
        acts: dict[int, Callable[[], object]] = {}
        if ctrl:
            acts = {Qt.Key.Key_Z: direction.redo if far > 1 else direction.undo, Qt.Key.Key_Y: direction.redo}
        elif index is not None:
            cues = direction.cues
            cue = cues[index]
            acts = {
                Qt.Key.Key_Left: lambda: direction.take(moved(cues, index, cue.time_s - 0.02 * far)),
                Qt.Key.Key_Right: lambda: direction.take(
                    moved(cues, index, min(cue.time_s + 0.02 * far, direction.duration_s))
                ),
                Qt.Key.Key_Up: lambda: direction.take(restrained(cues, index, cue.intensity + 0.05)),
                Qt.Key.Key_Down: lambda: direction.take(restrained(cues, index, cue.intensity - 0.05)),
                Qt.Key.Key_Delete: lambda: direction.remove(index),
                Qt.Key.Key_Backspace: lambda: direction.remove(index),
            }
            if 0 <= number < len(EMOTIONS):
                acts[key] = lambda: direction.change(index, emotion=EMOTIONS[number])
        if not ctrl:
            acts[Qt.Key.Key_Space] = self.play.emit
            acts[Qt.Key.Key_Home] = lambda: self.sought.emit(0.0)
        act = acts.get(key)
        if act is not None and not try_only:
            act()
        return act is not None

    # -- paint -----------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(TYPE["caption"])
        painter.setFont(font)
        theme = current()
        painter.fillRect(self.rect(), QColor(theme.surface))
        self._paint_ruler(painter)
        if self._sound is not None:
            self._paint_wave(painter, self._sound)
            self._paint_lips(painter, self._sound)
        self._paint_blocks(painter)
        x = self._x(self.mark_s)
        painter.setPen(QPen(QColor(theme.accent), 1.5))
        painter.drawLine(QPointF(x, 3), QPointF(x, _TOP_BLOCKS + _BLOCKS))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent))
        painter.drawEllipse(QPointF(x, 4), 4, 4)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.end()

    def _paint_ruler(self, painter: QPainter) -> None:
        theme = current()
        width = max(self.width() - 2 * _MARGIN, 1)
        tick_s = next((t for t in _TICKS_S if t / self._span_s * width >= _LEAST_TICK_PX), _TICKS_S[-1])
        painter.setPen(QColor(theme.faint))
        for k in range(int(self._from_s / tick_s), int((self._from_s + self._span_s) / tick_s) + 1):
            x = self._x(k * tick_s)
            painter.drawLine(QPointF(x, _RULER - 4), QPointF(x, _RULER))
            minutes, seconds = divmod(k * tick_s, 60)
            text = f"{seconds:.1f}" if tick_s < 1 else f"{int(minutes)}:{int(seconds):02d}"
            painter.drawText(QPointF(x + 3, _RULER - 6), text)

    def _paint_wave(self, painter: QPainter, sound: ClipSound) -> None:
        theme = current()
        middle, half = _RULER + _WAVE / 2, _WAVE / 2 - 2
        loudest = max(float(sound.peaks.max()), 0.05) if len(sound.peaks) else 1.0
        painter.setPen(QPen(QColor(theme.muted), 1))
        lines = []
        for x in range(_MARGIN, self.width() - _MARGIN):
            first, last = (int(self._time(x + d) / STEP_S) for d in (0, 1))
            part = sound.peaks[first : max(last, first + 1)]
            if len(part):
                height = max(float(np.max(part)) / loudest * half, 0.5)
                lines.append((x + 0.5, height))
        for at, height in lines:
            painter.drawLine(QPointF(at, middle - height), QPointF(at, middle + height))

    def _paint_lips(self, painter: QPainter, sound: ClipSound) -> None:
        theme = current()
        metrics, top = painter.fontMetrics(), _RULER + _WAVE
        for piece in sound.sounds:
            if piece.end_s < self._from_s or piece.start_s > self._from_s + self._span_s:
                continue
            left, right = self._x(piece.start_s), self._x(piece.end_s)
            closed, vowel = piece.viseme == "PP", piece.viseme in _VOWELS
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent if closed else theme.line if vowel else theme.raised))
            painter.drawRect(QRectF(left, top, max(right - left - 1, 1), _LIPS - 2))
            if metrics.horizontalAdvance(piece.viseme) < right - left - 3:
                painter.setPen(QColor(theme.accent_text if closed else theme.muted))
                box = QRectF(left, top, right - left, _LIPS - 2)
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, piece.viseme)

    def _paint_blocks(self, painter: QPainter) -> None:
        theme = current()
        lane = QRectF(_MARGIN, _TOP_BLOCKS, self.width() - 2 * _MARGIN, _BLOCKS)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(lane, 6, 6)
        if not self.direction.cues:
            painter.setPen(QColor(theme.faint))
            painter.drawText(
                lane, Qt.AlignmentFlag.AlignCenter, self.tr("Double-click here: from then on an emotion shows")
            )
        painter.save()
        painter.setClipRect(lane)
        for block in self.direction.blocks(self._dragged):
            self._paint_block(painter, block)
        painter.restore()

    def _paint_block(self, painter: QPainter, block: Block) -> None:
        theme = current()
        left, right = self._x(block.start_s), self._x(block.end_s)
        whole = QRectF(left, _TOP_BLOCKS, max(right - left - 2, 2), _BLOCKS)
        tint = QColor(EMOTION_TINTS.get(block.cue.emotion, _OTHER_TINT))
        soft = QColor(tint)
        soft.setAlpha(40)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(soft)
        painter.drawRoundedRect(whole, 6, 6)
        # As strong as it is, so high is the block.
        height = _BLOCKS * block.cue.intensity
        painter.save()
        painter.setClipRect(whole.adjusted(0, _BLOCKS - height, 0, 0))
        soft.setAlpha(120)
        painter.setBrush(soft)
        painter.drawRoundedRect(whole, 6, 6)
        painter.restore()
        chosen = block.index == self.selected
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(tint, 2 if chosen else 1))
        painter.drawRoundedRect(whole.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setPen(QColor(theme.text))
        name = block.cue.emotion.replace("_", " ")
        text = f"{name}  {100 * block.cue.intensity:.0f} %"
        box = whole.adjusted(8, 6, -6, -6)
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, shown)
