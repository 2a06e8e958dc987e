"""The recorder's thread: nothing blocks, sound is never lost, what ends it is said."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from app.output import Recorder, VideoWriter
from avatar.errors import UserError

IMAGE = np.full((64, 64, 4), 90, np.uint8)


class FakeWriter:
    """Counts, and stands still while `gate` is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: list[float] = []
        self.samples = 0
        self.closed = 0
        self.gate = threading.Event()
        self.error: Exception | None = None
        self.duration_s = 0.0

    def write_image(self, bgra: np.ndarray, time_s: float) -> None:
        self.gate.wait(10)
        if self.error:
            raise self.error
        self.images.append(time_s)

    def write_audio(self, samples: np.ndarray) -> None:
        self.samples += samples.size

    def close(self) -> None:
        self.closed += 1

    def abandon(self) -> None:
        self.closed += 1


def test_late_images_are_dropped_and_counted_but_no_sound(tmp_path: Path) -> None:
    writer = FakeWriter(tmp_path / "x")
    recorder = Recorder(writer, max_images=4, reserve_bytes=0)
    for k in range(50):
        recorder.offer_image(IMAGE, k / 30)
        recorder.offer_audio(np.zeros(533, np.float32))
    writer.gate.set()
    status = recorder.stop()
    assert writer.samples == 50 * 533
    assert status.images == len(writer.images) <= 5
    assert status.images + status.images_dropped == 50
    assert writer.closed == 1
    assert not status.running
    assert recorder.stop() == status


def test_images_are_copied(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    recorder = Recorder(VideoWriter(path, 64, 64), reserve_bytes=0)
    image = IMAGE.copy()
    recorder.offer_image(image, 0.0)
    image[:] = 255
    recorder.stop()
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).to_ndarray(format="gray").mean() < 120


def test_a_failing_file_ends_the_recording_and_says_why(tmp_path: Path) -> None:
    writer = FakeWriter(tmp_path / "x")
    writer.error = UserError("x.mp4: the disk is full")
    writer.gate.set()
    recorder = Recorder(writer, reserve_bytes=0)
    recorder.offer_image(IMAGE, 0.0)
    recorder._thread.join(5)
    status = recorder.status
    assert (status.running, status.error) == (False, "x.mp4: the disk is full")
    assert writer.closed == 1
    recorder.offer_audio(np.zeros(10, np.float32))  # harmless
    assert not recorder.offer_image(IMAGE, 1.0)
    recorder.stop()


def test_disk_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="free some space"):
        Recorder(FakeWriter(tmp_path / "x"), reserve_bytes=2**62)
    writer = FakeWriter(tmp_path / "y")
    writer.gate.set()
    recorder = Recorder(writer, reserve_bytes=1)
    monkeypatch.setattr(recorder, "_free_bytes", lambda: 0)
    recorder.offer_image(IMAGE, 0.0)
    recorder._thread.join(5)
    assert "nearly full" in (recorder.status.error or "")
    recorder.stop()


def test_the_disk_is_looked_at_while_the_encoder_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that is slower than the images come never gets to the end of its queue."""
    recorder: Recorder | None = None
    clock = [0.0]

    class Lagging(FakeWriter):
        def write_image(self, bgra: np.ndarray, time_s: float) -> None:
            super().write_image(bgra, time_s)
            clock[0] += 0.3
            if recorder is not None and len(self.images) < 1000:
                recorder.offer_image(IMAGE, time_s + 0.1)  # the queue is never empty

    writer = Lagging(tmp_path / "x")
    recorder = Recorder(writer, reserve_bytes=1, now_s=lambda: clock[0])
    monkeypatch.setattr(recorder, "_free_bytes", lambda: 0 if len(writer.images) > 5 else 10)
    writer.gate.set()
    recorder.offer_image(IMAGE, 0.0)
    recorder._thread.join(20)
    assert "nearly full" in (recorder.status.error or "")
    assert len(writer.images) < 12
    recorder.stop()


def test_an_unexpected_error_is_logged_with_its_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = FakeWriter(tmp_path / "x")
    writer.error = RuntimeError("encoder gone")
    writer.gate.set()
    recorder = Recorder(writer, reserve_bytes=0)
    recorder.offer_image(IMAGE, 0.0)
    assert recorder.stop().error == "encoder gone"
    assert "Traceback" in caplog.text
