"""From a recipe to an avatar in the user's folder, with the recipe beside it as a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from avatar.creation.forge.build import forge
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.recipe_file import save_recipe
from avatar.formats.atomic import replacing
from avatar.formats.native import save_avatar
from avatar.importing import avatar_path

__all__ = ["Forged", "forge_recipe"]

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Forged:
    """What was made."""

    path: Path
    recipe: Path
    gaussians: int


def forge_recipe(recipe: AvatarRecipe, name: str, tell: Tell = lambda share, what: None) -> Forged:
    """Make an avatar and keep it, and its recipe, under a name.

    Raises:
        UserError: for a name that cannot be used, or a recipe that asks for something unknown.
    """
    path = avatar_path(name)  # a mistake is noticed before the work is done
    avatar = replace(forge(recipe, tell), name=path.stem)
    with replacing(path) as fresh:
        save_avatar(avatar, fresh)
    beside = path.with_suffix(".toml")
    save_recipe(recipe, beside)
    return Forged(path, beside, len(avatar.gaussians))
