"""Sound and lips in a recording agree; the measure itself is true."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from app.benchmarks import sync
from app.cli import main


def test_the_measure_finds_a_known_offset() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 8, 320))
    levels = np.clip(1 - np.abs((times - 0.037) % 1 - 0.5) / 0.15, 0, 1)
    centres = sync.burst_centres(times, levels)
    assert len(centres) == 8
    np.testing.assert_allclose(centres % 1, 0.537, atol=0.012)


def test_a_short_recording_is_in_step(stand_in_avatar: Any, sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "open_avatar", lambda name: stand_in_avatar)
    monkeypatch.setattr(sync, "default_avatar", lambda: "stand-in")
    found = sync.bench_sync(minutes=0.1)
    assert found["bursts"] >= 3
    assert abs(found["start_ms"]) < 20
    assert abs(found["end_ms"]) < 20


def test_the_command_prints_what_was_measured(
    stand_in_avatar: Any, sound_system: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "open_avatar", lambda name: stand_in_avatar)
    monkeypatch.setattr(sync, "default_avatar", lambda: "stand-in")
    assert main(["bench", "sync", "--json", "--minutes", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"minutes", "bursts", "start_ms", "end_ms", "worst_ms", "images_dropped"}
    assert found["bursts"] >= 3


def test_too_short_a_recording_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sync", "--minutes", "0.01"]) == 2
    assert "at least 0.1 minutes" in capsys.readouterr().err
