"""Pickles of data sets, read without executing anything: only numpy arrays in plain containers are let through."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import UserError
from avatar.formats.pickles import AllowListing

__all__ = ["load_pickle"]

_MAX_BYTES = 16 << 30


def _encode(text: str, encoding: str) -> bytes:
    """What Python 2 pickles call for their bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"an encoding {encoding!r} in it")
    return text.encode("latin-1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _encode,
}


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
            return AllowListing(file, path, _ALLOWED).load()
    except UserError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        raise UserError(f"{path}: not a readable data pickle ({error})") from error
