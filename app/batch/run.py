"""A batch from its tables to its summary."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.batch.cluster import run_there
from app.batch.plan import Settings, plan
from app.batch.pool import run_here
from app.batch.receipt import Receipt
from app.batch.table import read_lines
from app.batch.task import Made, Task, make, remove_leftovers
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = ["BatchOptions", "BatchSummary", "run_batch"]

Progress = Callable[[float, float, str], None]
"""Told the seconds of speech done, those in all, and what was done last."""


@dataclass(frozen=True)
class BatchOptions:
    """Where a batch runs, and what it does with lines that fail."""

    jobs: int = 0
    """Processes on this machine; 0 is one for each core, or a single one where a GPU draws."""
    scheduler: str | None = None
    """Address of a Dask scheduler, in place of this machine."""
    retries: int = 1
    """How often a line that failed is tried again."""
    skip_bad: bool = False
    """Make the other lines even if some cannot be used as they stand."""


@dataclass(frozen=True)
class BatchSummary:
    """What became of every output."""

    made: tuple[Made, ...]
    problems: tuple[str, ...]
    """Lines that could not be used, one line each."""
    seconds: float

    def count(self, status: str) -> int:
        """Outputs that ended as `made`, `unchanged` or `failed`."""
        return sum(m.status == status for m in self.made)

    @property
    def exit_code(self) -> int:
        """0 if everything is there; 1 if something is missing; 2 if nothing was begun."""
        if self.problems and not self.made:
            return 2
        return 1 if self.problems or self.count("failed") else 0

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "seconds": round(self.seconds, 2),
            "made": self.count("made"),
            "unchanged": self.count("unchanged"),
            "failed": self.count("failed"),
            "speech_seconds": round(sum(m.duration_s for m in self.made if m.status == "made"), 2),
            "problems": list(self.problems),
            "outputs": [
                {"line": m.where, "path": str(m.out), "status": m.status, "seconds": round(m.seconds, 3)}
                | ({"message": m.message} if m.message else {})
                for m in self.made
            ],
        }


def run_batch(
    sources: Sequence[str],
    settings: Settings,
    options: BatchOptions | None = None,
    progress: Progress = lambda done, total, last: None,
) -> BatchSummary:
    """Make everything that tables, folders and files ask for and that is not there yet. If there are lines that cannot
    be used, nothing is begun unless `skip_bad`.

    `summary.json` in the folder of outputs says what became of each; the same is returned.

    Raises:
        UserError: for sources that cannot be read.
        KeyboardInterrupt: on Ctrl-C; what was made stays, and the next run goes on from there.
    """
    options = options or BatchOptions()
    begun_s = time.perf_counter()
    made = plan(read_lines(sources), settings)
    if made.problems and not options.skip_bad:
        return BatchSummary((), tuple(made.problems), 0.0)
    settings.out.mkdir(parents=True, exist_ok=True)
    done: dict[Path, Made] = {}
    total_s = sum(task.duration_s for task in made.tasks)
    heard_s = 0.0
    todo = []
    for task in made.tasks:
        if Receipt(task).is_valid():
            done[task.out] = Made(task.where, task.out, "unchanged", 0.0, task.duration_s)
            heard_s += task.duration_s
        else:
            todo.append(task)
    progress(heard_s, total_s, f"{len(done)} are there already" if done else "")
    try:
        for task, result in _with_retries(todo, options):
            done[task.out] = result
            remove_leftovers(task)
            heard_s += task.duration_s
            progress(heard_s, total_s, task.out.name)
    finally:
        outputs = tuple(done[task.out] for task in made.tasks if task.out in done)
        summary = BatchSummary(outputs, tuple(made.problems), time.perf_counter() - begun_s)
        write_bytes(settings.out / "summary.json", json.dumps(summary.as_json(), indent=1).encode())
    return summary


def _with_retries(tasks: Sequence[Task], options: BatchOptions) -> Iterator[tuple[Task, Made]]:
    """Every task with how it ended."""
    waiting = list(tasks)
    for attempt in range(options.retries + 1):
        failed = []
        for task, result in _run(waiting, options):
            if isinstance(result, Made):
                yield task, result
            elif attempt < options.retries:
                failed.append(task)
            else:
                message = " ".join(str(result).split()) or type(result).__name__
                if not isinstance(result, UserError):
                    message = f"{type(result).__name__}: {message}"
                yield task, Made(task.where, task.out, "failed", 0.0, task.duration_s, message)
        waiting = failed


def _run(tasks: Sequence[Task], options: BatchOptions) -> Iterator[tuple[Task, Made | Exception]]:
    if not tasks:
        return iter(())
    if options.scheduler is not None:
        return run_there(make, tasks, options.scheduler)
    return run_here(make, tasks, min(options.jobs or _jobs(tasks), len(tasks)))


def _jobs(tasks: Sequence[Task]) -> int:
    """One process a core where the CPU draws; a GPU draws for one process best."""
    import torch

    backends = {task.options.backend for task in tasks}
    gpu = torch.cuda.is_available() or "opengl" in backends
    return 1 if gpu and backends != {"cpu"} else os.cpu_count() or 1
