"""Waiting for what another thread does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> None:
    waiter = threading.Event()
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        waiter.wait(0.02)
