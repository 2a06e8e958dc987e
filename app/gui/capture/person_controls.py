"""The sliders of a person in the making, by the part of the head."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QColor, QIcon, QPixmap
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.forging import SECTIONS, AvatarRecipe, Choice, Control, Slider, Swatches, plain_recipe
from app.gui.look.theme import SPACE
from app.gui.panels.controls import Panel, Picker, SliderRow

__all__ = ["PersonControls"]


class PersonControls(QWidget):
    """A slider or a list for everything that a person turns."""

    changed = pyqtSignal(object, object)
    """A `Control`, and the value that it is put to."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, SliderRow | Picker] = {}
        """By the first field of the recipe that each sets."""
        self._controls: dict[str, Control] = {}
        self.panels: dict[str, Panel] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE[3], SPACE[2], SPACE[3], SPACE[2])
        column.setSpacing(SPACE[2])
        usual = plain_recipe("usual")
        for title, controls in SECTIONS.items():
            panel = self.panels[title] = Panel(self.tr(title))
            for control in controls:
                panel.add(self._row(control, usual))
            column.addWidget(panel)
        column.addStretch(1)
        self.show_recipe(usual)

    def show_recipe(self, recipe: AvatarRecipe) -> None:
        """Follow the recipe, without telling anyone."""
        for path, row in self.rows.items():
            value = self._controls[path].value(recipe)
            if isinstance(row, SliderRow):
                row.set_value(float(value))
            else:
                row.choose(value)

    def _row(self, control: Control, usual: AvatarRecipe) -> QWidget:
        label, path = self.tr(control.label), control.paths[0]
        self._controls[path] = control
        if isinstance(control, Slider):
            span = control.high - control.low

            def show(value: float, low: float = control.low, span: float = span) -> str:
                return self.tr("{} years").format(round(value)) if span > 10 else f"{100 * (value - low) / span:.0f} %"

            row = SliderRow(label, control.low, control.high, float(control.value(usual)), show, span / 200)
            row.changed.connect(lambda value, control=control: self.changed.emit(control, value))
            row.label.setFixedWidth(_LABEL)
            self.rows[path] = row
            return row
        picker = Picker(label)
        for name in control.options:
            picker.addItem(self.tr(name).capitalize(), name)
            if isinstance(control, Swatches):
                picker.setItemIcon(picker.count() - 1, _swatch(control.options[name]))
        picker.activated.connect(lambda index, control=control: self._chosen(control, index))
        self.rows[path] = picker
        line = QWidget()
        beside = QHBoxLayout(line)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(SPACE[2])
        words = QLabel(label)
        words.setFixedWidth(_LABEL)
        beside.addWidget(words)
        beside.addWidget(picker, 1)
        return line

    def _chosen(self, control: Choice | Swatches, index: int) -> None:
        picker = self.rows[control.paths[0]]
        assert isinstance(picker, Picker)
        self.changed.emit(control, picker.itemData(index))


_LABEL = 148


def _swatch(linear: tuple[float, float, float]) -> QIcon:
    """A colour as it looks: the recipe holds linear light."""
    red, green, blue = (min(1.0, 1.055 * max(part, 0.0032) ** (1 / 2.4) - 0.055) for part in linear)
    swatch = QPixmap(32, 32)
    swatch.fill(QColor.fromRgbF(red, green, blue))
    return QIcon(swatch)
