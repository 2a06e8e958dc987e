"""Where compiled kernels are kept, and whether all that drawing needs are there. Free of numba: asking is quick."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["is_compiled", "kernel_folder", "mark_compiled"]

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent


@cache
def kernel_folder(beside: Path) -> Path | None:
    """A writable folder for kernels compiled from the modules in `beside`, named after their source; None where there
    is none.

    Numba notices changes only in the file of the compiled function, not in what it calls: hence the digest, of the
    renderer's kernels and of the modules beside the function.
    """
    digest = hashlib.sha256()
    for source in (
        _HERE / "compilation.py",
        _HERE / "posing.py",
        _HERE / "expression.py",
        *sorted({*(_HERE / "cpu").glob("*.py"), *beside.glob("*.py")}),
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


def is_compiled() -> bool:
    """Whether an earlier run has compiled all that the CPU renderer needs to draw an avatar, and kept it."""
    folder = kernel_folder(_HERE / "cpu")
    return folder is not None and _mark(folder).exists()


def mark_compiled() -> None:
    """An avatar has been drawn: what that needs is in the cache."""
    folder = kernel_folder(_HERE / "cpu")
    if folder is not None:
        _mark(folder).touch()


def _mark(folder: Path) -> Path:
    return folder / f"complete-numba-{version('numba')}"
