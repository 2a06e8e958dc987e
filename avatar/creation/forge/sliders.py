"""The recipe's sliders: what each is called, where it may stand, and which fields of a recipe it sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, cast

import numpy as np

from avatar.creation.forge.body import GENERIC
from avatar.creation.forge.brows import BEARDS
from avatar.creation.forge.clothing import GARMENTS
from avatar.creation.forge.eyes import IRIS_COLOURS
from avatar.creation.forge.hair_styles import STYLES
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.errors import UserError

__all__ = [
    "CLOTH_COLOURS",
    "HAIR_COLOURS",
    "SECTIONS",
    "SLIDERS",
    "Choice",
    "Control",
    "Slider",
    "Swatches",
    "plain_recipe",
    "with_value",
]

HAIR_COLOURS = {
    "black": (0.016, 0.012, 0.010),
    "dark brown": (0.034, 0.019, 0.011),
    "chestnut": (0.072, 0.033, 0.015),
    "brown": (0.095, 0.055, 0.030),
    "auburn": (0.125, 0.042, 0.016),
    "copper": (0.230, 0.080, 0.024),
    "dark blond": (0.190, 0.120, 0.062),
    "blond": (0.330, 0.225, 0.115),
    "white": (0.300, 0.295, 0.285),
}
"""Linear RGB by name."""

CLOTH_COLOURS = {
    "white": (0.62, 0.61, 0.58),
    "linen": (0.42, 0.40, 0.36),
    "grey": (0.18, 0.18, 0.18),
    "black": (0.018, 0.018, 0.020),
    "navy": (0.020, 0.032, 0.080),
    "pale blue": (0.30, 0.37, 0.46),
    "petrol": (0.045, 0.115, 0.120),
    "olive": (0.085, 0.090, 0.040),
    "mustard": (0.42, 0.20, 0.035),
    "rust": (0.26, 0.070, 0.030),
    "wine": (0.110, 0.018, 0.030),
    "rose": (0.48, 0.26, 0.25),
}
"""Linear RGB by name."""


@dataclass(frozen=True)
class Slider:
    """A number that can be slid.

    Attributes:
        label: what it is called.
        paths: the fields of the recipe that it sets, such as "skin.melanin".
        low, high: its ends.
    """

    label: str
    paths: tuple[str, ...]
    low: float
    high: float

    def note(self, recipe: AvatarRecipe) -> str:
        """What to know when changing it in a file."""
        return f"{self.low:g} to {self.high:g}: {self.label}"

    def value(self, recipe: AvatarRecipe) -> float:
        """Where it stands."""
        return float(cast(float, _field(recipe, self.paths[0])))

    def check(self, recipe: AvatarRecipe) -> None:
        """
        Raises:
            UserError: if a field that it sets lies outside its ends.
        """
        for path in self.paths:
            value = cast(float, _field(recipe, path))
            if not self.low <= value <= self.high:
                raise UserError(f"{path} must lie in {self.low:g}..{self.high:g}, got {value:g}")


@dataclass(frozen=True)
class Choice:
    """One of several names; attributes as of `Slider`."""

    label: str
    paths: tuple[str, ...]
    options: tuple[str, ...]

    def note(self, recipe: AvatarRecipe) -> str:
        """The options."""
        return f"{self.label}: {', '.join(self.options)}"

    def value(self, recipe: AvatarRecipe) -> str:
        """What is chosen."""
        return str(_field(recipe, self.paths[0]))

    def check(self, recipe: AvatarRecipe) -> None:
        """
        Raises:
            UserError: if it is none of the options.
        """
        value = self.value(recipe)
        if value not in self.options:
            raise UserError(f"unknown {self.paths[0]} {value!r}: choose one of {', '.join(self.options)}")


@dataclass(frozen=True)
class Swatches:
    """A colour by name; attributes as of `Slider`. A recipe may hold any other."""

    label: str
    paths: tuple[str, ...]
    options: Mapping[str, tuple[float, float, float]]

    def note(self, recipe: AvatarRecipe) -> str:
        """What kind of numbers they are, and what they look like."""
        return f"linear red, green and blue; nearest to {self.value(recipe)}"

    def value(self, recipe: AvatarRecipe) -> str:
        """The name of the nearest colour."""
        colour = np.array(_field(recipe, self.paths[0]))
        return min(self.options, key=lambda name: float(np.abs(np.log(np.array(self.options[name]) / colour)).sum()))

    def check(self, recipe: AvatarRecipe) -> None:
        """
        Raises:
            UserError: if a part of a colour lies outside 0..1.
        """
        for path in self.paths:
            colour = cast(tuple[float, ...], _field(recipe, path))
            if not all(0.0 < part <= 1.0 for part in colour):
                raise UserError(f"{path}: expected linear red, green and blue above 0 and up to 1, got {colour}")


Control = Slider | Choice | Swatches


def _face(label: str, name: str, low: float, high: float) -> Slider:
    return Slider(label, (f"phenotype.{name}",), low, high)


SECTIONS: dict[str, tuple[Control, ...]] = {
    "Face": (
        _face("Feminine to masculine", "masculinity", 0.0, 1.0),
        _face("Age", "age_years", 25.0, 90.0),
        _face("African features", "african", 0.0, 1.0),
        _face("Asian features", "asian", 0.0, 1.0),
        _face("European features", "caucasian", 0.0, 1.0),
        _face("Weight", "weight", 0.0, 1.0),
        _face("Strength", "muscle", 0.0, 1.0),
        _face("Cheekbones", "form.cheekbone", -0.5, 1.0),
        _face("Narrow jaw", "form.jaw_mm", -2.0, 6.0),
        _face("Chin", "form.chin", -0.5, 1.0),
        _face("Narrow nose", "form.wings_mm", -1.0, 2.0),
        _face("Tip of the nose", "form.tip", -0.5, 1.0),
        _face("Full lips", "form.lips_mm", -1.0, 1.5),
        _face("Brow ridge", "form.brow_ridge", -0.6, 1.0),
        _face("Lines of laughter", "form.nasolabial", 0.0, 1.0),
        _face("Uneven halves", "form.asymmetry", 0.0, 1.5),
    ),
    "Skin": (
        Slider("Dark", ("skin.melanin",), 0.0, 1.0),
        Slider("Red", ("skin.redness",), -0.5, 1.0),
        Slider("Rosy to golden", ("skin.warmth",), -1.0, 1.0),
        Slider("Freckles", ("skin.freckles",), 0.0, 1.0),
        Slider("Lines of age", ("skin.lines",), 0.0, 1.0),
        Slider("Gloss", ("skin.gloss",), 0.0, 1.0),
    ),
    "Eyes": (
        Choice("Colour", ("eyes",), tuple(IRIS_COLOURS)),
        Slider("Wide", ("phenotype.form.eyes.open_mm",), -0.5, 1.5),
        Slider("Slanted", ("phenotype.form.eyes.tilt_mm",), -1.0, 2.5),
        Slider("Fold of the lid", ("phenotype.form.eyes.crease_mm",), 0.0, 4.5),
        Slider("Bags", ("phenotype.form.eyes.bag",), 0.0, 1.0),
    ),
    "Hair": (
        Choice("Style", ("hair.style",), tuple(STYLES)),
        Swatches("Colour", ("hair.colour", "brows.colour", "beard.colour"), HAIR_COLOURS),
        Slider("Grey", ("hair.grey", "beard.grey"), 0.0, 1.0),
        Slider("Length", ("hair.length",), 0.3, 1.4),
        Slider("Volume", ("hair.volume",), 0.2, 1.5),
        Slider("Wave", ("hair.wave",), 0.0, 1.0),
        Slider("Receding", ("hair.recession",), 0.0, 1.0),
    ),
    "Brows and lashes": (
        Slider("Thick", ("brows.thickness",), 0.5, 1.6),
        Slider("Dense", ("brows.density",), 0.3, 1.3),
        Slider("Arched", ("brows.arch",), -1.0, 1.0),
        Slider("Length of the lashes", ("brows.lash_length",), 0.5, 1.4),
    ),
    "Beard": (
        Choice("Style", ("beard.style",), BEARDS),
        Slider("Length", ("beard.length",), 0.5, 1.6),
        Slider("Shaved, showing through", ("skin.stubble",), 0.0, 1.0),
    ),
    "Clothes": (
        Choice("Garment", ("clothing.garment",), GARMENTS),
        Swatches("Colour", ("clothing.colour",), CLOTH_COLOURS),
    ),
}
"""Those that a person turns, by the part of the head; the rest of a recipe is for connoisseurs."""

SLIDERS: tuple[Control, ...] = tuple(chain.from_iterable(SECTIONS.values()))


def plain_recipe(name: str) -> AvatarRecipe:
    """Where the sliders stand at first: somebody with the proportions of the generic head."""
    phenotype = replace(GENERIC, masculinity=0.0, age_years=32.0)
    return AvatarRecipe(name, phenotype=phenotype)


def with_value(recipe: AvatarRecipe, control: Control, value: float | str) -> AvatarRecipe:
    """The recipe with a control put elsewhere."""
    chosen: object = control.options[str(value)] if isinstance(control, Swatches) else value
    for path in control.paths:
        recipe = _replaced(recipe, path, chosen)
    return recipe


def _field(recipe: AvatarRecipe, path: str) -> object:
    found: Any = recipe
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _replaced(part: Any, path: str, value: object) -> Any:
    name, _, rest = path.partition(".")
    return replace(part, **{name: _replaced(getattr(part, name), rest, value) if rest else value})
