"""What all commands share: their registry, and how they write to the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tyro.conf import arg

__all__ = [
    "Messages",
    "Output",
    "batch_progress",
    "complain",
    "console",
    "messages",
    "print_json",
    "progress_bar",
    "registry",
]

registry = tyro.extras.SubcommandApp()
console = Console(soft_wrap=True, highlight=False)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)

Output = Annotated[Path, arg(aliases=["-o"])]
"""An option `--out`, or `-o`."""

Messages = Callable[[str, float], None]
"""Told what is being done, and the share done."""


_LINE_EVERY_S = 60.0
"""How often work that nobody watches on a terminal says in a line how far it is."""


class _Lines:
    """Progress where standard error is no terminal but a log: a line a minute instead of a bar."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began: tuple[float, float] | None = None
        self._said_s = time.monotonic()

    def update(self, done: float, total: float, what: str = "") -> None:
        """Told how much of how much is done (a total of 0 is unknown), and what was done last."""
        now = time.monotonic()
        share = done / total if total else 0.0
        began_s, first = self._began = self._began or (now, share)
        if now - self._said_s < _LINE_EVERY_S:
            return
        self._said_s = now
        far = f"{100 * share:.0f} %" if total else f"{done:.0f}"
        left = (now - began_s) * (1 - share) / (share - first) / 60 if share > first else 0.0
        line = " ".join(filter(None, (self._title, what, far)))
        _errors.print(f"{line}, {left:.0f} min left" if left >= 0.5 else line)


@contextmanager
def _shown(title: str, *columns: ProgressColumn) -> Iterator[Callable[[float, float, str], None]]:
    """A bar of these columns, or lines, for functions that tell (done, total, what was done last)."""
    if not _errors.is_terminal:
        yield _Lines(title).update
        return
    with Progress(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, what: bar.update(task, description=what or title, completed=done, total=total or None)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, float], None]]:
    """A progress bar with the time left, for functions that tell (done, total); a total of 0 is unknown."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with _shown(title, *columns) as tell:
        yield lambda done, total: tell(done, total, "")


@contextmanager
def messages() -> Iterator[Messages]:
    """A progress bar for functions that tell (what they are doing, the share done)."""
    with batch_progress() as tell:
        yield lambda message, share: tell(share, 1.0, message)


@contextmanager
def batch_progress() -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar with the time left, for functions that tell (done, total, what was done last)."""
    with _shown("", BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}")) as tell:
        yield tell


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def complain(message: str, code: int) -> int:
    """One line on standard error; returns the exit code."""
    sys.stderr.write(f"gaussian-avatar: {' '.join(message.split())}\n")
    return code
