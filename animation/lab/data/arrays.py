"""Arrays from files of data sets, read without executing anything; damaged files end in one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import UserError
from avatar.formats.untrusted import read_npz

__all__ = ["load_array", "load_arrays", "number"]


def load_array(path: Path, mmap: bool = False) -> np.ndarray:
    """The array of an npy file.

    Args:
        path: the file.
        mmap: leave it on the disk, for arrays larger than the memory.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for a damaged header
        raise UserError(f"{path}: not a readable array ({_line(error)})") from error
    if array.dtype.kind not in "iuf":
        raise UserError(f"{path}: expected numbers, got {array.dtype}")
    return array


def load_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of numbers of an npz file.

    Raises:
        UserError: if the file is missing, damaged, or lacks one of the arrays.
    """
    arrays = read_npz(path)
    if missing := [name for name in names if name not in arrays]:
        raise UserError(f"{path}: lacks {', '.join(missing)}")
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise UserError(f"{path}: {name} is not an array of numbers")
    return arrays


def number(path: Path, name: str, value: Any, least: float) -> float:
    """A single finite number of at least `least`.

    Raises:
        UserError: if it is something else.
    """
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all() or array.item() < least:
        raise UserError(f"{path}: {name} is not a number of {least:g} or more")
    return float(array.item())


def _line(error: Exception) -> str:
    """What an exception says, in one short line."""
    return " ".join(str(error).split())[:160] or type(error).__name__
