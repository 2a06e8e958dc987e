"""ARKit weights as plain arrays: `names` (52), `weights` (T, 52), `times_s`, `neck_pose`, `transl`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from app.output.curves.columns import arkit_table
from app.output.curves.track import Curves, checked
from avatar.errors import UserError
from avatar.flame.arkit import NAMES
from avatar.formats.untrusted import read_npz, refusing

__all__ = ["from_arrays", "read", "write"]


def write(curves: Curves, path: Path) -> None:
    """Write the curves without loss."""
    with path.open("wb") as file:  # by its name alone numpy would add a suffix
        np.savez(
            file,
            names=np.array(NAMES),
            weights=curves.weights,
            times_s=curves.times_s,
            neck_pose=curves.neck,
            transl=curves.transl,
        )


def read(path: Path) -> Curves:
    """Read what `write` wrote, or any npz with `weights` and their `names`.

    Raises:
        UserError: if it is not such a file.
    """
    return from_arrays(path, read_npz(path))


def from_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Curves:
    """The curves of an npz that has been read.

    Raises:
        UserError: if its arrays do not fit together.
    """
    with refusing(path, "an npz of ARKit weights"):
        names, weights = _texts(arrays["names"].reshape(-1)), arrays["weights"]
        if weights.ndim != 2 or weights.shape[1] != len(names) or weights.dtype.kind not in "iuf":
            raise UserError(f"{path}: 'weights' of shape {weights.shape} do not fit {len(names)} 'names'")
        table = arkit_table(path, names, weights)
        rate = float(arrays["rate_hz"].reshape(-1)[0]) if "rate_hz" in arrays else 50.0
        if not rate > 0:
            raise UserError(f"{path}: 'rate_hz' is {rate:g}")
        times = arrays["times_s"] if "times_s" in arrays else np.arange(len(table)) / rate
        if times.shape != (len(table),) or times.dtype.kind not in "iuf":
            raise UserError(f"{path}: 'times_s' of shape {times.shape} for {len(table)} poses")
        for key in ("neck_pose", "transl"):
            if key in arrays and (arrays[key].shape != (len(table), 3) or arrays[key].dtype.kind not in "iuf"):
                raise UserError(f"{path}: {key!r} has shape {arrays[key].shape}, expected ({len(table)}, 3)")
        return checked(path, times, table, arrays.get("neck_pose"), arrays.get("transl"))


def _texts(array: np.ndarray) -> list[str]:
    """The strings of an array; a damaged one may hold what is no character, on which Python itself stumbles."""
    if array.dtype.kind == "U" and (array.view(np.uint32) > sys.maxunicode).any():
        raise ValueError("names that are no text")
    return [str(text) for text in array]
