"""The window on a stand-in engine: what is clicked arrives, what happens is shown. Qt runs offscreen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtTest import QTest

from animation.expression.emotions import EMOTIONS
from app.settings import Settings
from tests.app.gui.typing_into import take_keys


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


def test_what_is_offered_can_be_drawn(make_window: Any, plugged: Any) -> None:
    detail = make_window().side.picture.detail
    counts = [detail.itemData(i) for i in range(detail.count())]
    assert counts[0] == 0
    assert min(counts[1:]) >= 12_000


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
