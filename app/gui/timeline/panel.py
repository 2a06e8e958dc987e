"""The timeline with its buttons."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout

from animation.expression.emotions import EMOTIONS
from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.gui.panels.controls import Picker, beside_icon
from app.gui.timeline.clip_sound import ClipSound
from app.gui.timeline.direction import Direction
from app.gui.timeline.strip import Strip

__all__ = ["TimelinePanel"]

_USUAL_INTENSITY = 0.8


class TimelinePanel(QFrame):
    """Shows a clip and what is to be felt in it, and lets both be changed."""

    play = pyqtSignal(float)
    """Play from here on, seconds."""
    stop = pyqtSignal()
    save = pyqtSignal()
    open = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.strip = Strip()
        self.title = QLabel()
        self.title.setProperty("role", "muted")
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.play_button = self._button("", self.toggle_play, self.tr("Play from the mark (space)"))
        self.add = self._button(self.tr("Add"), self.add_here, self.tr("An emotion from the mark on (double-click)"))
        self.remove = self._button(self.tr("Remove"), self._remove, self.tr("Without the chosen emotion (Delete)"))
        self.emotion = Picker(self.tr("Emotion of the block"))
        self.emotion.setMinimumContentsLength(9)
        self.emotion.addItems(EMOTIONS)
        self.emotion.textActivated.connect(lambda emotion: self._change(emotion=emotion))
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(0, 100)
        self.strength.setFixedWidth(96)
        self.strength.setAccessibleName(self.tr("How strong it is"))
        self.strength.sliderReleased.connect(self._strengthen)
        self.strength.actionTriggered.connect(lambda action: self._strengthen_by_key())
        self.undo = self._button(self.tr("Undo"), lambda: self.strip.direction.undo(), self.tr("Undo (Ctrl+Z)"))
        self.redo = self._button(self.tr("Redo"), lambda: self.strip.direction.redo(), self.tr("Redo (Ctrl+Shift+Z)"))
        self.open_button = self._button(self.tr("Open…"), self.open.emit, self.tr("A performance from a file"))
        self.save_button = self._button(
            self.tr("Save…"), self.save.emit, self.tr("The performance as a file, for `gaussian-avatar render`")
        )
        row = QHBoxLayout()
        row.setSpacing(SPACE[2])
        for widget in (self.play_button, self.add, self.emotion, self.strength, self.remove):
            row.addWidget(widget)
        row.addWidget(self.title, 1)
        for widget in (self.undo, self.redo, self.open_button, self.save_button):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE[3], SPACE[2], SPACE[3], SPACE[2])
        column.setSpacing(SPACE[2])
        column.addLayout(row)
        column.addWidget(self.strip)
        self._playing = False
        self.strip.picked.connect(self._show_chosen)
        self.strip.sought.connect(self._seek)
        self.strip.play.connect(self.toggle_play)
        self.strip.wanted.connect(self._put)
        self._show_chosen()
        self.dress()

    def show_clip(self, name: str, sound: ClipSound | None, direction: Direction) -> None:
        """A clip, or that it is being read."""
        self.title.setText(name if sound is not None else self.tr("{}: listening…").format(name))
        self.strip.show_clip(sound, direction)
        for widget in (self.play_button, self.add, self.open_button, self.save_button):
            widget.setEnabled(sound is not None)

    def show_problem(self, text: str) -> None:
        """The clip cannot be directed."""
        self.title.setText(text)
        self.title.setToolTip(text)

    def show_playing(self, time_s: float | None) -> None:
        """Where in the clip the picture is; None while it is not being played."""
        playing = time_s is not None
        if time_s is not None:
            self.strip.show_mark(time_s)
        if playing != self._playing:
            self._playing = playing
            self.dress()

    def toggle_play(self) -> None:
        """Play from the mark, or from the start if it stands at the end; or stop."""
        if self._playing:
            self.stop.emit()
        else:
            at_end = self.strip.mark_s > self.strip.direction.duration_s - 0.1
            self.play.emit(0.0 if at_end else self.strip.mark_s)

    def add_here(self) -> None:
        """An emotion from the mark on."""
        self._put(self.strip.mark_s)

    def dress(self) -> None:
        """Take on the theme's colours and the state's words."""
        theme = current()
        self.play_button.setIcon(icon("stop" if self._playing else "play", theme.muted))
        self.play_button.setText(beside_icon(self.tr("Stop") if self._playing else self.tr("Play")))
        self.add.setIcon(icon("plus", theme.muted))
        for button in (self.play_button, self.add):
            button.setIconSize(QSize(18, 18))
        self.strip.update()

    def _put(self, time_s: float) -> None:
        direction = self.strip.direction
        if direction.duration_s > 0:
            self.strip.select(direction.put(time_s, self.emotion.currentText(), _USUAL_INTENSITY))

    def _remove(self) -> None:
        if self.strip.selected is not None:
            self.strip.direction.remove(self.strip.selected)

    def _change(self, **fields: object) -> None:
        if self.strip.selected is not None:
            self.strip.direction.change(self.strip.selected, **fields)

    def _strengthen(self) -> None:
        self._change(intensity=self.strength.value() / 100)

    def _strengthen_by_key(self) -> None:
        if not self.strength.isSliderDown():
            self._change(intensity=self.strength.sliderPosition() / 100)

    def _seek(self, time_s: float) -> None:
        if self._playing:
            self.play.emit(time_s)
        else:
            self.strip.show_mark(time_s)

    def _show_chosen(self) -> None:
        index, direction = self.strip.selected, self.strip.direction
        for widget in (self.remove, self.strength):
            widget.setEnabled(index is not None)
        if index is not None:
            cue = direction.cues[index]
            if self.emotion.findText(cue.emotion) < 0:  # an expression by name, from a file
                self.emotion.addItem(cue.emotion)
            self.emotion.setCurrentText(cue.emotion)
            self.strength.setValue(round(100 * cue.intensity))
        self.undo.setEnabled(direction.can_undo)
        self.redo.setEnabled(direction.can_redo)

    def _button(self, text: str, act: object, hint: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(hint)
        button.clicked.connect(lambda: act())  # type: ignore[operator]
        return button
