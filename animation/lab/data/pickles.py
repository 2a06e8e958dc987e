"""Pickles of data sets, read without executing anything: only numpy arrays in plain containers are let through."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import UserError

__all__ = ["load_pickle"]

_MAX_BYTES = 16 << 30
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


def _numpy_reconstruction() -> dict[tuple[str, str], Any]:
    """numpy's own rebuilding functions, under the names of numpy 1 and 2."""
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    return {
        (module, name): function
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, function in (("_reconstruct", reconstruct), ("scalar", scalar))
    }


def _encode(text: str, encoding: str) -> bytes:
    """What Python 2 pickles call for their bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"an encoding {encoding!r} in it")
    return text.encode("latin-1")


_ALLOWED |= _numpy_reconstruction() | {("_codecs", "encode"): _encode}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} in it, which data has no need of") from None


def load_pickle(path: Path | str) -> Any:
    """Arrays, numbers, texts and containers of them from a pickle of Python 2 or 3.

    Raises:
        UserError: if the file is missing, damaged, or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: larger than {_MAX_BYTES >> 30} GiB")
    try:
        with path.open("rb") as file:
            return _Unpickler(io.BufferedReader(file), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        raise UserError(f"{path}: not a readable data pickle ({error})") from error
