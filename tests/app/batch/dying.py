"""A task for other processes, which import this and no more."""

from __future__ import annotations

import os
import signal
import time


def die_or_double(number: int) -> int:
    """7 kills its own process."""
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return 2 * number
