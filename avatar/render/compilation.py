"""How the numba kernels are compiled, cached and run: one place for numba's settings."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config
from platformdirs import user_cache_path

__all__ = ["KERNELS", "inline", "kernel", "parallel_kernel", "reducing_kernel"]

_log = logging.getLogger(__name__)

KERNELS = threading.RLock()
"""Held while parallel kernels run: where numba has only its `workqueue` threads, two callers abort the process."""

# Through TBB, which numba prefers where it is installed, each parallel region leaks 7 KB (numba 0.68): gigabytes a day.
if not os.environ.keys() & {"NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"}:
    numba_config.THREADING_LAYER_PRIORITY = ["omp", "workqueue", "tbb"]  # type: ignore[attr-defined]

# No `nnan`/`ninf`: comparisons must stay false for NaN, which is how broken Gaussians are left out. No `reassoc`: numba
# puts these flags on hand-written instructions too, and exp2's rounding by a magic number would be optimised away.
_FASTMATH = {"contract", "nsz", "arcp"}


@cache
def _cache_dir(folder: Path) -> Path | None:
    """A writable folder for compiled kernels, named after their source; None where there is none.

    Numba notices changes only in the file of the compiled function, not in what it calls: hence the digest, of the
    renderer's kernels and of the modules beside the function.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in (
        Path(__file__),
        here / "posing.py",
        here / "expression.py",
        *sorted({*(here / "cpu").glob("*.py"), *folder.glob("*.py")}),
    ):
        digest.update(source.read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or user_cache_path("gaussian-avatar", appauthor=False) / "kernels"
    kept = Path(root) / digest.hexdigest()[:16]
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=kept):
            return kept
    except OSError as error:
        _log.warning("compiled code cannot be kept in %s (%s): each start compiles anew", kept, error)
        return None


def _compile(function: Callable[..., Any], fastmath: set[str] = _FASTMATH, **options: Any) -> Any:
    options |= {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": fastmath}
    cache_dir = _cache_dir(Path(function.__code__.co_filename).parent)
    if cache_dir is None:
        return numba.njit(function, **options)
    previous = numba_config.CACHE_DIR  # type: ignore[attr-defined]
    numba_config.CACHE_DIR = str(cache_dir)  # type: ignore[attr-defined]
    try:
        return numba.njit(function, cache=True, **options)
    finally:
        numba_config.CACHE_DIR = previous  # type: ignore[attr-defined]


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that runs on one thread."""
    return _compile(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with `prange` loops. Call it with `KERNELS` held."""
    return _compile(function, parallel=True)


def reducing_kernel(function: Callable[..., Any]) -> Any:
    """A `parallel_kernel` whose sums may be added in another order than written, so that they become vector code."""
    return _compile(function, _FASTMATH | {"reassoc"}, parallel=True)


def inline(function: Callable[..., Any]) -> Any:
    """Compile a helper into its callers."""
    return numba.njit(function, inline="always", error_model="numpy", boundscheck=False, fastmath=_FASTMATH)
