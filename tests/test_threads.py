"""The check on threads that are left running, which every test goes through, can itself fail."""

from __future__ import annotations

import inspect
import threading

import pytest

from tests.threads import left_running


@pytest.mark.parametrize("daemon", [False, True])
def test_a_thread_left_running_is_named_with_the_line_that_started_it(daemon: bool) -> None:
    before = set(threading.enumerate())
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten", daemon=daemon)
    thread.start()
    frame = inspect.currentframe()
    assert frame is not None
    line = frame.f_lineno - 3
    try:
        (paragraph,) = left_running(before, patience_s=0.1)
        assert paragraph.startswith(f"forgotten: started at {__file__}:{line}: thread.start()")
    finally:
        end.set()
    assert left_running(before) == []
