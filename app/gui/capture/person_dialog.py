"""New avatar by hand: sliders for everything about a person, who is seen while they move; then an avatar of them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.forging import AvatarRecipe, Control, Person, Portrait, forge_recipe, plain_recipe, recipes
from app.gui.capture.attempt import attempted
from app.gui.capture.person_controls import PersonControls
from app.gui.capture.portrait_painter import OpenPortrait, PortraitPainter, Wish
from app.gui.capture.portrait_view import PortraitView
from app.gui.look.theme import SPACE, current
from app.gui.look.wording import sentence
from app.gui.panels.controls import Picker, muted_label
from avatar.errors import UserError
from avatar.importing import avatar_path

__all__ = ["PersonDialog"]

_MOST_TURN_DEG = 60.0

Make = Callable[[AvatarRecipe, str, Callable[[float, str], None]], object]
"""A recipe, a name, and who is told of progress; what that raises ends the work."""


class _CancelledError(UserError):
    """The user has left off."""


class PersonDialog(QDialog):
    """Sliders beside a portrait that follows them. Makes the avatar on a thread of its own."""

    made = pyqtSignal(str)
    """An avatar of this name is there."""
    left = pyqtSignal()
    """The dialog has been closed."""
    _told = pyqtSignal(float, str)
    _done = pyqtSignal(object)

    def __init__(
        self, parent: QWidget | None, make: Make = forge_recipe, open_portrait: OpenPortrait = Portrait
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("New avatar by hand"))
        self.person = Person()
        self.painter = PortraitPainter(open_portrait)
        self.painter.setParent(self)
        self._make = make
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._turn_deg = 0.0
        self.view = PortraitView()
        self.controls = PersonControls()
        self.begin = Picker(self.tr("Begin with"))
        self.begin.addItem(self.tr("Begin with…"), None)
        for recipe in recipes().values():
            self.begin.addItem(recipe.name.capitalize(), recipe)
        self.surprise = QPushButton(self.tr("Surprise me"))
        self.undo = QPushButton(self.tr("Undo"))
        self.redo = QPushButton(self.tr("Redo"))
        self.reset = QPushButton(self.tr("Reset"))
        self.open_recipe = QPushButton(self.tr("Open a recipe…"))
        self.save_recipe = QPushButton(self.tr("Save the recipe…"))
        self.name = QLineEdit()
        self.name.setPlaceholderText(self.tr("such as Robin"))
        self.name.setAccessibleName(self.tr("Name of the avatar"))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.create_button = QPushButton(self.tr("Make the avatar"))
        self.create_button.setProperty("primary", True)
        self.close_button = QPushButton(self.tr("Close"))
        for button in (self.surprise, self.undo, self.redo, self.reset, self.open_recipe, self.save_recipe):
            button.setAutoDefault(False)
        self.close_button.setAutoDefault(False)
        self._connect()
        self._lay_out()
        self._show_person()
        self._refresh()

    @property
    def busy(self) -> bool:
        """Whether an avatar is being made."""
        return self._thread is not None

    def begin_drawing(self) -> None:
        """Show the person as soon as there is a picture."""
        self.view.words = self.tr("The portrait is being prepared…")
        self._draw()

    def give_back(self) -> None:
        """End both threads, before the window goes."""
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join()
        self.painter.close()

    def reject(self) -> None:
        """Close; while an avatar is being made, leave that off instead."""
        if self.busy:
            self._cancelled.set()
            self.close_button.setEnabled(False)
            self.words.setText(self.tr("Leaving off…"))
            return
        self.painter.stop()
        super().reject()
        self.left.emit()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        if event is not None:
            event.ignore()
        self.reject()

    # -- building ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.view.turned.connect(self._turn)
        self.controls.changed.connect(self._put)
        self.begin.activated.connect(self._begin_with)
        self.surprise.clicked.connect(lambda: self._change(partial(self.person.surprise, secrets.randbelow(1_000_000))))
        self.undo.clicked.connect(lambda: self._change(self.person.undo))
        self.redo.clicked.connect(lambda: self._change(self.person.redo))
        self.reset.clicked.connect(lambda: self._change(partial(self.person.take, plain_recipe("me"))))
        self.open_recipe.clicked.connect(self._open)
        self.save_recipe.clicked.connect(self._save)
        self.name.textChanged.connect(self._refresh)
        self.create_button.clicked.connect(self._start)
        self.close_button.clicked.connect(self.reject)
        for keys, button in ((QKeySequence.StandardKey.Undo, self.undo), (QKeySequence.StandardKey.Redo, self.redo)):
            QShortcut(keys, self).activated.connect(button.click)
        painter = self.painter
        painter.ready.connect(self._show_picture)
        painter.preparing.connect(self._show_preparing)
        painter.failed.connect(lambda problem: self.words.setText(sentence(problem)))
        self._told.connect(self._show_progress)
        self._done.connect(self._finish)

    def _lay_out(self) -> None:
        area = QScrollArea()
        area.setObjectName("side")
        area.setWidget(self.controls)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setMinimumWidth(400)

        def row(*widgets: QWidget) -> QHBoxLayout:
            made = QHBoxLayout()
            made.setSpacing(SPACE[2])
            for widget in widgets:
                made.addWidget(widget, 1 if widget in (self.name, self.begin) else 0)
            return made

        left = QVBoxLayout()
        left.setSpacing(SPACE[3])
        left.addWidget(self.view, 1)
        left.addLayout(row(self.surprise, self.begin, self.undo, self.redo, self.reset))
        left.addWidget(self.bar)
        left.addWidget(self.words)
        left.addWidget(
            muted_label(
                self.tr(
                    "Face and skin follow the sliders at once, hair and clothes after a moment. The finished avatar is "
                    "finer than this picture, and quicker made than those that ship: they were trained on path-traced "
                    "pictures."
                )
            )
        )
        left.addLayout(row(QLabel(self.tr("Name")), self.name, self.create_button, self.close_button))
        right = QVBoxLayout()
        right.setSpacing(SPACE[2])
        right.addWidget(area, 1)
        right.addLayout(row(self.open_recipe, self.save_recipe))
        columns = QHBoxLayout(self)
        columns.setContentsMargins(*(SPACE[4],) * 4)
        columns.setSpacing(SPACE[4])
        columns.addLayout(left, 1)
        columns.addLayout(right)

    # -- the person --------------------------------------------------------------------------------------------------

    def _put(self, control: Control, value: float | str) -> None:
        try:
            self.person.put(control, value)
        except UserError as error:  # such as somebody of no descent at all
            self._show_person()
            self.words.setText(sentence(str(error)))
            return
        self._after_change()

    def _change(self, change: Callable[[], None]) -> None:
        change()
        self._show_person()
        self._after_change()

    def _begin_with(self) -> None:
        recipe = self.begin.currentData()
        if recipe is not None:
            self._change(partial(self.person.take, recipe))
        self.begin.setCurrentIndex(0)

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Open a recipe"), "", self.tr("Recipes (*.toml)"))
        if path:
            try:
                self._change(partial(self.person.open, Path(path)))
            except UserError as error:
                self.words.setText(sentence(str(error)))

    def _save(self) -> None:
        named = f"{self.name.text().strip() or 'person'}.toml"
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save the recipe"), named, self.tr("Recipes (*.toml)"))
        if path:
            try:
                self.person.save(Path(path))
            except OSError as error:
                self.words.setText(self.tr("{}: cannot be written ({})").format(path, error.strerror))

    def _show_person(self) -> None:
        self.controls.show_recipe(self.person.recipe)

    def _after_change(self) -> None:
        self.words.setText("")
        self._refresh()
        self._draw()

    def _turn(self, by_deg: float) -> None:
        self._turn_deg = min(max(self._turn_deg + by_deg, -_MOST_TURN_DEG), _MOST_TURN_DEG)
        self._draw()

    # -- the portrait ------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self.painter.ask(Wish(self.person.recipe, PortraitView.SIDE, self._turn_deg, current().studio))

    def _show_picture(self) -> None:
        picture = self.painter.picture.get()
        if picture is not None:
            self.view.show_picture(picture)
        if not self.busy:
            self.bar.setVisible(False)

    def _show_preparing(self, share: float) -> None:
        self.bar.setVisible(True)
        self.bar.setValue(round(1000 * share))

    # -- the avatar --------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        free = not self.busy
        for widget in (self.controls, self.begin, self.surprise, self.reset, self.open_recipe, self.name):
            widget.setEnabled(free)
        self.undo.setEnabled(free and self.person.can_undo)
        self.redo.setEnabled(free and self.person.can_redo)
        name = self.name.text().strip()
        self.create_button.setEnabled(free and bool(name))
        there = bool(name) and _is_there(name)
        self.create_button.setText(self.tr("Replace the avatar") if there else self.tr("Make the avatar"))
        self.close_button.setText(self.tr("Close") if free else self.tr("Cancel"))
        self.close_button.setEnabled(True)
        self.bar.setVisible(not free)

    def _start(self) -> None:
        recipe, name = self.person.recipe, self.name.text().strip()
        self._cancelled.clear()
        nothing = self.tr("Nothing was made.")

        def tell(share: float, what: str) -> None:
            if self._cancelled.is_set():
                raise _CancelledError(nothing)
            self._told.emit(share, what)

        def make() -> str:
            self._make(recipe, name, tell)
            return name

        def work() -> None:
            self._done.emit(attempted(make))

        self.words.setText("")
        self._thread = threading.Thread(target=work, name="forge", daemon=True)
        self._refresh()
        self._thread.start()

    def _show_progress(self, share: float, what: str) -> None:
        self.bar.setValue(round(1000 * share))
        if not self._cancelled.is_set():
            self.words.setText(f"{sentence(what)}…")

    def _finish(self, result: object) -> None:
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._refresh()
        if isinstance(result, UserError):
            self.words.setText(sentence(str(result)))
        else:
            self.words.setText(self.tr("{} is there.").format(result))
            self.made.emit(str(result))


def _is_there(name: str) -> bool:
    """Whether the user has an avatar of this name."""
    try:
        return avatar_path(name).exists()
    except UserError:
        return False
