"""Notes on what has been made, one for each output: the reason why nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avatar.formats.atomic import write_bytes

if TYPE_CHECKING:
    from app.batch.task import Task

__all__ = ["Receipt"]

_FORMAT = 1
_CHUNK = 1 << 20


class Receipt:
    """Says what an output was made of. Whoever makes the output writes it, after the output has taken its place: a
    worker that dies in between costs one output, and two that make the same write the same."""

    def __init__(self, task: Task) -> None:
        self._task = task
        name = hashlib.sha256(str(task.out).encode()).hexdigest()[:24]
        self.path = task.receipts / f"{name}.json"

    def is_valid(self) -> bool:
        """Whether the output is there, and would come out the same."""
        try:
            noted = json.loads(self.path.read_bytes())
            stat = self._task.out.stat()
            if noted["recipe"] != recipe(self._task) or (stat.st_size, stat.st_mtime_ns) != tuple(noted["output"]):
                return False
            known: dict[str, list[Any]] = noted["inputs"]
            return set(known) == {str(path) for path in self._task.inputs} and all(
                _same(Path(path), *facts) for path, facts in known.items()
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def write(self) -> None:
        """Note that the output has been made."""
        stat = self._task.out.stat()
        content = {
            "out": str(self._task.out),
            "output": [stat.st_size, stat.st_mtime_ns],
            "recipe": recipe(self._task),
            "inputs": {str(path): _facts(path) for path in self._task.inputs},
        }
        write_bytes(self.path, json.dumps(content, indent=1).encode())


def recipe(task: Task) -> str:
    """A digest of everything that is asked for, and of the program's version; not of what lies in files."""
    asked = {f.name: _plain(getattr(task, f.name)) for f in fields(task) if f.compare and f.name != "where"}
    text = json.dumps([_FORMAT, version("gaussian-avatar"), asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(path: Path) -> list[Any]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, _digest(path, stat.st_size, stat.st_mtime_ns)]


def _same(path: Path, size: int, mtime_ns: int, digest: str) -> bool:
    """Whether a file holds what it held: told by its size and time, and where only the time differs by its content."""
    stat = path.stat()
    if stat.st_size != size:
        return False
    return stat.st_mtime_ns == mtime_ns or _digest(path, stat.st_size, stat.st_mtime_ns) == digest


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A value as JSON, the same in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
