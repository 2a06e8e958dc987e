"""PortAudio on a thread of its own: opening a device may take seconds, and the library wants one caller at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from app.live.worker import Worker
from avatar.errors import UserError

__all__ = ["Job", "PortAudio", "Resident", "sounddevice"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


def sounddevice() -> ModuleType:
    """The library.

    Raises:
        UserError: one line on why it cannot be had.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise UserError("microphones need the PortAudio library (Debian: apt install libportaudio2)") from error
    return sounddevice


class Resident(Protocol):
    """Whoever keeps a stream open beside the microphone. Called on PortAudio's thread."""

    def suspend(self) -> None:
        """Close the stream."""

    def resume(self) -> None:
        """Open it again; what goes wrong is kept, not raised."""


class Job(Generic[T]):
    """Something that PortAudio's thread has been asked to do."""

    def __init__(self, work: Callable[[], T], then: Callable[[], None]) -> None:
        self._work, self._then = work, then
        self._over = threading.Event()
        self._value: T | None = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is a result."""
        return self._over.is_set()

    def result(self) -> T:
        """What came of it, once it is done; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def run(self) -> None:
        """Do it."""
        try:
            self._value = self._work()
        except Exception as error:  # its asker wants to know
            self._error = error
        self._over.set()
        self._then()


class PortAudio(Worker):
    """The only thread that calls PortAudio, apart from the library's own callbacks.

    Exchange: any thread submits jobs, which are done in their order; nobody waits for them. On stopping, what has been
    submitted is still done, so that devices are given back.
    """

    def __init__(self) -> None:
        super().__init__("portaudio")
        self._jobs: deque[Job[Any]] = deque()
        self._residents: list[Resident] = []

    def submit(self, work: Callable[[], T], then: Callable[[], None] = lambda: None) -> Job[T]:
        """Have something done.

        Args:
            then: called on PortAudio's thread when it is.
        """
        job = Job(work, then)
        self._jobs.append(job)
        self.wake.set()
        return job

    def run(self) -> None:
        while True:
            while self._jobs:
                self._jobs.popleft().run()
            if self.stopping:
                return
            self.wake.wait(1.0)

    def move_in(self, resident: Resident) -> None:
        """Be asked to close and open again when PortAudio starts anew. On PortAudio's thread."""
        self._residents.append(resident)

    def move_out(self, resident: Resident) -> None:
        """The opposite; idempotent."""
        if resident in self._residents:
            self._residents.remove(resident)

    def rescan(self) -> None:
        """Make PortAudio look for devices again, on its thread. Ends every open stream: residents are asked to close
        theirs and open them again afterwards; no microphone may be open."""
        for resident in self._residents:
            resident.suspend()
        try:
            sd = sounddevice()
            sd._terminate()
            sd._initialize()
        except UserError:
            return
        except Exception as error:  # PortAudioError; the class is not importable without PortAudio
            _log.warning("looking for devices again failed: %s", error)
        for resident in self._residents:
            resident.resume()
