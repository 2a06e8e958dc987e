"""Ctrl-C at a moment that suits: long work looks whether it is asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["StoppedError", "interrupts"]


class StoppedError(Exception):
    """Raised by whoever is told of progress, to end work that is no longer wanted: all who do the work pass it on."""


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking into a step; a second one breaks in.

    Only the main thread can see to signals; elsewhere nothing changes. A process that was told to ignore Ctrl-C, as a
    shell tells its background jobs, goes on ignoring it.
    """
    event = threading.Event()
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is signal.SIG_IGN or usual is None:
        yield event
        return

    def note(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, usual)
