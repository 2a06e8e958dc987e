"""Which column of a file is which of ARKit's blendshapes, however its program spells them."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar.errors import UserError
from avatar.flame.arkit import NAMES

__all__ = ["arkit_table", "is_read", "plain"]

_log = logging.getLogger(__name__)
_MOST_NAMED = 8


def plain(name: str) -> str:
    """A column's name without what programs differ in: `blendShape1.EyeBlink_L` is `eyeblinkl`."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^.*\.(?=..)", "", name.lower()))


def _spellings() -> dict[str, int]:
    found = {}
    for index, name in enumerate(NAMES):
        whole = plain(name)
        found[whole] = index
        for side in ("left", "right"):
            if whole.endswith(side):
                base = whole.removesuffix(side)
                found |= dict.fromkeys((base + side[0], side + base, side[0] + base), index)
    return found


_INDEX = _spellings()


def is_read(name: str, others: Sequence[str] = ()) -> bool:
    """Whether a column is a blendshape, or one of `others`."""
    return plain(name) in _INDEX or plain(name) in others


def arkit_table(
    path: Path, names: Sequence[str], table: Float[np.ndarray, "t n"], others: Sequence[str] = ()
) -> Float[np.ndarray, "t 52"]:
    """The columns of a table in the order of `arkit.NAMES`.

    What is missing is 0; what is not known is named in the log.

    Args:
        names: of the columns, as the file spells them.
        others: names of columns that are read elsewhere, as `plain` makes them.

    Raises:
        UserError: if no column is a blendshape, or two are the same one.
    """
    weights = np.zeros((len(table), len(NAMES)))
    taken: dict[int, str] = {}
    unknown = []
    for column, name in enumerate(names):
        index = _INDEX.get(plain(name))
        if index is None:
            if plain(name) not in others:
                unknown.append(name.strip() or f"column {column + 1}")
            continue
        if index in taken:
            raise UserError(f"{path}: the columns {taken[index]!r} and {name!r} are one blendshape, {NAMES[index]}")
        taken[index] = name
        weights[:, index] = table[:, column]
    if not taken:
        raise UserError(f"{path}: none of its columns is an ARKit blendshape (such as {NAMES[0]})")
    if unknown:
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        _log.warning("%s: not known, and left out: %s%s", path, ", ".join(unknown[:_MOST_NAMED]), more)
    return weights
