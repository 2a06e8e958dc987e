"""Whether the last run ended cleanly: a file that a clean end takes away, held locked while its program lives."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import IO

__all__ = ["CrashMarker"]

_log = logging.getLogger(__name__)
_PREFIX = "running-"


class CrashMarker:
    """One for each window that is open.

    The system lets go of a lock when its process ends, however it does. So a marker that can be locked belongs to a
    run that crashed, and one that cannot to another window; process numbers, which are used again, are not asked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{_PREFIX}{os.getpid()}"
        self._file: IO[bytes] | None = None

    def set(self) -> bool:
        """Mark this run; whether an earlier one has left its mark. A folder that cannot be written is done without."""
        crashed = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for other in self._folder.glob(f"{_PREFIX}*"):
                crashed |= _abandoned(other)
            self._file = self._path.open("wb")
            _lock(self._file)
        except OSError as error:
            _log.info("this run is not marked: %s", error)
        return crashed

    def clear(self) -> None:
        """A clean end; idempotent."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._path.unlink(missing_ok=True)


def _abandoned(marker: Path) -> bool:
    """Whether nobody holds a marker any more; it is taken away then."""
    with marker.open("rb+") as file:
        try:
            _lock(file)
        except OSError:
            return False
    marker.unlink(missing_ok=True)
    return True


def _lock(file: IO[bytes]) -> None:
    """
    Raises:
        OSError: if another process holds it.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
