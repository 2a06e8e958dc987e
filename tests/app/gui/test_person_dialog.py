"""Laws of the dialog that makes a person by hand. The workshop's slow parts are stood in for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.forging import SECTIONS, AvatarRecipe, Person, Slider, plain_recipe
from app.gui.capture.person_controls import PersonControls
from app.gui.capture.person_dialog import PersonDialog
from app.gui.capture.portrait_painter import PortraitPainter, Wish
from app.gui.look.theme import DARK
from app.gui.panels.controls import SliderRow
from avatar.creation.forge.surprise import surprise
from avatar.errors import UserError

CONTROLS = [control for controls in SECTIONS.values() for control in controls]


class FakePortrait:
    """Notes what is drawn; `gate` holds it up, and `parts` are made one by one."""

    def __init__(self, recipe: AvatarRecipe, tell: Callable[[float], None]) -> None:
        tell(0.5)
        self.drawn: list[AvatarRecipe] = []
        self.begun, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self.parts = 0
        self.closed = False

    def picture(self, recipe: AvatarRecipe, side: int, turn_deg: float, wall: Any) -> np.ndarray:
        self.drawn.append(recipe)
        self.begun.set()
        assert self.gate.wait(10)
        return np.full((side, side, 4), 255, np.uint8)

    def settle(self, recipe: AvatarRecipe) -> bool:
        self.parts -= 1
        return self.parts >= 0

    def close(self) -> None:
        self.closed = True


def other_value(control: Any, recipe: AvatarRecipe) -> float | str:
    if isinstance(control, Slider):
        return control.high if control.value(recipe) < control.high else control.low
    return next(name for name in control.options if name != control.value(recipe))


# -- a person ------------------------------------------------------------------------------------------------------


def test_every_change_can_be_taken_back_and_made_again() -> None:
    person = Person()
    states = [person.recipe]
    for control in CONTROLS:
        person.put(control, other_value(control, person.recipe))
        states.append(person.recipe)
    person.surprise(5)
    states.append(person.recipe)
    assert len({id(state) for state in states}) == len(CONTROLS) + 2
    for state in states[-2::-1]:
        person.undo()
        assert person.recipe == state
    assert not person.can_undo
    person.undo()  # nothing is left: nothing happens
    for state in states[1:]:
        person.redo()
        assert person.recipe == state
    assert not person.can_redo


def test_sliding_one_slider_is_one_change_and_a_new_change_ends_what_was_taken_back() -> None:
    person = Person()
    first, second = CONTROLS[0], CONTROLS[1]
    for value in (0.2, 0.5, 0.9):
        person.put(first, value)
    person.put(second, 40.0)
    person.undo()
    person.undo()
    assert person.recipe == plain_recipe("me") and not person.can_undo
    person.put(second, 50.0)
    assert not person.can_redo
    person.put(second, second.value(person.recipe))  # no change
    person.undo()
    assert person.recipe == plain_recipe("me")


def test_a_recipe_goes_to_a_file_and_comes_back(tmp_path: Path) -> None:
    one, other = Person(surprise("me", 3)), Person()
    one.save(tmp_path / "me.toml")
    other.open(tmp_path / "me.toml")
    assert other.recipe == one.recipe and other.can_undo


# -- sliders -------------------------------------------------------------------------------------------------------


def test_sliders_follow_a_recipe_silently_and_say_what_is_changed(qtbot: Any) -> None:
    controls = PersonControls()
    qtbot.addWidget(controls)
    said: list[tuple[Any, Any]] = []
    controls.changed.connect(lambda control, value: said.append((control, value)))
    recipe = surprise("me", 8)
    controls.show_recipe(recipe)
    assert not said
    assert len(controls.rows) == len(CONTROLS)
    for control in CONTROLS:
        row = controls.rows[control.paths[0]]
        if isinstance(row, SliderRow):
            assert row.value() == pytest.approx(control.value(recipe), abs=(control.high - control.low) / 200)
            row.slider.setValue(row.slider.maximum() if row.slider.value() < row.slider.maximum() else 0)
        else:
            assert row.currentData() == control.value(recipe)
            row.activated.emit(row.findData(other_value(control, recipe)))
        assert said.pop() == (control, pytest.approx(other_value(control, recipe), abs=1e-6)) and not said


# -- the painter ---------------------------------------------------------------------------------------------------


@pytest.fixture
def painter(qtbot: Any) -> Any:
    made: list[FakePortrait] = []

    def opened(recipe: AvatarRecipe, tell: Callable[[float], None]) -> FakePortrait:
        made.append(FakePortrait(recipe, tell))
        return made[-1]

    painter = PortraitPainter(opened)
    yield painter, made
    for portrait in made:
        portrait.gate.set()
    painter.close()


def wish(seed: int) -> Wish:
    return Wish(surprise("me", seed), 8, 0.0, DARK.studio)


def test_the_newest_wish_is_drawn_and_none_that_it_overtook(painter: Any, qtbot: Any) -> None:
    painter, made = painter
    with qtbot.waitSignal(painter.rested, timeout=10_000):
        painter.ask(wish(0))
    portrait = made[0]
    portrait.begun.clear()
    portrait.gate.clear()
    wishes = [wish(seed) for seed in range(1, 6)]
    painter.ask(wishes[0])
    assert portrait.begun.wait(10)
    for later in wishes[1:]:
        painter.ask(later)
    with qtbot.waitSignal(painter.rested, timeout=10_000):
        portrait.gate.set()
    assert portrait.drawn[1:] == [wishes[0].recipe, wishes[-1].recipe]


def test_it_draws_again_after_every_part_and_what_was_prepared_stays(painter: Any, qtbot: Any) -> None:
    painter, made = painter
    with qtbot.waitSignal(painter.rested, timeout=10_000):
        painter.ask(wish(0))
    made[0].parts = 3
    with qtbot.waitSignal(painter.rested, timeout=10_000):
        painter.ask(wish(1))
    assert len(made[0].drawn) == 1 + 1 + 3
    painter.stop()
    with qtbot.waitSignal(painter.rested, timeout=10_000):
        painter.ask(wish(2))
    assert len(made) == 1
    painter.close()
    assert made[0].closed


def test_preparing_can_be_left_off_and_what_fails_is_said(qtbot: Any) -> None:
    begun = threading.Event()

    def slow(recipe: AvatarRecipe, tell: Callable[[float], None]) -> FakePortrait:
        while True:
            begun.set()
            tell(0.1)

    painter = PortraitPainter(slow)
    painter.ask(wish(0))
    assert begun.wait(10)
    painter.close()  # returns

    def broken(recipe: AvatarRecipe, tell: Callable[[float], None]) -> FakePortrait:
        raise UserError("the anatomy's files are missing")

    painter = PortraitPainter(broken)
    with qtbot.waitSignal(painter.failed, timeout=10_000) as said:
        painter.ask(wish(0))
    assert "missing" in said.args[0]
    painter.close()


# -- the dialog ----------------------------------------------------------------------------------------------------


@pytest.fixture
def make_dialog(qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path))
    dialogs = []

    def make(forge: Callable[..., object]) -> PersonDialog:
        dialog = PersonDialog(None, forge, FakePortrait)
        dialogs.append(dialog)
        qtbot.addWidget(dialog)
        dialog.begin_drawing()
        return dialog

    yield make
    for dialog in dialogs:
        dialog.give_back()


def test_the_portrait_follows_and_undo_gives_back(make_dialog: Any, qtbot: Any) -> None:
    dialog = make_dialog(lambda *args: None)
    qtbot.waitUntil(lambda: dialog.view.picture is not None, timeout=10_000)
    before = dialog.person.recipe
    row = dialog.controls.rows["skin.melanin"]
    with qtbot.waitSignal(dialog.painter.rested, timeout=10_000):
        row.slider.setValue(row.slider.maximum())
    assert dialog.person.recipe.skin.melanin == 1.0
    dialog.surprise.click()
    assert dialog.undo.isEnabled()
    dialog.undo.click()
    dialog.undo.click()
    assert dialog.person.recipe == before and row.value() == pytest.approx(before.skin.melanin, abs=0.005)
    assert not dialog.undo.isEnabled() and dialog.redo.isEnabled()


def test_nobody_is_of_no_descent(make_dialog: Any) -> None:
    dialog = make_dialog(lambda *args: None)
    for name in ("african", "asian", "caucasian"):
        dialog.controls.rows[f"phenotype.{name}"].slider.setValue(0)
    shape = dialog.person.recipe.phenotype
    assert shape.african + shape.asian + shape.caucasian > 0
    assert dialog.controls.rows["phenotype.caucasian"].value() == pytest.approx(shape.caucasian, abs=0.005)
    assert "mixture" in dialog.words.text()


def test_the_person_becomes_an_avatar(make_dialog: Any, qtbot: Any) -> None:
    asked: list[tuple[AvatarRecipe, str]] = []

    def forge(recipe: AvatarRecipe, name: str, tell: Callable[[float, str], None]) -> None:
        asked.append((recipe, name))
        tell(0.4, "light")

    dialog = make_dialog(forge)
    assert not dialog.create_button.isEnabled()  # it has no name yet
    dialog.name.setText(" Robin ")
    with qtbot.waitSignal(dialog.made, timeout=10_000) as made:
        dialog.create_button.click()
        assert dialog.busy and not dialog.controls.isEnabled()
    assert made.args == ["Robin"] and asked == [(dialog.person.recipe, "Robin")]
    assert "Robin" in dialog.words.text() and not dialog.busy and dialog.controls.isEnabled()


def test_making_can_be_cancelled_and_what_goes_wrong_is_said(make_dialog: Any, qtbot: Any) -> None:
    outcome: list[str] = []

    def endless(recipe: AvatarRecipe, name: str, tell: Callable[[float, str], None]) -> None:
        while name == "Robin":
            tell(0.1, "light")
        raise UserError(f"{name!r} cannot be a name")

    dialog = make_dialog(endless)
    dialog.made.connect(outcome.append)
    dialog.name.setText("Robin")
    dialog.create_button.click()
    dialog.close_button.click()
    qtbot.waitUntil(lambda: not dialog.busy, timeout=10_000)
    assert "Nothing" in dialog.words.text()
    dialog.name.setText("?")
    dialog.create_button.click()
    qtbot.waitUntil(lambda: not dialog.busy, timeout=10_000)
    assert "cannot be a name" in dialog.words.text() and not outcome
