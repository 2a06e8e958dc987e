"""Recipes as text, and the sliders that set them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from avatar.creation.forge.recipe import recipes
from avatar.creation.forge.recipe_file import load_recipe, recipe_from_values, recipe_text, recipe_values, save_recipe
from avatar.creation.forge.sliders import SLIDERS, Slider, plain_recipe, with_value
from avatar.creation.forge.surprise import surprise
from avatar.errors import UserError


@pytest.mark.parametrize(
    "recipe", [*recipes().values(), plain_recipe("plain"), surprise("anna", 4)], ids=lambda r: r.name
)
def test_a_recipe_comes_back_from_its_text_as_it_was(recipe, tmp_path: Path) -> None:
    save_recipe(recipe, tmp_path / "me.toml")
    assert load_recipe(tmp_path / "me.toml") == recipe
    assert recipe_from_values(recipe_values(recipe)) == recipe


def test_what_is_left_out_is_as_in_a_recipe_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "me.toml").write_text('name = "me"\neyes = "blue"\n[hair]\ncolour = [0.1, 0.05, 0.02]\nlength = 1\n')
    recipe = load_recipe(tmp_path / "me.toml")
    assert recipe.eyes == "blue" and recipe.hair.colour == (0.1, 0.05, 0.02) and recipe.hair.length == 1.0
    assert recipe.skin == plain_recipe("x").skin


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = me", r"line 1"),
        ("eyes = 'blue'", "name"),
        ("name = 'me'\neye = 'blue'", "did you mean eyes"),
        ("name = 'me'\n[skin]\nmelanine = 0.5", r"did you mean skin\.melanin"),
        ("name = 'me'\n[skin]\nmelanin = 'dark'", r"skin\.melanin: expected float, got str"),
        ("name = 'me'\n[skin]\nmelanin = 1.5", r"skin\.melanin must lie in 0\.\.1, got 1\.5"),
        ("name = 'me'\n[skin]\nmelanin = nan", r"skin\.melanin"),
        ("name = 'me'\nskin = 0.5", r"write \[skin\]"),
        ("name = 'me'\n[hair]\nstyle = 'mohawk'", "choose one of long"),
        ("name = 'me'\n[hair]\nstrands = 100000000", "strands"),
        ("name = 'me'\n[hair]\ncolour = [0.1, 0.2]", r"hair\.colour"),
        ("name = 'me'\n[phenotype]\nafrican = 0\nasian = 0\ncaucasian = 0", "mixture"),
        ("name = 'me'\n[phenotype.details]\n'../../x' = 1.0", "no target"),
        ("name = 'me'\n[phenotype.details]\n'nose/nose-width1-incr' = inf", "sensible number"),
        ("detail_m = 0.0000001\nname = 'me'", "detail_m"),
    ],
)
def test_a_bad_line_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as refused:
        load_recipe(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match="not a text"):
        load_recipe(tmp_path / "picture.toml")


@pytest.mark.parametrize("control", SLIDERS, ids=lambda c: c.paths[0])
def test_every_control_sets_what_it_shows_and_nothing_else(control) -> None:
    recipe = plain_recipe("plain")
    values = [control.low, control.high] if isinstance(control, Slider) else list(control.options)
    for value in values:
        moved = with_value(recipe, control, value)
        control.check(moved)
        assert control.value(moved) == value
        touched = {c.paths[0] for c in SLIDERS if c.value(moved) != c.value(recipe)}
        assert touched <= {control.paths[0]}


def test_surprises_are_recipes_that_differ_and_repeat() -> None:
    people = [surprise("anna", seed) for seed in range(12)]
    for person in people:
        assert recipe_from_values(recipe_values(person)) == person
    assert len({recipe_text(replace(p, seed=1)) for p in people}) == 12
    assert surprise("anna", 3) == people[3]
    assert {p.phenotype.masculinity for p in people} == {0.0, 1.0}
