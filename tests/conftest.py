"""Fixtures for every test: fixed seeds, a home of their own, Qt without a display, no thread left running."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["GAUSSIAN_AVATAR_HOME"] = tempfile.mkdtemp(prefix="gaussian-avatar-test-")  # not the user's own

import numpy as np
import pytest

import avatar  # noqa: F401  (sets OpenMP's wait policy before torch loads it)

import torch  # isort: skip

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_thread_left_running() -> Iterator[None]:
    """Fail a test that leaves a thread of its own running, and say where that thread is."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
        if not left:
            return
        left[0].join(0.05)
    frames = sys._current_frames()
    where = ["".join(traceback.format_stack(frames[t.ident])) for t in left if t.ident in frames]
    pytest.fail(f"threads left running: {[t.name for t in left]}\n" + "\n".join(where))
