"""What long work tells of itself where standard error is a log."""

from __future__ import annotations

import pytest

from app.cli import terminal


def test_long_work_says_once_a_minute_how_far_it_is_and_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("app.cli.terminal.time.monotonic", lambda: now)
    with terminal.progress_bar("train") as tell:
        # Resumed at 50 of 100: what was done before says nothing of the pace.
        tell(50, 100)
        now += 59.0
        tell(54, 100)
        assert capsys.readouterr().err == ""
        now += 61.0
        tell(60, 100)
        assert capsys.readouterr().err == "train 60 %, 8 min left\n"
        tell(100, 100)
    assert capsys.readouterr().err == ""


def test_of_unknown_length_work_says_what_it_has_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("app.cli.terminal.time.monotonic", lambda: now)
    with terminal.batch_progress() as tell:
        tell(0, 0, "")
        now += 90.0
        tell(7, 0, "seven.wav")
    assert capsys.readouterr().err == "seven.wav 7\n"
