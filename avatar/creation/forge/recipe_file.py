"""Recipes as text that a person can read and change: TOML, a section for each part of the head."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import msgspec

from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.sliders import SLIDERS
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = ["load_recipe", "recipe_from_values", "recipe_text", "recipe_values", "save_recipe"]

_MAX_BYTES = 1 << 20
_MOST = 1000.0
"""No number of a recipe is larger, but for the seeds and the strands."""
_STRANDS = 8000
_TARGET = re.compile(r"[a-z]+/[a-z0-9*-]+")


def load_recipe(path: Path | str) -> AvatarRecipe:
    """Read a recipe.

    Raises:
        UserError: if it cannot be read, or says something that no recipe says.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path}: too large for a recipe")
        values = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not a recipe: {error}") from error
    try:
        return recipe_from_values(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def save_recipe(recipe: AvatarRecipe, path: Path | str) -> None:
    """Write a recipe, all or nothing.

    Raises:
        OSError: if it cannot be written.
    """
    write_bytes(Path(path), recipe_text(recipe).encode())


def recipe_values(recipe: AvatarRecipe) -> dict[str, Any]:
    """A recipe as plain values, such as JSON holds."""
    values: dict[str, Any] = msgspec.to_builtins(recipe)
    return values


def recipe_from_values(values: Mapping[str, Any]) -> AvatarRecipe:
    """The inverse of `recipe_values`; what is left out is as in a recipe that says nothing.

    Raises:
        UserError: for an unknown name, a value of another kind, or one out of range.
    """
    _refuse_unknown(values, AvatarRecipe, "")
    try:
        recipe = msgspec.convert(values, AvatarRecipe)
    except msgspec.ValidationError as error:
        raise UserError(_in_words(error)) from error
    _refuse_extreme(recipe, "")
    for slider in SLIDERS:
        slider.check(recipe)
    if not 0 <= recipe.hair.strands <= _STRANDS:
        raise UserError(f"hair.strands must lie in 0..{_STRANDS}, got {recipe.hair.strands}")
    for name in recipe.phenotype.details:
        if not _TARGET.fullmatch(name):
            raise UserError(f"phenotype.details: {name!r} is no target of MakeHuman, such as nose/nose-width1-incr")
    if not 0.0008 <= recipe.detail_m <= 0.004:
        raise UserError(f"detail_m must lie in 0.0008..0.004 (metres), got {recipe.detail_m:g}")
    return recipe


def recipe_text(recipe: AvatarRecipe) -> str:
    """A recipe as TOML, with a note on every slider."""
    head = (
        "# An avatar of Gaussian Avatar. Change what you like, then: gaussian-avatar forge NAME --recipe THIS_FILE\n\n"
    )
    notes = {slider.paths[0]: slider.note(recipe) for slider in SLIDERS}
    return head + "\n".join(_section(recipe_values(recipe), "", notes)) + "\n"


def _section(values: Mapping[str, Any], name: str, notes: Mapping[str, str]) -> list[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = ["", f"[{name}]"] if name and (plain or not values) else []
    for key, value in plain.items():
        note = notes.get(f"{name}.{key}".lstrip("."))
        lines.append(f"{_key(key)} = {_value(value)}" + (f"  # {note}" if note else ""))
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += _section(value, f"{name}.{key}".lstrip("."), notes)
    return lines


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else msgspec.json.encode(key).decode()


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return msgspec.json.encode(value).decode()  # numbers and texts look alike in both


def _refuse_unknown(values: Mapping[str, Any], kind: type, where: str) -> None:
    known = typing.get_type_hints(kind)
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {where}{close[0]}?" if close else f"choose from {', '.join(known)}"
            raise UserError(f"unknown {name!r}: {hint}")
        if is_dataclass(known[key]):
            if not isinstance(value, Mapping):
                raise UserError(f"{name} is a section: write [{name}] above its values")
            _refuse_unknown(value, typing.cast(type, known[key]), f"{name}.")


def _refuse_extreme(part: object, where: str) -> None:
    """Numbers that are none, or far from everything that makes a head."""
    assert is_dataclass(part) and not isinstance(part, type)
    for field in fields(part):
        value, name = getattr(part, field.name), f"{where}{field.name}"
        if is_dataclass(value):
            _refuse_extreme(value, f"{name}.")
            continue
        found = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
        for number in found:
            if isinstance(number, float) and not (math.isfinite(number) and abs(number) <= _MOST):
                raise UserError(f"{name}: expected a sensible number, got {number}")


def _in_words(error: msgspec.ValidationError) -> str:
    """`Expected `float`, got `str` - at `$.skin.melanin`` as `skin.melanin: expected float, got str`."""
    what, _, where = str(error).replace("`", "").partition(" - at $.")
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what
