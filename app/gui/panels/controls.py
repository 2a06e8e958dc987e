"""Building blocks of the panels: sliders with a value, pickers, switches, collapsible panels."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QStandardItemModel, QWheelEvent
from PyQt6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.settings import Settings

__all__ = ["Panel", "Picker", "SliderRow", "Switch", "beside_icon", "muted_label"]


class _CalmSlider(QSlider):
    """A slider that the wheel moves only when it has the focus, so that scrolling a panel changes nothing."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is None:
            return
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class SliderRow(QWidget):
    """Label, slider, value. A double click goes back to the default."""

    changed = pyqtSignal(float)

    def __init__(
        self,
        label: str,
        low: float,
        high: float,
        default: float,
        show: Callable[[float], str],
        step: float = 0.01,
        hint: str = "",
    ) -> None:
        super().__init__()
        self._low, self._step, self._default, self._show = low, step, default, show
        self.label = QLabel(label)
        self.label.setMinimumWidth(86)
        self.slider = _CalmSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, round((high - low) / step))
        self.slider.setPageStep(max(1, self.slider.maximum() // 10))
        self.slider.setAccessibleName(label)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.installEventFilter(self)
        self._value = QLabel()
        self._value.setProperty("role", "value")
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._value.setFixedWidth(56)
        if hint:
            self.setToolTip(hint)
            self.slider.setAccessibleDescription(hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE[2])
        row.addWidget(self.label)
        row.addWidget(self.slider, 1)
        row.addWidget(self._value)
        self.slider.valueChanged.connect(self._moved)
        self.set_value(default)

    def value(self) -> float:
        """The value, in its own unit."""
        return self._low + self.slider.value() * self._step

    def set_value(self, value: float) -> None:
        """Show a value without telling anyone."""
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(round((value - self._low) / self._step))
        self.slider.blockSignals(blocked)
        self._tell()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            self.slider.setValue(round((self._default - self._low) / self._step))
            return True
        return False

    def _moved(self) -> None:
        self._tell()
        self.changed.emit(self.value())

    def _tell(self) -> None:
        self._value.setText(self._show(self.value()))


class Picker(QComboBox):
    """A drop-down list with a chevron; the wheel passes through unless it has the focus."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setMaxVisibleItems(14)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(current().muted), 1.6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y = self.width() - 16.0, self.height() / 2
        painter.drawPolyline(QPointF(x - 4, y - 2), QPointF(x, y + 2), QPointF(x + 4, y - 2))
        painter.end()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None:
            event.ignore()

    def set_enabled(self, index: int, on: bool) -> None:
        """Let an entry be chosen, or not."""
        model = self.model()
        if isinstance(model, QStandardItemModel) and (item := model.item(index)) is not None:
            item.setEnabled(on)

    def choose(self, data: object) -> None:
        """Select the entry with this data, without telling anyone."""
        blocked = self.blockSignals(True)
        index = next((i for i in range(self.count()) if self.itemData(i) == data), -1)
        self.setCurrentIndex(index)
        self.blockSignals(blocked)


class Switch(QAbstractButton):
    """An on/off switch with its label to the left."""

    def __init__(self, label: str, hint: str = "") -> None:
        super().__init__()
        self.setCheckable(True)
        self.setText(label)
        self.setAccessibleName(label.replace("&", ""))
        if hint:
            self.setToolTip(hint)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(120, 26)

    def hitButton(self, pos: object) -> bool:
        return True

    def paintEvent(self, event: QPaintEvent | None) -> None:
        theme = current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(theme.text if self.isEnabled() else theme.faint))
        text_rect = self.rect().adjusted(0, 0, -44, 0)
        painter.drawText(text_rect, Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextShowMnemonic, self.text())
        track = QRectF(self.width() - 34, (self.height() - 18) / 2, 32, 18)
        on = self.isChecked()
        painter.setBrush(QColor(theme.accent if on else theme.line))
        painter.setPen(QPen(QColor(theme.accent), 1.4) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.drawRoundedRect(track, 9, 9)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#ffffff" if on or not theme.dark else theme.muted))
        knob = QPointF(track.right() - 9 if on else track.left() + 9, track.center().y())
        painter.drawEllipse(knob, 6, 6)
        painter.end()


class Panel(QWidget):
    """A titled part of the side bar that folds away."""

    folded = pyqtSignal(bool)

    def __init__(self, title: str) -> None:
        super().__init__()
        self.header = QPushButton(title)
        self.header.setObjectName("panelHeader")
        self.header.setCheckable(True)
        self.header.setAccessibleName(title)
        self.header.setIconSize(QSize(14, 14))
        self.body = QWidget()
        self.content = QVBoxLayout(self.body)
        self.content.setContentsMargins(SPACE[1], SPACE[1], SPACE[1], SPACE[3])
        self.content.setSpacing(SPACE[2])
        line = QFrame()
        line.setObjectName("panelLine")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE[1])
        column.addWidget(self.header)
        column.addWidget(self.body)
        column.addWidget(line)
        self.header.toggled.connect(self._fold)
        self._fold(False)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""

    def set_folded(self, folded: bool) -> None:
        """Fold or unfold, without telling anyone."""
        blocked = self.header.blockSignals(True)
        self.header.setChecked(folded)
        self.header.blockSignals(blocked)
        self._show(folded)

    def dress(self) -> None:
        """Take on the theme's colours."""
        self._show(self.header.isChecked())

    def add(self, *widgets: QWidget) -> None:
        """Put widgets below one another."""
        for widget in widgets:
            self.content.addWidget(widget)

    def add_row(self, *widgets: QWidget) -> None:
        """Put widgets side by side, of equal width."""
        row = QGridLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE[2])
        for column, widget in enumerate(widgets):
            row.addWidget(widget, 0, column)
            row.setColumnStretch(column, 1)
        self.content.addLayout(row)

    def _fold(self, folded: bool) -> None:
        self._show(folded)
        self.folded.emit(folded)

    def _show(self, folded: bool) -> None:
        self.body.setVisible(not folded)
        self.header.setIcon(icon("chevron-right" if folded else "chevron-down", current().muted))


def muted_label(text: str) -> QLabel:
    """Small, quiet text."""
    label = QLabel(text)
    label.setProperty("role", "muted")
    label.setWordWrap(True)
    return label


def beside_icon(text: str) -> str:
    """Text for a button with an icon: Qt leaves too little room between the two."""
    return f" {text}"
