"""How the numba kernels are compiled, cached and run: one place for numba's settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

from avatar.render.kernel_cache import kernel_folder

__all__ = ["KERNELS", "compiled_share", "inline", "kernel", "parallel_kernel", "reducing_kernel"]

KERNELS = threading.RLock()
"""Held while parallel kernels run: where numba has only its `workqueue` threads, two callers abort the process."""

# Through TBB, which numba prefers where it is installed, each parallel region leaks 7 KB (numba 0.68): gigabytes a day.
if not os.environ.keys() & {"NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"}:
    numba_config.THREADING_LAYER_PRIORITY = ["omp", "workqueue", "tbb"]  # type: ignore[attr-defined]

# No `nnan`/`ninf`: comparisons must stay false for NaN, which is how broken Gaussians are left out. No `reassoc`: numba
# puts these flags on hand-written instructions too, and exp2's rounding by a magic number would be optimised away.
_FASTMATH = {"contract", "nsz", "arcp"}


_REGISTERED: list[Any] = []
"""All kernels that are kept, compiled or not yet."""


def _compile(function: Callable[..., Any], fastmath: set[str] = _FASTMATH, **options: Any) -> Any:
    options |= {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": fastmath}
    cache_dir = kernel_folder(Path(function.__code__.co_filename).parent)
    if cache_dir is None:
        return numba.njit(function, **options)
    previous = numba_config.CACHE_DIR  # type: ignore[attr-defined]
    numba_config.CACHE_DIR = str(cache_dir)  # type: ignore[attr-defined]
    try:
        made = numba.njit(function, cache=True, **options)
        _REGISTERED.append(made)
        return made
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


def compiled_share() -> float:
    """How many of the kernels that have been imported are compiled, of 1."""
    return sum(bool(made.signatures) for made in _REGISTERED) / max(len(_REGISTERED), 1)
