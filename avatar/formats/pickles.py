"""Pickles from strangers: only names on a list mean anything, and nothing is ever imported."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from avatar.errors import UserError

__all__ = ["AllowListing"]

_OLD_NAMES = {"copy_reg": "copyreg", "__builtin__": "builtins"}


class AllowListing(pickle.Unpickler):
    """Reads a pickle of Python 2 or 3 in which every global stands for what a table says.

    Names of numpy 1 and 2, of Python 2 and 3 are the same here.
    """

    def __init__(
        self,
        file: BinaryIO,
        path: Path | str,
        allowed: Mapping[tuple[str, str], Callable[..., Any]],
        packages: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        """
        Args:
            path: named in messages.
            allowed: what stands for (module, name).
            packages: what stands for any name of a package.
        """
        super().__init__(file, encoding="latin1")
        self._path, self._allowed, self._packages = path, allowed, packages or {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global.

        Raises:
            UserError: if it is not on the list.
        """
        package = module.split(".")[0]
        if package in self._packages:
            return self._packages[package]
        known = _OLD_NAMES.get(module, module).replace("numpy._core", "numpy.core").replace("sparse._cs", "sparse.cs")
        if (known, name) not in self._allowed:
            text = f"{module}.{name}".encode("ascii", "replace").decode()[:80]
            raise UserError(f"{self._path}: names {text}, which data has no need of; nothing was run")
        return self._allowed[known, name]
