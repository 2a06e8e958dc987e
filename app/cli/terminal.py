"""What all commands share: their registry, and how they write to the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
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


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, float], None]]:
    """A progress bar with the time left, for functions that tell (done, total); a total of 0 is unknown."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


@contextmanager
def messages() -> Iterator[Messages]:
    """A progress bar for functions that tell (what they are doing, the share done)."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda message, share: bar.update(task, description=message, completed=share)


@contextmanager
def batch_progress() -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar with the time left, for functions that tell (done, total, what was done last)."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, last: bar.update(task, description=last, completed=done, total=total or None)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def complain(message: str, code: int) -> int:
    """One line on standard error; returns the exit code."""
    sys.stderr.write(f"gaussian-avatar: {' '.join(message.split())}\n")
    return code
