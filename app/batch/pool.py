"""Tasks on the cores of this machine: processes of their own, replaced when they die."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

__all__ = ["run_here"]

T = TypeVar("T")
R = TypeVar("R")


def run_here(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[tuple[T, R | Exception]]:
    """Run a function on every task; give each task with its result, or with what it raised, as they are done.

    Args:
        function: of a module, so that another process can import it.
        jobs: processes; 1 works in this one.

    A process that dies takes its tasks with it; whose fault it was cannot be told, so those that ran are run again one
    by one, and one that dies alone is given with a RuntimeError.
    """
    if jobs == 1:
        for task in tasks:
            yield task, _result(function, task)
        return
    waiting = list(range(len(tasks)))
    while waiting:
        broken: set[int] = set()
        with _pool(jobs) as pool:
            futures = {pool.submit(function, tasks[i]): i for i in waiting}
            for future in as_completed(futures):
                i, error = futures[future], future.exception()
                if isinstance(error, BrokenProcessPool):
                    broken.add(i)
                    continue
                waiting.remove(i)
                yield tasks[i], error if isinstance(error, Exception) else future.result()
        if broken:
            for i in [i for i in waiting if i in broken][: 2 * jobs]:
                waiting.remove(i)
                yield tasks[i], _alone(function, tasks[i])


def _result(function: Callable[[T], R], task: T) -> R | Exception:
    try:
        return function(task)
    except Exception as error:
        return error


def _alone(function: Callable[[T], R], task: T) -> R | Exception:
    with _pool(1) as pool:
        try:
            return pool.submit(function, task).result()
        except BrokenProcessPool:
            return RuntimeError("the process that worked on it died, twice")
        except Exception as error:
            return error


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that share the cores between them; Ctrl-C ends what runs and forgets what waits.

    They are started as `python -c`, which would import what lies in the current folder, such as a `pickle.py`.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    shared = {"NUMBA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"}
    with _environment(shared):
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        pool.shutdown(wait=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that child processes inherit, where the user has not set them."""
    mine = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            del os.environ[name]
