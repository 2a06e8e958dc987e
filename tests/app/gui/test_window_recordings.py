"""Recordings and stills from the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest

from app.settings import Settings
from tests.app.gui.typing_into import take_keys


def test_recording_from_the_window(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    take_keys(window, qtbot)
    QTest.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: window.bridge.session.recordings.status is not None, timeout=3000)
    qtbot.waitUntil(lambda: window.bar.clock.text() == "00:01", timeout=8000)
    assert ".mp4" in window.bar.file.text()
    assert window.bar.record_button.text().strip() == "Stop"
    window.bar.record_button.click()
    assert window.bridge.session.recordings.finishing, "the window goes on while the file is finished"
    assert not window.bar.record_button.isEnabled()
    qtbot.waitUntil(lambda: "Saved Avatar" in window.banner.text, timeout=8000)
    assert window.bar.record_button.text().strip() == "Record"
    files = list((tmp_path / "videos").glob("*.mp4"))
    assert len(files) == 1
    assert files[0].stat().st_size > 1000
    window.recordings.save_still()
    qtbot.waitUntil(lambda: ".png" in window.banner.text, timeout=5000)
    assert len(list((tmp_path / "videos").glob("*.png"))) == 1


def test_an_image_sequence_from_the_window(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window(Settings(theme="dark", folder=str(tmp_path / "videos"), record_format="png"))
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.recordings.toggle_recording()
    assert window.banner.text == ""
    qtbot.waitUntil(lambda: window.bridge.session.recordings.status.images > 3, timeout=8000)
    window.recordings.toggle_recording()
    qtbot.waitUntil(lambda: "Saved Avatar" in window.banner.text, timeout=8000)
    (folder,) = (tmp_path / "videos").iterdir()
    assert {p.suffix for p in folder.iterdir()} == {".png", ".wav"}


def test_two_stills_in_one_second_are_two_files(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)
    for _ in range(3):
        window.recordings.save_still()
    qtbot.waitUntil(lambda: len(list((tmp_path / "videos").glob("*.png"))) == 3, timeout=5000)


def test_what_a_format_costs_is_said_before_recording(make_window: Any, plugged: Any) -> None:
    window = make_window()
    hint = window.side.picture.hint
    assert hint.text() == ""
    for form in ("mov", "webm", "png"):
        window.store.change(record_format=form)
        assert "dropped" in hint.text()
        assert window.side.picture.quality.isEnabled() == (form != "png")
    window.store.change(record_format="mp4", background="transparent")
    assert "transparent" in hint.text()


def test_a_recording_that_cannot_begin_says_why(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    window = make_window(Settings(theme="dark", folder=str(tmp_path / "file")))
    window.recordings.toggle_recording()
    assert "record when it moves" in window.banner.text, "a face that does not move yet is not recorded"
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.recordings.toggle_recording()
    assert "cannot write here" in window.banner.text
    assert window.bridge.session.recordings.status is None


def test_a_restart_keeps_the_recording(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.recordings.toggle_recording()
    qtbot.waitUntil(lambda: window.bridge.session.recordings.status.images > 3, timeout=8000)
    old = window.bridge.session
    window.reports.restart()
    qtbot.waitUntil(lambda: window.bridge.session is not old, timeout=8000)
    assert "Saved Avatar" in window.banner.text
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1
