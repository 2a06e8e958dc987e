"""Combed heads of hair, by the name of the style."""

from __future__ import annotations

import numpy as np

from avatar.creation.forge.groom.bundle import Bundle
from avatar.creation.forge.groom.curly import curly
from avatar.creation.forge.groom.scalp import Scalp
from avatar.creation.forge.groom.short import short
from avatar.creation.forge.groom.tied import tied
from avatar.creation.forge.hair_recipe import HairRecipe
from avatar.errors import UserError

__all__ = ["GROOMS", "comb"]

GROOMS = {"tied": tied, "curly": curly, "short": short}


def comb(scalp: Scalp, recipe: HairRecipe, seed: int) -> list[Bundle]:
    """A head of hair, strand by strand.

    Raises:
        UserError: for a style that is grown only in the quick way.
    """
    if recipe.style == "none":
        return []
    if recipe.style not in GROOMS:
        known = ", ".join(sorted(GROOMS))
        raise UserError(f"hair style {recipe.style!r} is not groomed by the strand: choose one of none, {known}")
    return GROOMS[recipe.style](scalp, recipe, np.random.default_rng(seed), seed)
