"""The panel of the microphone."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.gui.look.wording import source_words
from app.gui.panels.controls import Panel, Picker, SliderRow, Switch
from app.gui.panels.level_bar import LevelBar
from app.live.device_list import InputDevice
from app.live.level import LevelMeter
from app.live.source import SourceState
from app.settings import Settings, Store

__all__ = ["VoicePanel"]

_NONE = "none:"
_DEFAULT = "default:"
_MOST_CHANNELS = 32
_ALIASES = ("default", "pulse", "pipewire", "sysdefault")
"""What ALSA calls whatever the sound server has picked: no name for people."""


class VoicePanel(Panel):
    """Which microphone, how loud, gate, monitor; and what it is doing."""

    look_again = pyqtSignal()
    """Devices may have changed."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Voice"))
        self._store = store
        self._listed: list[InputDevice] | None = None
        self.picker = Picker(self.tr("Microphone"))
        self.picker.activated.connect(self._picked)
        self.again = QToolButton()
        self.again.setProperty("square", True)
        self.again.setAccessibleName(self.tr("Look for microphones again"))
        self.again.setToolTip(self.tr("Look for microphones again"))
        self.again.clicked.connect(self.look_again.emit)
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(SPACE[2])
        line.addWidget(self.picker, 1)
        line.addWidget(self.again)
        self.channel = Picker(self.tr("Channel"))
        self.channel.setToolTip(self.tr("Automatic takes the channels that somebody speaks in"))
        self.channel.activated.connect(lambda: store.change(channel=self.channel.currentData()))
        self.meter = LevelBar()
        self.words = QLabel()
        self.words.setProperty("role", "muted")
        self.problem = QLabel()
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()

        def decibels(value: float) -> str:
            return f"{value:+.0f} dB" if value else "0 dB"

        self.gain = SliderRow(self.tr("Gain"), -24.0, 24.0, 0.0, decibels, 0.5)
        self.gain.changed.connect(lambda v: store.change(gain_db=v))
        self.gate = Switch(
            self.tr("Noise gate"), self.tr("Silence below the threshold, so that noise does not move the mouth")
        )
        self.gate.toggled.connect(lambda on: store.change(gate=on))
        self.gate_db = SliderRow(self.tr("Threshold"), -60.0, -10.0, -48.0, lambda v: f"{v:.0f} dB", 1.0)
        self.gate_db.changed.connect(lambda v: store.change(gate_db=v))
        self.muted = Switch(self.tr("Mute"), self.tr("Key M"))
        self.muted.toggled.connect(lambda on: store.change(muted=on))
        self.monitor = Switch(
            self.tr("Monitor"), self.tr("Hear the voice, delayed by the measured latency so that sound and lips agree")
        )
        self.monitor.toggled.connect(lambda on: store.change(monitor=on))
        self.add(row, self.channel, self.problem, self.words, self.meter, self.gain)
        self.lookahead = Picker(self.tr("Lips"))
        self.lookahead.setToolTip(self.tr("How much sound the lips wait for: more is surer, less is quicker"))
        self.lookahead.addItem(self.tr("Surest lips (70 ms)"), 70)
        self.lookahead.addItem(self.tr("Quicker lips (30 ms)"), 30)
        self.lookahead.addItem(self.tr("Quickest lips (10 ms)"), 10)
        self.lookahead.activated.connect(lambda: store.change(lookahead_ms=self.lookahead.currentData()))
        self.add(self.gate, self.gate_db, self.muted, self.monitor, self.lookahead)
        self.dress()

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.gain.set_value(settings.gain_db)
        for switch, on in (
            (self.gate, settings.gate),
            (self.muted, settings.muted),
            (self.monitor, settings.monitor),
        ):
            switch.setChecked(on)
        self.lookahead.choose(settings.lookahead_ms)
        self.gate_db.set_value(settings.gate_db)
        self.gate_db.setEnabled(settings.gate)
        self._choose(settings)

    def show_devices(self, inputs: list[InputDevice], state: SourceState) -> None:
        """Follow the devices."""
        settings = self._store.value
        if inputs != self._listed:
            self._listed = list(inputs)
            self.picker.blockSignals(True)
            self.picker.clear()
            default = next((d.name for d in inputs if d.default and d.name not in _ALIASES), None)
            label = self.tr("System default ({})").format(default) if default else self.tr("System default")
            self.picker.addItem(label, _DEFAULT)
            several = len({d.host_api for d in inputs}) > 1
            for device in inputs:
                self.picker.addItem(f"{device.name}  ·  {device.host_api}" if several else device.name, device.key)
            self.picker.addItem(self.tr("No microphone"), _NONE)
            self.picker.blockSignals(False)
        self._choose(settings)
        stopped = state.cause == "stopped"  # by what name is said once, over the picture
        self.problem.setText(self.tr("Trying to get it back") if stopped else source_words(state))
        self.problem.setVisible(bool(state.problem))

    def show_level(self, level: LevelMeter) -> None:
        """Follow the level."""
        settings = self._store.value
        gate_db = settings.gate_db if settings.gate else None
        self.meter.show_level(level.peak_db, level.loudness_db, level.clipped, settings.muted, gate_db)
        if self.words.text() != self.meter.words:
            self.words.setText(self.meter.words)

    def dress(self) -> None:
        super().dress()
        self.again.setIcon(icon("reset", current().muted, 16))

    def _show_channels(self, settings: Settings) -> None:
        """A choice of channels, where there is one."""
        inputs = self._listed or []
        device = next((d for d in inputs if d.key == settings.device), inputs[0] if inputs else None)
        count = device.channels if device is not None and settings.source == "device" else 1
        count = max(min(count, _MOST_CHANNELS), settings.channel)
        if self.channel.count() != count + 1:
            self.channel.clear()
            self.channel.addItem(self.tr("All channels: whichever is spoken in"), 0)
            for number in range(1, count + 1):
                self.channel.addItem(self.tr("Channel {} alone").format(number), number)
        self.channel.choose(settings.channel)
        self.channel.setVisible(count > 1)

    def _choose(self, settings: Settings) -> None:
        self._show_channels(settings)
        if settings.source == "none":
            self.picker.choose(_NONE)
        elif settings.device is None:
            self.picker.choose(_DEFAULT)
        else:
            self.picker.choose(settings.device)
            if self.picker.currentIndex() < 0:  # remembered, but not connected now
                self.picker.insertItem(1, self.tr("{} (not connected)").format(settings.device), settings.device)
                self.picker.choose(settings.device)

    def _picked(self) -> None:
        choice = self.picker.currentData()
        if choice == _NONE:
            self._store.change(source="none")
        else:
            self._store.change(source="device", device=None if choice == _DEFAULT else choice, channel=0)
