"""A session's recordings: in step, whole, and with one result."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from app.live.scene import Scene
from app.live.source import Source
from avatar.errors import UserError
from tests.app.live.waiting import eventually


def test_a_recording_that_ends_with_the_session_has_one_result_whoever_asks_meanwhile(
    make_session: Any, speech: Path, tmp_path: Path
) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.rendering.count > 2)
    session.recordings.start(tmp_path / "take.mp4", quality="draft")
    eventually(lambda: session.recordings.status.images > 3)
    results, over = [], threading.Event()

    def ask() -> None:
        while not over.wait(0.001):
            results.append(session.recordings.take_result())

    asking = threading.Thread(target=ask)
    asking.start()
    begun_s = time.monotonic()
    assert session.stop()
    over.set()
    asking.join()
    results.append(session.recordings.take_result())
    (done,) = (result for result in results if result is not None)
    assert done.error is None and not done.running
    assert time.monotonic() - begun_s < 10, "it waited for a result that another thread had"


def test_a_recording_is_in_step_with_what_was_said(make_session: Any, speech: Path, tmp_path: Path) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.rendering.count > 2)
    path = tmp_path / "take.mp4"
    session.recordings.start(path, quality="draft")
    with pytest.raises(UserError, match="runs already"):
        session.recordings.start(tmp_path / "other.mp4")
    eventually(lambda: session.recordings.status.duration_s > 2.2)
    done = session.recordings.stop()
    assert done.error is None
    assert done.images > 20
    assert done.images_dropped == 0
    with pytest.raises(UserError, match="nothing"):
        session.recordings.stop()
    with av.open(str(path)) as container:
        video = [(float(f.time), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    sound = np.concatenate([f.to_ndarray()[0] for f in frames])
    rate = frames[0].sample_rate
    loud = np.abs(sound[: len(sound) // 480 * 480].reshape(-1, 480)).max(1) > 0.05
    sound_edges = (np.flatnonzero(np.diff(loud.astype(int))) + 1) * 480 / rate
    times, levels = np.array(video).T
    open_mouth = levels > (levels.min() + levels.max()) / 2
    mouth_edges = times[1:][np.diff(open_mouth.astype(int)) != 0]
    assert len(mouth_edges) >= 3
    offsets = [np.abs(sound_edges - edge).min() for edge in mouth_edges[:-1]]
    assert np.median(offsets) < 0.06  # a stand-in mouth in hops of 20 ms, pictures of 16 ms; a busy machine skips some


def test_a_recording_ends_when_the_picture_has_come_as_far_as_the_sound(
    make_session: Any, speech: Path, tmp_path: Path
) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.ready)
    session.recordings.start(tmp_path / "take.mp4", quality="draft")
    eventually(lambda: session.recordings.status.duration_s > 1.0)
    session.recordings.finish()
    session.recordings.finish()
    assert session.recordings.finishing, "nobody has waited"
    eventually(lambda: (done := session.recordings.take_result()) is not None and done.error is None)
    assert session.recordings.take_result() is None
    assert session.recordings.status is None
    with av.open(str(tmp_path / "take.mp4")) as container:
        seen = [float(f.time) for f in container.decode(video=0)][-1]
    with av.open(str(tmp_path / "take.mp4")) as container:
        frame = list(container.decode(audio=0))[-1]
    heard = float(frame.time) + frame.samples / frame.sample_rate
    assert seen == pytest.approx(heard, abs=0.08)


def test_a_recording_ends_without_images_too(
    make_session: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = make_session()
    monkeypatch.setattr("app.live.recording.LiveRecording._PATIENCE_S", 0.2)
    session.start()
    eventually(lambda: session.ready)
    session.recordings.start(tmp_path / "take.mkv", quality="draft")
    eventually(lambda: session.recordings.status.duration_s > 0.2)
    session.rendering.stop()
    session.recordings.finish()
    eventually(lambda: session.recordings.take_result() is not None)


def test_while_recording_the_size_stays(make_session: Any, tmp_path: Path) -> None:
    session = make_session()
    session.start()
    eventually(lambda: session.rendering.count > 2)
    session.recordings.start(tmp_path / "a.mp4")
    session.set_scene(Scene(width=128, height=96))
    assert (session.scene.width, session.scene.height) == (64, 64)
    session.recordings.stop()
    session.set_scene(Scene(width=128, height=96))
    eventually(lambda: session.images.get().bgra.shape[:2] == (96, 128))


def test_transparent_needs_a_format_that_keeps_it(make_session: Any, tmp_path: Path) -> None:
    session = make_session(scene=Scene(width=64, height=64, background=None))
    with pytest.raises(UserError, match="transparent"):
        session.recordings.start(tmp_path / "a.mp4")
    assert session.recordings.status is None
