"""Windows is asked for fine timers while live, and only then."""

from __future__ import annotations

import sys

import pytest

from app.live import fine_timers
from app.live.fine_timers import FineTimers


class Winmm:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def timeBeginPeriod(self, step_ms: int) -> int:
        self.steps.append(step_ms)
        return 0

    def timeEndPeriod(self, step_ms: int) -> int:
        self.steps.remove(step_ms)
        return 0


def test_windows_counts_in_milliseconds_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Winmm()
    monkeypatch.setattr(fine_timers, "_winmm", lambda: library)
    timers = FineTimers()
    timers.hold()
    timers.hold()
    assert library.steps == [1]
    timers.release()
    timers.release()
    assert library.steps == []


@pytest.mark.skipif(sys.platform == "win32", reason="of the other systems")
def test_elsewhere_nothing_is_done() -> None:
    timers = FineTimers()
    timers.hold()
    assert not timers._held
    timers.release()
