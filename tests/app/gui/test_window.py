"""The window on a stand-in engine: what is clicked arrives, what happens is shown. Qt runs offscreen."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPointF, QRect, QRectF, QSettings, Qt, QTranslator
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListWidget, QSlider

from animation.expression.emotions import EMOTIONS
from animation.performance.document import Performance
from app.gui.look.theme import DARK, LIGHT, apply_theme, current
from app.gui.look.wording import failure_words, notice_words, source_words
from app.gui.main import window as window_module
from app.gui.main.directing import draft_path
from app.gui.main.window import MainWindow
from app.gui.view.surroundings import fitted
from app.live.devices import SourceState
from app.live.notice import Notice
from app.live.session import LiveSession
from app.live.worker import Failure
from app.settings import Settings, Store


@pytest.fixture
def make_window(
    qtbot: Any,
    qapp: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stand_in_avatar: Any,
    loudness_driver: Any,
    plain_renderer: Any,
    sound_system: Any,
) -> Iterator[Callable[..., MainWindow]]:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "qt"))
    monkeypatch.setattr(MainWindow, "_watch_devices", lambda self: None)
    monkeypatch.setattr(window_module, "names", lambda: ["stand-in", "another"])
    monkeypatch.setattr(window_module, "default_name", lambda: "stand-in")
    monkeypatch.setattr("app.gui.main.bridge.available_renderers", lambda: {"cpu": "ok", "opengl": "no GPU here"})
    monkeypatch.setattr("app.live.avatars.default_name", lambda: "stand-in")

    def open_avatar(name: Any) -> Any:
        if "broken" in str(name):
            from avatar.errors import UserError

            raise UserError(f"{Path(str(name)).name}: not an avatar")
        return stand_in_avatar

    monkeypatch.setattr("app.live.avatars.open_avatar", open_avatar)
    made: list[MainWindow] = []

    def make(settings: Settings | None = None, avatar: str | None = None, **options: Any) -> MainWindow:
        settings = settings or Settings(theme="dark", folder=str(tmp_path / "videos"))
        store = Store(settings, tmp_path / "settings.json")
        apply_theme(qapp, settings.theme)

        def open_renderer(name: str, notice: Any) -> Any:
            return plain_renderer("cpu" if name == "auto" else name)

        def make_session(*args: Any, **more: Any) -> LiveSession:
            more |= {"make_driver": loudness_driver, "open_renderer": open_renderer}
            return LiveSession(*args, **more)

        window = MainWindow(store, make_session, **options)
        monkeypatch.setattr(window.thumbnails, "request", lambda pictures: None)
        window.resize(1000, 700)
        window.show()
        window.start(avatar)
        made.append(window)
        return window

    yield make
    for window in made:
        window.shut_down()
        window.close()
        window.deleteLater()
    qapp.processEvents()


@pytest.fixture
def plugged(sound_system: Any) -> Any:
    sound_system.plug("Studio Mic")
    return sound_system


def test_a_voice_is_seen_and_measured(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    painted: list[float] = []
    window.viewport.painted.connect(lambda image, at_s: painted.append(at_s))
    qtbot.waitUntil(lambda: len(painted) > 20, timeout=15000)
    picture = window.viewport.picture
    assert picture is not None
    assert picture.pixelColor(5, 5).red() > 45  # the mouth is open
    qtbot.waitUntil(lambda: "images/s" in window.bar.status.text(), timeout=5000)
    text = window.bar.status.text()
    assert "ms sound to picture" in text
    assert "CPU renderer" in text
    assert "0 overflows" in text
    qtbot.waitUntil(lambda: "dB" in window.side.voice.words.text(), timeout=3000)
    assert window.side.voice.picker.currentText() == "System default (Studio Mic)"


def test_no_images_pile_up_behind_a_slow_window(make_window: Any, plugged: Any, qtbot: Any) -> None:
    """The window is busy for a second; what it shows then is fresh, and only one signal waited."""
    window = make_window()
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)
    signals: list[float] = []
    window.bridge.ready.connect(lambda: signals.append(time.perf_counter()))
    drawn: list[float] = []
    window.viewport.painted.connect(lambda image, at_s: drawn.append(image.drawn_s))
    time.sleep(1.0)
    over_s = time.perf_counter()
    qtbot.waitUntil(lambda: len(drawn) >= 3, timeout=15000)
    late = [s for s in signals if s < signals[0] + 0.005]
    assert len(late) <= 2
    assert drawn[2] > over_s, "one that was to be painted already, the one in the mailbox, then those drawn since"


def take_keys(window: MainWindow, qtbot: Any) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)


def test_keys_pick_emotions(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window(Settings(theme="dark", emotion="contempt"))
    take_keys(window, qtbot)
    for index, emotion in enumerate(EMOTIONS):
        QTest.keyClick(window, getattr(Qt.Key, f"Key_{index + 1}"))
        assert window.store.value.emotion == emotion
        assert window.side.emotions.buttons[emotion].isChecked()


def test_controls_change_the_settings_and_undo_takes_it_back(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    store = window.store
    window.side.emotions.buttons["sad"].click()
    window.side.emotions.intensity.slider.setValue(30)
    assert (store.value.emotion, store.value.intensity) == ("sad", pytest.approx(0.3))
    window.side.voice.gate.click()
    assert store.value.gate
    assert window.side.voice.gate_db.isEnabled()
    window.side.view.framings["close"].click()
    assert store.value.camera == "close"
    window.menus.undo.trigger()
    assert store.value.camera == "portrait"
    assert window.side.view.framings["portrait"].isChecked()
    window.menus.undo.trigger()
    assert not window.side.voice.gate.isChecked()
    window.menus.redo.trigger()
    assert window.side.voice.gate.isChecked()
    take_keys(window, qtbot)
    QTest.keyClick(window, Qt.Key.Key_M)
    assert store.value.muted
    assert window.bar.mute_button.isChecked()
    assert window.side.voice.muted.isChecked()


def test_the_camera_follows_mouse_wheel_and_keys(make_window: Any, plugged: Any) -> None:
    window = make_window()
    view, store = window.viewport, window.store
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=view.rect().center())
    QTest.mouseMove(view, view.rect().center() + QPointF(40, 20).toPoint())
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=view.rect().center())
    QTest.keyClick(view, Qt.Key.Key_Left)
    QTest.keyClick(view, Qt.Key.Key_Up)
    assert store.value.yaw_deg != 0
    assert store.value.pitch_deg > 0
    QTest.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert store.value.pan[0] > 0
    centre = QPointF(view.rect().center())
    wheel = QWheelEvent(
        centre, centre, QPointF(0, 0).toPoint(), QPointF(0, 240).toPoint(), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    view.wheelEvent(wheel)
    assert store.value.zoom > 1.2
    assert window.bridge.session.scene.framing.fov_deg < 19
    QTest.keyClick(view, Qt.Key.Key_0)
    assert (store.value.yaw_deg, store.value.zoom, store.value.pan) == (0.0, 1.0, (0.0, 0.0))


def test_expressions_can_be_searched(make_window: Any, plugged: Any) -> None:
    window = make_window()
    panel = window.side.expressions
    assert len(panel._items()) == 70
    panel.search.setText("WINK r")
    shown = [i.text() for i in panel._items() if not i.isHidden()]
    assert shown == ["Right wink"]
    panel.search.setText("smirk")
    item = next(i for i in panel._items() if not i.isHidden())
    assert item.text() == "Sly smile"
    panel.list.setCurrentItem(item)
    assert window.store.value.expression == "smile_sly"
    panel.list.itemDoubleClicked.emit(item)
    assert (window.store.value.expression, window.store.value.emotion) == (None, "smile_sly")
    assert not any(button.isChecked() for button in window.side.emotions.buttons.values())
    window.side.emotions.buttons["sad"].click()
    assert window.side.emotions.buttons["sad"].isChecked()
    panel.list.setCurrentItem(item)
    panel.search.setText("zzz")
    assert not panel.nothing.isHidden()
    panel.release.click()
    assert window.store.value.expression is None


def test_recording_from_the_window(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    take_keys(window, qtbot)
    QTest.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: window.bridge.session.recording is not None, timeout=3000)
    qtbot.waitUntil(lambda: window.bar.clock.text() == "00:01", timeout=8000)
    assert ".mp4" in window.bar.file.text()
    assert window.bar.record_button.text().strip() == "Stop"
    window.bar.record_button.click()
    assert window.bridge.session.finishing, "the window goes on while the file is finished"
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
    qtbot.waitUntil(lambda: window.bridge.session.recording.images > 3, timeout=8000)
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
    assert window.bridge.session.recording is None


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


def test_a_restart_keeps_the_recording(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    window.recordings.toggle_recording()
    qtbot.waitUntil(lambda: window.bridge.session.recording.images > 3, timeout=8000)
    old = window.bridge.session
    window.reports.restart()
    qtbot.waitUntil(lambda: window.bridge.session is not old, timeout=8000)
    assert "Saved Avatar" in window.banner.text
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1


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


def test_words_of_the_engine_can_be_translated(make_window: Any, plugged: Any, qapp: Any) -> None:
    class Shouting(QTranslator):
        def translate(self, context: str, text: str, *more: Any) -> str:  # type: ignore[override]
            return text.upper() if context == "Engine" else ""

        def isEmpty(self) -> bool:
            return False

    translator = Shouting()
    qapp.installTranslator(translator)
    try:
        assert notice_words(Notice("output", "VMC", "no route")) == "NOTHING IS SENT TO VMC: no route"
        assert source_words(SourceState("lost", "Mic", "anything", "stopped")) == "Mic STOPPED; TRYING TO GET IT BACK"
        assert failure_words(Failure("render", "cause", "")) == "THE RENDERER STOPPED: cause"
    finally:
        qapp.removeTranslator(translator)


def test_a_picture_is_fitted_and_a_pixel_is_no_border() -> None:
    assert fitted(320, 240, QRect(0, 0, 640, 640)) == QRectF(0, 80, 640, 480)
    assert fitted(511, 512, QRect(0, 0, 512, 512)) == QRectF(0, 0, 512, 512)


def test_dropped_files_go_where_they_belong(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    from PIL import Image

    window = make_window()
    picture = tmp_path / "room.png"
    Image.new("RGB", (300, 100), (10, 200, 30)).save(picture)
    window.open_path(picture)
    assert window.store.value.background == "image"
    backdrop = window.bridge.session.scene.backdrop
    assert backdrop is not None
    assert tuple(backdrop[5, 5]) == (30, 200, 10, 255)
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, np.zeros(1600), 16_000)
    window.open_path(clip)
    qtbot.waitUntil(lambda: window.store.value.audio_file == str(clip), timeout=5000)
    window.open_path(tmp_path / "mine.ply")
    qtbot.waitUntil(lambda: window.store.value.avatar == str(tmp_path / "mine.ply"), timeout=5000)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    window.open_path(tmp_path / "bad.png")
    qtbot.waitUntil(lambda: "not a picture" in window.banner.text, timeout=3000)
    assert window.store.value.background_image == str(picture)


def test_a_drop_that_is_no_sound_changes_nothing(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    window = make_window()
    qtbot.waitUntil(lambda: window.bridge.session.devices.state.kind == "device", timeout=5000)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7 no sound")
    window.open_path(tmp_path / "paper.pdf")
    qtbot.waitUntil(lambda: "not an audio file" in window.banner.text, timeout=5000)
    assert window.bar.play_button.text().strip() == "Play clip"
    assert window.bridge.playing is None
    assert not window.bridge.session.monitoring, "the live microphone is not played back"
    assert window.store.value.audio_file is None


def test_a_clip_is_directed(make_window: Any, plugged: Any, qtbot: Any, tmp_path: Path) -> None:
    """Its cues are felt while it plays, from wherever it is played; what was edited is there again later."""
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, np.zeros(4 * 16_000), 16_000)
    window = make_window(Settings(theme="dark", emotion="contempt", audio_file=str(clip)))
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)
    panel, session = window.directing.panel, window.bridge.session
    window.directing.toggle()
    qtbot.waitUntil(panel.play_button.isEnabled, timeout=15000)
    panel.strip.direction.put(0.0, "sad", 0.4)
    panel.strip.direction.put(2.0, "angry", 0.9)
    panel.play.emit(2.5)
    qtbot.waitUntil(lambda: session._driver_settings.get().emotion == "angry", timeout=5000)
    assert panel.strip.mark_s >= 2.0
    window.bridge.stop_playing()
    qtbot.waitUntil(lambda: session._driver_settings.get().emotion == "contempt", timeout=5000)
    kept = Performance.load(draft_path(clip))
    assert [(c.time_s, c.emotion) for c in kept.cues] == [(0.0, "sad"), (2.0, "angry")]
    window.directing.save(tmp_path / "mine.json")
    assert Performance.load(tmp_path / "mine.json") == kept


def test_channels_of_a_microphone_can_be_picked(make_window: Any, sound_system: Any, qtbot: Any) -> None:
    sound_system.plug("Interface", channels=4)
    sound_system.plug("Headset")
    window = make_window()
    channel, picker = window.side.voice.channel, window.side.voice.picker
    qtbot.waitUntil(lambda: channel.isVisibleTo(window) and channel.count() == 5, timeout=5000)
    channel.setCurrentIndex(3)
    channel.activated.emit(3)
    assert window.store.value.channel == 3
    qtbot.waitUntil(lambda: window.bridge.session.devices.state.kind == "device", timeout=5000)
    picker.setCurrentIndex(picker.findData("Test: Headset"))
    picker.activated.emit(picker.currentIndex())
    assert window.store.value.channel == 0, "another microphone, other channels"
    qtbot.waitUntil(lambda: not channel.isVisibleTo(window), timeout=3000)


def test_the_status_line_says_how_far_the_renderer_is(
    make_window: Any, plugged: Any, plain_renderer: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    share: list[float | None] = [0.4]
    monkeypatch.setattr(plain_renderer, "preparing", property(lambda self: share[0]))
    window = make_window()
    qtbot.waitUntil(lambda: window.viewport.picture is not None, timeout=15000)
    qtbot.waitUntil(
        lambda: "compiling the renderer, once on this machine: 40 %" in window.bar.status.text(), timeout=15000
    )
    assert not window.bridge.session.ready
    share[0] = None
    qtbot.waitUntil(lambda: window.bridge.session.ready, timeout=15000)
    qtbot.waitUntil(lambda: "compiling" not in window.bar.status.text(), timeout=15000)


def test_the_status_line_shows_whole_figures_or_none(make_window: Any, plugged: Any, qtbot: Any) -> None:
    """Cut off in the middle, 12 images skipped would read 1."""
    window = make_window()
    bar = window.bar
    bar._parts = [
        "36 images/s",
        "120 ms sound to picture",
        "45k Gaussians",
        "CPU renderer",
        "0 overflows",
        "12 skipped",
    ]
    seen = set()
    for width in range(700, 40, -7):
        bar.status.resize(width, bar.status.height())
        bar._fit_status()
        text = bar.status.text()
        shown = [part for part in text.split("   ·   ") if part != "…"]
        assert shown == bar._parts[: len(shown)]
        assert ("…" in text) == (len(shown) < len(bar._parts))
        assert bar.status.fontMetrics().horizontalAdvance(text) <= width or not shown
        seen.add(len(shown))
    assert len(seen) > 4
    assert "12 skipped" in bar.status.toolTip()


def test_what_is_offered_can_be_drawn(make_window: Any, plugged: Any) -> None:
    detail = make_window().side.picture.detail
    counts = [detail.itemData(i) for i in range(detail.count())]
    assert counts[0] == 0
    assert min(counts[1:]) >= 12_000


def test_themes(make_window: Any, plugged: Any) -> None:
    window = make_window()
    assert current() is DARK
    window.store.change(theme="light")
    assert current() is LIGHT
    assert window.bridge.session.scene.background == LIGHT.studio
    window.store.change(background_colour="#336699")
    assert window.bridge.session.scene.background == pytest.approx((0.2, 0.4, 0.6), abs=1e-3)
    window.store.change(background="transparent")
    assert window.bridge.session.scene.background is None


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_text_has_contrast(theme: Any) -> None:
    """WCAG 2 AA for the text that carries meaning; 3:1 for the faintest."""
    from PyQt6.QtGui import QColor

    def luminance(name: str) -> float:
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in QColor(name).getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def ratio(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in (theme.surface, theme.raised, theme.canvas):
        assert ratio(theme.text, ground) >= 7
        assert ratio(theme.muted, ground) >= 4.5
        assert ratio(theme.faint, ground) >= 3
    assert ratio(theme.bad, theme.surface) >= 4.5
    assert ratio(theme.accent_text, theme.accent) >= 4.5


def test_everything_has_a_name_and_can_be_reached_by_keys(make_window: Any, plugged: Any) -> None:
    window = make_window(Settings(theme="dark", collapsed=()))
    kinds = (QAbstractButton, QComboBox, QSlider, QLineEdit, QListWidget)
    for kind in kinds:
        for widget in window.findChildren(kind):
            inner = isinstance(widget.parent(), QLineEdit) or widget.objectName().startswith("qt_")
            if inner or not widget.isVisibleTo(window):
                continue
            name = widget.accessibleName() or (widget.text() if hasattr(widget, "text") else "")
            assert name, f"{widget} has no accessible name"
            if widget.isEnabled():
                assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, f"{name} cannot be reached by Tab"


def test_tab_goes_through_the_window_from_top_to_bottom(make_window: Any, plugged: Any) -> None:
    window = make_window(Settings(theme="dark", collapsed=()))
    window.resize(1000, 3000)
    order: list[Any] = []
    widget = window.side.avatars.header
    while widget not in order:
        order.append(widget)
        widget = widget.nextInFocusChain()
        while not (widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus):
            widget = widget.nextInFocusChain()
    side = [w for w in order if window.side.isAncestorOf(w)]
    tops = [w.mapTo(window.side, w.rect().topLeft()).y() for w in side]
    assert len(side) > 40
    assert order[: len(side)] == side, "the side bar is not left half-way"
    assert all(after > before - 30 for before, after in itertools.pairwise(tops)), "nothing jumps back up"


def test_settings_and_folds_are_kept(make_window: Any, plugged: Any, tmp_path: Path) -> None:
    from app.settings import load_settings

    window = make_window()
    window.store.change(emotion="angry")
    window.side.panels["voice"].header.click()
    window.shut_down()
    settings, problem = load_settings(tmp_path / "settings.json")
    assert problem is None
    assert settings.emotion == "angry"
    assert "voice" in settings.collapsed


def test_a_picker_remembers_a_microphone_that_is_gone(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window(Settings(theme="dark", device="Test: Old Mic"))
    qtbot.waitUntil(lambda: window.side.voice.picker.count() > 2, timeout=5000)
    assert "Old Mic (not connected)" in window.side.voice.picker.currentText()
    qtbot.waitUntil(lambda: "not connected" in window.side.voice.problem.text(), timeout=5000)
    index = window.side.voice.picker.findData("Test: Studio Mic")
    window.side.voice.picker.setCurrentIndex(index)
    window.side.voice.picker.activated.emit(index)
    qtbot.waitUntil(lambda: window.bridge.session.devices.state.label == "Studio Mic", timeout=5000)
    assert window.store.value.device == "Test: Studio Mic"


def test_a_failure_reads_as_one_line() -> None:
    failure = Failure.of("render", RuntimeError("first\nsecond"))
    assert failure.message == "RuntimeError: first second"


def test_the_stage_window_shows_the_avatar_alone(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    window.toggle_overlay()
    stage = window._overlay_window
    assert stage is not None
    assert window.store.value.background == "transparent"
    qtbot.waitUntil(lambda: stage._picture is not None, timeout=15000)
    QTest.keyClick(stage, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window._overlay_window is None, timeout=3000)


def test_outputs_are_off_until_asked_for(make_window: Any, plugged: Any, qtbot: Any) -> None:
    window = make_window()
    session = window.bridge.session
    assert session._output_settings.get() == type(session._output_settings.get())()
    window.side.outputs.vmc_target.setText("nonsense:port")
    window.side.outputs.vmc_target.editingFinished.emit()
    assert "HOST:PORT" in window.banner.text
    assert window.side.outputs.vmc_target.text() == "127.0.0.1:39539"
    window.side.outputs.vmc_target.setText("10.1.2.3")
    window.side.outputs.vmc_target.editingFinished.emit()
    window.side.outputs.vmc.click()
    assert session._output_settings.get().vmc == "10.1.2.3:39539"
    window.side.outputs.vmc.click()
    assert session._output_settings.get().vmc is None


def test_what_matters_is_not_pushed_aside(make_window: Any, plugged: Any) -> None:
    banner = make_window().banner
    banner.put_up("The last run did not end cleanly.", "warn", "crash")
    banner.put_up("No microphone was found", "warn", "source")
    assert "cleanly" in banner.text
    banner.put_up("The disk is full", "bad", "recording")
    assert "disk" in banner.text
    banner.put_up("The renderer stopped", "bad", "failure")
    banner.put_up("No microphone was found", "bad", "source")
    assert "renderer" in banner.text
    banner.take_down()
    banner.put_up("Saved", "good", "saved")
    assert banner.text == "Saved"
