"""The face panel and the dialog of photos."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from PyQt6.QtCore import Qt

from app.gui.capture.face_panel import FacePanel
from app.gui.capture.photo_dialog import PhotoDialog
from app.live.camera import CameraDevice
from app.settings import Store
from avatar.errors import UserError


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "anna.jpg"
    Image.new("RGB", (300, 200), "red").save(path)
    return path


def dialog_with(qtbot: Any, make: Callable[..., list[str]], still: Image.Image | None = None) -> PhotoDialog:
    dialog = PhotoDialog(None, lambda: still, make)
    qtbot.addWidget(dialog)
    return dialog


def test_a_photo_becomes_an_avatar(qtbot: Any, photo: Path) -> None:
    asked: list[Any] = []

    def make(pictures: Any, name: str, tell: Callable[[float, str], None], show: Callable[[Any], None]) -> list[str]:
        asked.append(([label for _, label, _ in pictures], name))
        tell(0.5, "skin")
        show(Image.new("RGB", (40, 40), "blue"))
        return ["the face is dark"]

    dialog = dialog_with(qtbot, make)
    assert not dialog.create_button.isEnabled()
    dialog.add_file(photo)
    assert dialog.name.text() == "anna" and dialog.create_button.isEnabled()
    with qtbot.waitSignal(dialog.made, timeout=10_000) as made:
        dialog.create_button.click()
        assert dialog.busy and not dialog.cancel_button.isHidden()
    assert made.args == ["anna"] and asked == [(["anna.jpg"], "anna")]
    assert "dark" in dialog.words.text() and not dialog.busy
    shown = dialog.preview.pixmap().toImage()
    assert shown.pixelColor(shown.width() // 2, shown.height() // 2).blue() > 200  # the avatar, not the photo


def test_what_goes_wrong_is_said_in_the_dialog(qtbot: Any, photo: Path, tmp_path: Path) -> None:
    def make(*args: Any) -> list[str]:
        raise UserError("anna.jpg: no face was found")

    dialog = dialog_with(qtbot, make)
    (tmp_path / "text.jpg").write_text("no picture")
    dialog.add_file(tmp_path / "text.jpg")
    assert "not a picture" in dialog.words.text() and not dialog.create_button.isEnabled()
    dialog.still.click()
    assert "webcam" in dialog.words.text()
    dialog.add_file(photo)
    dialog.create_button.click()
    qtbot.waitUntil(lambda: not dialog.busy, timeout=10_000)
    assert "no face" in dialog.words.text()


def _endless(seen: threading.Event) -> Callable[..., list[str]]:
    """Work that goes on until it is stopped."""

    def make(pictures: Any, name: str, tell: Callable[[float, str], None], show: Any) -> list[str]:
        while True:
            tell(0.5, "details")
            seen.set()
            time.sleep(0.01)

    return make


def test_cancel_stops_the_work_and_loses_nothing(qtbot: Any, photo: Path) -> None:
    working = threading.Event()
    dialog = dialog_with(qtbot, _endless(working))
    made: list[str] = []
    dialog.made.connect(made.append)
    dialog.add_file(photo)
    assert dialog.cancel_button.isHidden()
    for end in (dialog.cancel_button.click, lambda: qtbot.keyClick(dialog, Qt.Key.Key_Escape)):
        working.clear()
        dialog.create_button.click()
        qtbot.waitUntil(working.is_set, timeout=10_000)
        end()
        assert not dialog.cancel_button.isEnabled()
        qtbot.waitUntil(lambda: not dialog.busy, timeout=2_000)
        assert "Stopped" in dialog.words.text() and dialog.name.text() == "anna"
        assert dialog.create_button.isEnabled() and dialog.cancel_button.isHidden() and not made
    assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []


def test_closing_the_window_meanwhile_stops_the_work(qtbot: Any, photo: Path) -> None:
    working = threading.Event()
    dialog = dialog_with(qtbot, _endless(working))
    dialog.add_file(photo)
    dialog.show()
    dialog.create_button.click()
    qtbot.waitUntil(working.is_set, timeout=10_000)
    dialog.close()
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: not dialog.busy, timeout=2_000)
    working.clear()
    dialog.create_button.click()
    qtbot.waitUntil(working.is_set, timeout=10_000)
    dialog.give_back()  # the program ends
    qtbot.waitUntil(lambda: not dialog.busy, timeout=2_000)


def test_a_still_of_the_webcam(qtbot: Any) -> None:
    dialog = dialog_with(qtbot, lambda *args: [], Image.new("RGB", (64, 48)))
    dialog.still.click()
    assert dialog.create_button.isEnabled()
    dialog.clear.click()
    assert not dialog.create_button.isEnabled()


def test_a_clip_takes_the_place_of_photos(qtbot: Any, photo: Path, tmp_path: Path) -> None:
    clip = tmp_path / "talk.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (96, 64)))))
        container.mux(stream.encode())
    asked: list[Any] = []

    def make(source: Any, *rest: Any) -> list[str]:
        asked.append(source)
        return []

    dialog = dialog_with(qtbot, make)
    dialog.add_file(photo)
    dialog.add_file(clip)
    with qtbot.waitSignal(dialog.made, timeout=10_000):
        dialog.create_button.click()
    dialog.add_file(photo)
    with qtbot.waitSignal(dialog.made, timeout=10_000):
        dialog.create_button.click()
    assert asked[0] == clip and [label for _, label, _ in asked[1]] == ["anna.jpg"]


def test_the_panel_follows_settings_and_camera(qtbot: Any) -> None:
    store = Store()
    panel = FacePanel(store)
    qtbot.addWidget(panel)
    store.subscribe(lambda settings, changed: panel.show_settings(settings))
    panel.show_settings(store.value)
    assert panel.camera.isHidden() and panel.again.isHidden()
    panel.show_cameras([CameraDevice("/dev/video0", "Webcam One")])
    panel.source.setCurrentIndex(2)
    panel.source.activated.emit(2)
    assert store.value.face_from == "both" and not panel.camera.isHidden()
    panel.show_state("following", "", 12.4)
    assert "12 ms" in panel.words.text() and panel.again.isEnabled()
    panel.show_state("lost", "no camera was found", 0.0)
    assert panel.words.text() == "No camera was found"
    store.change(webcam="/dev/video9")
    assert "not connected" in panel.camera.currentText()
