"""Waits that end when they should: Windows counts them in steps of 15.6 ms unless it is asked not to."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["FineTimers"]

_STEP_MS = 1


class FineTimers:
    """While it holds, a wait of 5 ms takes about 5 ms, and images come evenly; on other systems they do anyway."""

    def __init__(self) -> None:
        self._held = False

    def hold(self) -> None:
        """Idempotent. Windows keeps it to this process."""
        if not self._held and (library := _winmm()) is not None:
            self._held = library.timeBeginPeriod(_STEP_MS) == 0

    def release(self) -> None:
        """Idempotent."""
        if self._held and (library := _winmm()) is not None:
            library.timeEndPeriod(_STEP_MS)
        self._held = False


def _winmm() -> Any:
    """Windows' multimedia library; None elsewhere."""
    if sys.platform != "win32":
        return None
    import ctypes

    return ctypes.windll.winmm
