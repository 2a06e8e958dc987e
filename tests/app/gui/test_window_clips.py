"""Clips in the window: dropped, and directed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from animation.performance.document import Performance
from app.gui.main.directing import draft_path
from app.settings import Settings


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
