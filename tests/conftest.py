"""Fixtures for every test: fixed seeds, a home of their own, Qt without a display, no thread left running."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
from collections.abc import Iterator

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["GAUSSIAN_AVATAR_HOME"] = tempfile.mkdtemp(prefix="gaussian-avatar-test-")  # not the user's own

import numpy as np
import pytest

import avatar  # noqa: F401  (sets OpenMP's wait policy before torch loads it)

import torch  # isort: skip

from tests.threads import left_running, remember_starts

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; tests interrupt what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
remember_starts()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_thread_left_running() -> Iterator[None]:
    """Fail a test that leaves a thread running, daemon or not, and say which line started it."""
    before = set(threading.enumerate())
    yield
    left = left_running(before)
    if left:
        pytest.fail("threads left running:\n" + "\n".join(left), pytrace=False)
