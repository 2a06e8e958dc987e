"""From a recipe to an avatar in the user's folder, with the recipe beside it as a text; and a recipe in the making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from threadpoolctl import threadpool_limits

from app.backdrop import Studio
from app.history import History
from avatar.camera import PRESETS, Camera
from avatar.creation.forge.build import forge
from avatar.creation.forge.preview import Preview
from avatar.creation.forge.recipe import AvatarRecipe, recipes
from avatar.creation.forge.recipe_file import load_recipe, save_recipe
from avatar.creation.forge.sliders import SECTIONS, Choice, Control, Slider, Swatches, plain_recipe, with_value
from avatar.creation.forge.surprise import surprise
from avatar.formats.native import save_avatar
from avatar.importing import avatar_path
from avatar.render import open_renderer, to_bgra
from avatar.render.composition import put_behind

__all__ = [
    "SECTIONS",
    "AvatarRecipe",
    "Choice",
    "Control",
    "Forged",
    "Person",
    "Portrait",
    "Slider",
    "Swatches",
    "forge_recipe",
    "plain_recipe",
    "recipes",
]

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Forged:
    """What was made."""

    path: Path
    recipe: Path
    gaussians: int


def forge_recipe(recipe: AvatarRecipe, name: str, tell: Tell = lambda share, what: None) -> Forged:
    """Make an avatar and keep it, and its recipe, under a name.

    Args:
        tell: called with the share done and what comes next; what it raises ends the work, and nothing is kept.

    Raises:
        UserError: for a name that cannot be used, or a recipe that asks for something unknown.
    """
    path = avatar_path(name)  # a mistake is noticed before the work is done
    with threadpool_limits(1, user_api="blas"):  # its vectors are too short to be shared out: threads cost more
        avatar = replace(forge(recipe, tell), name=path.stem)
    save_avatar(avatar, path)
    beside = path.with_suffix(".toml")
    save_recipe(recipe, beside)
    return Forged(path, beside, len(avatar.gaussians))


class Person:
    """A recipe in the making. Every change can be taken back; sliding one slider to and fro is one change."""

    def __init__(self, recipe: AvatarRecipe | None = None) -> None:
        self._history = History(recipe or plain_recipe("me"))
        self._touched: Control | None = None

    @property
    def recipe(self) -> AvatarRecipe:
        """As it stands."""
        return self._history.value

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return self._history.can_redo

    def put(self, control: Control, value: float | str) -> None:
        """Set a slider, or choose.

        Raises:
            UserError: if there is nobody like that.
        """
        self._change(with_value(self.recipe, control, value), control)

    def take(self, recipe: AvatarRecipe) -> None:
        """Go on from another recipe."""
        self._change(recipe, None)

    def surprise(self, seed: int) -> None:
        """Become somebody whom nobody has met; the same seed gives the same person."""
        self.take(surprise("me", seed))

    def open(self, path: Path) -> None:
        """Go on from a recipe in a file.

        Raises:
            UserError: if it cannot be read, or is none.
        """
        self.take(load_recipe(path))

    def save(self, path: Path) -> None:
        """Write the recipe.

        Raises:
            OSError: if it cannot be written.
        """
        save_recipe(self.recipe, path)

    def undo(self) -> None:
        """Take the last change back."""
        self._history.undo()
        self._touched = None

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self._history.redo()
        self._touched = None

    def _change(self, recipe: AvatarRecipe, control: Control | None) -> None:
        if recipe != self.recipe:
            self._history.change(recipe, together=control is not None and control is self._touched)
            self._touched = control


class Portrait:
    """Pictures of a recipe, quickly: the face and its skin at once, the rest part by part. For one thread."""

    def __init__(self, recipe: AvatarRecipe, tell: Callable[[float], None] = lambda share: None) -> None:
        """Takes about ten seconds of one core.

        Args:
            tell: called with the share done, 0..1; what it raises ends the work.
        """
        self._preview = Preview(recipe, tell)
        self._renderer = open_renderer("cpu")

    def picture(self, recipe: AvatarRecipe, side: int, turn_deg: float, wall: Studio) -> UInt8[np.ndarray, "h w 4"]:
        """A square BGRA picture of the recipe before a studio's wall, with the parts that have been made so far.

        Args:
            turn_deg: as of a `Framing`'s yaw.
        """
        camera = Camera.framed(replace(PRESETS["portrait"], yaw_deg=turn_deg), side, side)
        picture = to_bgra(self._renderer.render(self._preview.cloud(recipe), camera))
        put_behind(picture, wall.picture(side, side))
        return picture

    def settle(self, recipe: AvatarRecipe) -> bool:
        """Make one part anew that is not as the recipe has it; False if all are."""
        return self._preview.settle(recipe)

    def close(self) -> None:
        """Give the renderer back."""
        self._renderer.close()
