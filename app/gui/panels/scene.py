"""Panels of the side bar that say what is seen: avatar, camera and background."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QIcon, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PyQt6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QColorDialog,
    QFileDialog,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from app.gui.look.theme import SPACE, TYPE, current
from app.gui.panels.controls import Panel, Picker, muted_label
from app.settings import Settings, Store
from avatar.camera import PRESETS

__all__ = ["AvatarPanel", "ViewPanel"]


class _Card(QAbstractButton):
    """An avatar's picture and name."""

    def __init__(self, name: str, asked: str) -> None:
        super().__init__()
        self.asked = asked
        self.setText(name)
        self.setCheckable(True)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._picture: QPixmap | None = None

    def set_picture(self, path: str) -> None:
        """The thumbnail."""
        picture = QPixmap(path)
        self._picture = None if picture.isNull() else picture
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(76, 96)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        theme = current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        frame = QRectF(1, 1, self.width() - 2, self.height() - 24)
        clip = QPainterPath()
        clip.addRoundedRect(frame, 8, 8)
        painter.save()
        painter.setClipPath(clip)
        painter.fillRect(frame, QColor(theme.backdrop))
        if self._picture is not None:
            side = max(frame.width(), frame.height())
            painter.drawPixmap(
                QRectF(frame.center().x() - side / 2, frame.center().y() - side / 2, side, side),
                self._picture,
                QRectF(self._picture.rect()),
            )
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.line))
            centre = frame.center()
            painter.drawEllipse(QRectF(centre.x() - 12, centre.y() - 20, 24, 28))
            painter.drawRoundedRect(QRectF(centre.x() - 24, centre.y() + 14, 48, 40), 18, 18)
        painter.restore()
        on = self.isChecked()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.accent if on or self.hasFocus() else theme.line), 2 if on else 1))
        painter.drawRoundedRect(frame, 8, 8)
        font = QFont(self.font())
        font.setPixelSize(TYPE["caption"])
        if on:
            font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(theme.text if on else theme.muted))
        name = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width() - 4)
        below = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        painter.drawText(self.rect().adjusted(0, 0, 0, -3), below, name)
        painter.end()


class AvatarPanel(Panel):
    """The avatars there are, and a way to bring one's own."""

    open_file = pyqtSignal()
    new_person = pyqtSignal()
    picked = pyqtSignal(str)
    """An avatar's name, or a file: it is shown, and remembered if it can be."""
    _COLUMNS = 4

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Avatar"))
        self._store = store
        self.cards: dict[str, _Card] = {}
        self._default: str | None = None
        self._group = QButtonGroup(self)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACE[2])
        self.content.addLayout(self._grid)
        self.about = muted_label("")
        self.open = QPushButton(self.tr("Open a file…"))
        self.open.clicked.connect(self.open_file.emit)
        self.make = QPushButton(self.tr("Make a person…"))
        self.make.setToolTip(self.tr("Sliders for face, skin, eyes, hair and clothes"))
        self.make.clicked.connect(self.new_person.emit)
        self.add(self.about)
        self.add_row(self.make, self.open)

    def show_avatars(self, names: list[str], default: str | None) -> None:
        """List the avatars that can be opened by name; a file in use stands beside them."""
        asked = self._store.value.avatar
        wanted = {name: name.replace("-", " ").replace("_", " ").title() for name in names}
        if asked is not None and asked not in wanted:
            wanted[asked] = Path(asked).stem
        self._default = default
        for card in self.cards.values():
            self._group.removeButton(card)
            self._grid.removeWidget(card)
            card.deleteLater()
        self.cards = {}
        for index, (key, label) in enumerate(wanted.items()):
            card = _Card(label, key)
            card.clicked.connect(lambda checked=False, key=key: self.picked.emit(key))
            self._group.addButton(card)
            self._grid.addWidget(card, index // self._COLUMNS, index % self._COLUMNS)
            self.cards[key] = card
        before: QWidget = self.header
        for after in (*self.cards.values(), self.make, self.open):
            QWidget.setTabOrder(before, after)
            before = after
        for column in range(self._COLUMNS):
            self._grid.setColumnStretch(column, 1)
        nothing = self.tr("No avatar is installed. Open a file, or drop one on the picture.")
        self.about.setText("" if wanted else nothing)
        self.about.setVisible(not wanted)
        self.show_settings(self._store.value)

    def set_picture(self, name: str, path: str) -> None:
        """A thumbnail has come."""
        if name in self.cards:
            self.cards[name].set_picture(path)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        key = settings.avatar or self._default
        if key in self.cards:
            self.cards[key].setChecked(True)


class ViewPanel(Panel):
    """Framing and background."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("View"))
        self._store = store
        names = {
            "portrait": self.tr("Portrait"), "face": self.tr("Face"), "close": self.tr("Close-up"),
            "mouth": self.tr("Mouth"), "three-quarter": self.tr("Three-quarter"), "profile": self.tr("Profile"),
        }  # fmt: skip
        self.framings: dict[str, QToolButton] = {}
        group = QButtonGroup(self)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACE[2])
        for index, name in enumerate(PRESETS):
            button = QToolButton()
            button.setText(names.get(name, name.capitalize()))
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # all of one width
            button.setProperty("compact", True)
            button.setAccessibleName(self.tr("Framing: {}").format(button.text()))
            button.clicked.connect(lambda checked=False, name=name: self._frame(name))
            group.addButton(button)
            grid.addWidget(button, index // 3, index % 3)
            self.framings[name] = button
        for column in range(3):
            grid.setColumnStretch(column, 1)
        self.content.addLayout(grid)
        self.background = Picker(self.tr("Background"))
        for key, label in (
            ("theme", self.tr("Studio background")),
            ("colour", self.tr("Colour…")),
            ("image", self.tr("Picture…")),
            ("transparent", self.tr("Transparent")),
        ):
            self.background.addItem(label, key)
        self.background.activated.connect(self._background)
        self.add(self.background)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.framings[settings.camera].setChecked(True)
        kind: str = settings.background
        if kind == "colour" and settings.background_colour is None:
            kind = "theme"
        self.background.choose(kind)
        index = self.background.findData("colour")
        if settings.background_colour:
            swatch = QPixmap(32, 32)
            swatch.fill(QColor(settings.background_colour))
            self.background.setItemIcon(index, QIcon(swatch))
        picture = self.background.findData("image")
        name = Path(settings.background_image).name if settings.background_image else ""
        self.background.setItemText(picture, self.tr("Picture: {}").format(name) if name else self.tr("Picture…"))

    def _frame(self, name: str) -> None:
        self._store.change(camera=name, yaw_deg=0.0, pitch_deg=0.0, zoom=1.0, pan=(0.0, 0.0))

    def _background(self) -> None:
        settings = self._store.value
        choice = self.background.currentData()
        if choice == "theme":
            self._store.change(background="colour", background_colour=None)
        elif choice == "transparent":
            self._store.change(background="transparent")
        elif choice == "colour":
            start = QColor(settings.background_colour or current().backdrop)
            colour = QColorDialog.getColor(start, self.window(), self.tr("Background colour"))
            if colour.isValid():
                self._store.change(background="colour", background_colour=colour.name())
        else:
            path, _ = QFileDialog.getOpenFileName(
                self.window(), self.tr("Background picture"), "", self.tr("Pictures (*.png *.jpg *.jpeg *.webp *.bmp)")
            )
            if path:
                self._store.change(background="image", background_image=path)
        self.show_settings(self._store.value)
