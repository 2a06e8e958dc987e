"""Which threads a test has left running, daemons included, and the line that started each."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Collection

__all__ = ["left_running", "remember_starts"]

_start = threading.Thread.start


def remember_starts() -> None:
    """Let every thread know from now on where it was started."""
    threading.Thread.start = _start_and_remember  # type: ignore[method-assign]


def _start_and_remember(self: threading.Thread) -> None:
    self.started_at = traceback.extract_stack()[:-1]  # type: ignore[attr-defined]
    _start(self)


def left_running(before: Collection[threading.Thread], patience_s: float = 2.0) -> list[str]:
    """A paragraph for each thread that is not among `before` and does not end within the time.

    Threads that Python did not start, such as those of a sound system that call back into it, are not its to end.
    """
    end = time.monotonic() + patience_s
    while True:
        left = [
            thread
            for thread in threading.enumerate()
            if thread not in before and thread.is_alive() and not isinstance(thread, threading._DummyThread)
        ]
        if not left or time.monotonic() > end:
            return [_described(thread) for thread in left]
        left[0].join(0.05)


def _described(thread: threading.Thread) -> str:
    stack = [f for f in getattr(thread, "started_at", []) if f.filename != threading.__file__]
    where = stack[-1] if stack else None
    if where is None:
        return f"{thread.name}: started before starts were remembered"
    line = f"{thread.name}: started at {where.filename}:{where.lineno}: {where.line}"
    return "\n".join([line, "".join(traceback.format_list(stack[-8:])).rstrip()])
