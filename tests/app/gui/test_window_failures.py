"""What fails is said in the window, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from app.live.notice import Notice
from app.live.worker import Failure
from app.settings import Settings


def test_without_a_microphone_the_sample_plays(
    make_window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sound_system: Any
) -> None:
    clip = tmp_path / "sample.wav"
    soundfile.write(clip, 0.4 * np.sin(np.arange(16_000) / 10), 16_000)
    monkeypatch.setattr("app.gui.main.clips.sample_clip", lambda: clip)
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.playing == clip, timeout=8000)
    assert window.banner.text == "A sample speaks until there is a microphone."
    # While the sample speaks, too: the panel says what is wrong for as long as it is.
    assert window.bridge.session.devices.state.problem == "no microphone was found"
    qtbot.waitUntil(lambda: window.side.voice.problem.text() == "No microphone was found", timeout=8000)
    window.banner._timer.timeout.emit()  # its time is over: it does not cover the picture for ever
    assert window.banner.text == ""
    qtbot.waitUntil(lambda: window.bridge.playing is None, timeout=8000)  # it has ended
    sound_system.plug("Late Mic")
    window.reports.look_again()
    qtbot.waitUntil(lambda: window.bridge.session.devices.state.label == "Late Mic", timeout=8000)
    qtbot.waitUntil(lambda: window.banner.text == "", timeout=3000)


def test_a_worker_that_dies_is_shown_and_can_be_restarted(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)

    def die(*args: Any) -> None:
        raise RuntimeError("the GPU fell out")

    window.bridge.session.rendering._tick = die
    qtbot.waitUntil(lambda: "the GPU fell out" in window.banner.text, timeout=5000)
    window.reports.show_error(window.bridge.session.failures[0])
    dialog = window.reports.dialog
    assert dialog is not None
    dialog._copy()
    dialog.close()
    old = window.bridge.session
    window.reports.restart()
    assert window.bridge.session is old, "the window goes on while the old engine stops"
    qtbot.waitUntil(lambda: window.bridge.session is not old, timeout=8000)
    count = window.bridge.session.rendering.count
    qtbot.waitUntil(lambda: window.bridge.session.rendering.count > count + 3, timeout=8000)


def test_a_window_closed_during_a_restart_starts_nothing_any_more(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    old = window.bridge.session
    window.reports.restart()
    window.shut_down()
    qtbot.wait(50)  # the old engine's end is announced by a signal
    assert window.bridge.session is old and not any(worker.alive for worker in old.workers)


def test_an_avatar_that_cannot_be_read_leaves_the_old_one(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.open_path(Path("/somewhere/broken.safetensors"))
    qtbot.waitUntil(lambda: "not an avatar" in window.banner.text, timeout=5000)
    assert window.store.value.avatar is None, "it never becomes the stored choice"
    assert window.side.avatars.cards["stand-in"].isChecked()
    count = window.bridge.session.rendering.count
    qtbot.waitUntil(lambda: window.bridge.session.rendering.count > count + 3, timeout=5000)


def test_a_picked_avatar_is_remembered_when_it_moves(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.side.avatars.cards["another"].click()
    assert window.store.value.avatar is None
    qtbot.waitUntil(lambda: window.store.value.avatar == "another", timeout=5000)
    window.menus.undo.trigger()
    qtbot.waitUntil(lambda: window.bridge._shown is None and window.bridge._asked is None, timeout=5000)


def test_a_stored_avatar_that_fails_is_replaced_by_the_default_with_a_notice(
    make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path
) -> None:
    settings = Settings(theme="dark", avatar="/gone/broken.safetensors", folder=str(tmp_path / "videos"))
    window = make_window(settings)
    qtbot.waitUntil(lambda: "not an avatar" in window.banner.text, timeout=5000)
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    assert window.store.value.avatar is None
    assert "not an avatar" in window.banner.text


def test_an_avatar_of_the_command_line_that_fails_leaves_the_stored_one(
    make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path
) -> None:
    settings = Settings(theme="dark", avatar="another", folder=str(tmp_path / "videos"))
    window = make_window(settings, avatar="broken")
    chosen: list[str | None] = []
    window.store.subscribe(lambda settings, changed: chosen.append(settings.avatar))
    qtbot.waitUntil(lambda: "not an avatar" in window.banner.text, timeout=5000)
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    assert window.bridge._shown == "another"
    assert set(chosen) <= {"another"}, "it never becomes the stored choice"


def test_where_the_window_has_no_opengl_it_shows_images_and_says_so(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window(Settings(theme="dark", backend="opengl"))
    qtbot.waitUntil(lambda: window.bridge.session.rendering.backend == "opengl", timeout=15000)
    qtbot.waitUntil(lambda: "OpenGL" in window.banner.text, timeout=8000)
    painted: list[int] = []
    window.viewport.painted.connect(lambda drawn, at_s: painted.append(drawn.request.number))
    qtbot.waitUntil(lambda: len(painted) > 5, timeout=8000)
    assert not window.viewport.direct
    window.banner.take_down()
    qtbot.wait(600)
    assert window.banner.text == "", "it is said once"


@pytest.mark.parametrize(
    ("kind", "subject", "words"),
    [
        ("renderer", "", "Renderer: it broke"),
        ("renderer-unavailable", "gsplat", "gsplat cannot be used, so another renderer draws. It broke"),
        ("output", "virtual camera", "Nothing is sent to the virtual camera: it broke"),
        ("output", "VMC", "Nothing is sent to VMC: it broke"),
        ("clip", "a.wav", "It broke"),
        ("monitor", "", "It broke"),
    ],
)
def test_notices_of_the_engine_have_words(
    make_window: Any, plugged: Any, qtbot: Any, kind: Any, subject: str, words: str
) -> None:
    window = make_window()
    window.bridge.noticed.emit(Notice(kind, subject, "it broke"))
    assert window.banner.text == words


def test_a_failure_reads_as_one_line() -> None:
    failure = Failure.of("render", RuntimeError("first\nsecond"))
    assert failure.message == "RuntimeError: first second"
