"""The bar under the picture: record, still, play, mute; and the status line."""

from __future__ import annotations

from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout

from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.gui.look.wording import renderer_name
from app.gui.panels.controls import beside_icon
from app.live.status import SessionStatus
from app.output.recorder import RecorderStatus
from app.settings import Settings

__all__ = ["RecordingBar"]


_BETWEEN = "   ·   "


class RecordingBar(QFrame):
    """What is done with the picture, and how the engine is doing."""

    record = pyqtSignal()
    still = pyqtSignal()
    play = pyqtSignal()
    mute = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bar")
        self._recording = self._finishing = self._playing = self._muted = False
        self.record_button = QPushButton()
        self.record_button.setMinimumWidth(108)
        self.record_button.clicked.connect(self.record.emit)
        self.clock = QLabel()
        self.clock.setObjectName("clock")
        self.file = QLabel()
        self.file.setProperty("role", "muted")
        self.file.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.still_button = self._button(self.tr("Still"), self.still)
        self.still_button.setToolTip(self.tr("Save a picture (S)"))
        self.play_button = self._button("", self.play)
        self.play_button.setToolTip(self.tr("Play a voice as if it came from the microphone (P)"))
        self.mute_button = self._button("", self.mute)
        self.mute_button.setCheckable(True)
        self.mute_button.setToolTip(self.tr("Mute the microphone (M)"))
        self._parts: list[str] = []
        self.status = QLabel()
        self.status.setObjectName("status")
        self.status.setAccessibleName(self.tr("Status"))
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        row.setSpacing(SPACE[2])
        row.addWidget(self.record_button)
        row.addSpacing(SPACE[1])
        row.addWidget(self.clock)
        row.addWidget(self.file, 1)
        row.addWidget(self.still_button)
        row.addWidget(self.play_button)
        row.addWidget(self.mute_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE[4], SPACE[3], SPACE[4], SPACE[2])
        column.setSpacing(SPACE[2])
        column.addLayout(row)
        column.addWidget(self.status)
        self.dress()

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self._muted = settings.muted
        self.mute_button.setChecked(settings.muted)
        self.dress()

    def show_playing(self, name: str | None) -> None:
        """A file is being played, or not."""
        if (name is not None) != self._playing:
            self._playing = name is not None
            self.dress()

    def show_recording(self, status: RecorderStatus | None, finishing: bool = False) -> None:
        """Elapsed time, size and name of the recording that runs, or is being finished."""
        if (status is not None, finishing) != (self._recording, self._finishing):
            self._recording, self._finishing = status is not None, finishing
            self.record_button.setEnabled(not finishing)
            self.dress()
        if status is None:
            self.clock.clear()
            self.file.clear()
            return
        minutes, seconds = divmod(int(status.duration_s), 60)
        self.clock.setText(f"{minutes:02d}:{seconds:02d}")
        text = f"{status.bytes / 1e6:.1f} MB   {status.path.name}"
        if status.images_dropped:
            text += self.tr("   {} images dropped").format(status.images_dropped)
        self.file.setText(text)

    def show_status(self, status: SessionStatus) -> None:
        """The line of figures."""
        latency = status.latency
        parts = []
        if latency.images:
            parts += [
                self.tr("{:.0f} images/s").format(latency.images_per_s),
                self.tr("{:.0f} ms sound to picture").format(latency.median_ms),
                self.tr("{:.0f}k Gaussians").format(status.gaussians / 1000),
            ]
        if status.backend:
            parts.append(self.tr("{} renderer").format(renderer_name(status.backend)))
        count = status.overflows
        parts.append(self.tr("{} overflow").format(count) if count == 1 else self.tr("{} overflows").format(count))
        count = status.images_skipped
        parts.append(
            self.tr("{} image skipped").format(count) if count == 1 else self.tr("{} images skipped").format(count)
        )
        if status.source.kind in ("missing", "lost"):
            parts.insert(0, self.tr("no microphone"))
        if status.preparing is not None:
            text = self.tr("compiling the renderer, once on this machine: {:.0f} %")
            parts.insert(0, text.format(100 * status.preparing))
        self._parts = parts
        self._fit_status()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit_status()

    def _fit_status(self) -> None:
        """As many of the figures as fit, each whole: half a number is a false one."""
        room, metrics = self.status.width(), self.status.fontMetrics()
        for count in range(len(self._parts), -1, -1):
            dropped = count < len(self._parts)
            text = _BETWEEN.join([*self._parts[:count], "…"] if dropped else self._parts)
            if metrics.horizontalAdvance(text) <= room or count == 0:
                break
        self.status.setText(text)
        self.status.setToolTip(_BETWEEN.join(self._parts) if dropped else "")

    def dress(self) -> None:
        """Take on the theme's colours and the state's words."""
        theme = current()
        doing = self.tr("Stop") if self._recording else self.tr("Record")
        self.record_button.setText(beside_icon(self.tr("Saving…") if self._finishing else doing))
        self.record_button.setProperty("recording", self._recording)
        if (style := self.record_button.style()) is not None:
            style.unpolish(self.record_button)
            style.polish(self.record_button)
        self.record_button.setAccessibleName(self.tr("Stop recording") if self._recording else self.tr("Record"))
        self.record_button.setToolTip(self.tr("Start or stop recording (R)"))
        self.record_button.setIcon(icon("stop" if self._recording else "record", theme.record))
        self.still_button.setIcon(icon("still", theme.muted))
        self.play_button.setText(beside_icon(self.tr("Stop clip") if self._playing else self.tr("Play clip")))
        self.play_button.setIcon(icon("stop" if self._playing else "play", theme.muted))
        self.mute_button.setText(beside_icon(self.tr("Muted") if self._muted else self.tr("Mute")))
        colour = theme.bad if self._muted else theme.muted
        self.mute_button.setIcon(icon("microphone-off" if self._muted else "microphone", colour))
        for button in (self.record_button, self.still_button, self.play_button, self.mute_button):
            button.setIconSize(QSize(18, 18))

    def _button(self, text: str, signal: object) -> QPushButton:
        button = QPushButton(beside_icon(text))
        button.clicked.connect(lambda: signal.emit())  # type: ignore[attr-defined]
        return button
