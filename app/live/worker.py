"""Threads that are started, watched and stopped in one way."""

from __future__ import annotations

import logging
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from app.live.exchange import Wake
from avatar.errors import UserError

__all__ = ["Failure", "Worker"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """What ended a worker, or what it could not do."""

    worker: str
    message: str
    """One line."""
    details: str
    """The traceback; empty for expected errors."""

    @classmethod
    def of(cls, worker: str, error: BaseException) -> Failure:
        """From an exception."""
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UserError):
            return cls(worker, text, "")
        return cls(worker, f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error)))


class Worker(ABC):
    """A thread with a loop. What it raises is kept and reported; it never takes the process along.

    Subclasses write `run`, which returns when `stopping` is true, waits only on `wake`, and gives back in `run`'s own
    `finally` what it opened.
    """

    def __init__(self, name: str, on_failure: Callable[[Failure], None] | None = None) -> None:
        self.name = name
        self.failure: Failure | None = None
        self.wake = Wake()
        self._on_failure = on_failure
        self._stopping = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether `run` should return."""
        return self._stopping

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to end; returns at once."""
        self._stopping = True
        self.wake.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask the thread to end and wait for it; False, and a line in the log, if it did not within the time."""
        self.request_stop()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("worker %s did not end within %.1f s", self.name, timeout_s)
            return False
        return True

    @abstractmethod
    def run(self) -> None:
        """The loop."""

    def _main(self) -> None:
        try:
            self.run()
        except Exception as error:
            self.failure = Failure.of(self.name, error)
            _log.error("worker %s died: %s\n%s", self.name, self.failure.message, self.failure.details)
            if self._on_failure is not None:
                self._on_failure(self.failure)
