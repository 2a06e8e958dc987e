"""Recording while the application runs: a thread that owns the file, fed by queues that never block."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from app.output.writer import Writer
from avatar.errors import UserError

__all__ = ["Recorder", "RecorderStatus"]

_log = logging.getLogger(__name__)
_DISK_CHECK_S = 0.5


@dataclass(frozen=True)
class RecorderStatus:
    """What a recording has done so far."""

    path: Path
    duration_s: float
    bytes: int
    images: int
    images_dropped: int
    running: bool
    """False once the file is closed."""
    error: str | None = None
    """Why it ended before it was told to; one line."""


class Recorder:
    """A thread that writes images and sound to one file.

    Exchange: the render thread calls `offer_image`, the audio thread `offer_audio`; the recorder's thread takes.
    Images: at most `max_images` wait, then new ones are dropped and counted. Sound: a queue without a limit, never
    dropped (a minute of it is 12 MB). Both calls copy what they are given and never wait.
    """

    def __init__(
        self,
        writer: Writer,
        max_images: int = 16,
        reserve_bytes: int = 256 * 1024 * 1024,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            writer: opened by the caller, so that a bad path fails where the user asked for it; closed here.
            max_images: how many images may wait.
            reserve_bytes: recording ends cleanly when the disk has less than this left.
            now_s: the clock by which the disk is looked at.

        Raises:
            UserError: if the disk is as good as full.
        """
        self._writer = writer
        self._max_images = max_images
        self._reserve = reserve_bytes
        self._lock = threading.Lock()  # guards the queues' lengths and the counters; held for microseconds
        self._images: deque[tuple[UInt8[np.ndarray, "h w 4"], float]] = deque()
        self._sound: deque[Float32[np.ndarray, " n"]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._now_s = now_s
        self._look_s = now_s()
        self._written = 0
        self._dropped = 0
        self._bytes = 0
        self._error: str | None = None
        if self._free_bytes() < reserve_bytes:
            writer.abandon()
            raise UserError(
                f"{writer.path}: less than {reserve_bytes // 2**20} MB left on this disk; free some space first"
            )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def writer(self) -> Writer:
        """What is written with."""
        return self._writer

    @property
    def path(self) -> Path:
        """The file, or folder, that is written."""
        return self._writer.path

    @property
    def status(self) -> RecorderStatus:
        """A snapshot; any thread may ask."""
        with self._lock:
            return RecorderStatus(
                self._writer.path,
                self._writer.duration_s,
                self._bytes,
                self._written,
                self._dropped,
                self._thread.is_alive(),
                self._error,
            )

    def offer_image(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> bool:
        """Hand over an image that is shown from `time_s` on, in the recording's time; False if it was dropped."""
        if self._stop.is_set() or self._error is not None or time_s < 0:
            return False
        with self._lock:
            if len(self._images) >= self._max_images:
                self._dropped += 1
                return False
        image = bgra.copy()
        with self._lock:
            self._images.append((image, time_s))
        self._wake.set()
        return True

    def offer_audio(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Hand over the next samples; the first ones ever are the recording's time 0."""
        if self._stop.is_set() or self._error is not None or not samples.size:
            return
        with self._lock:
            self._sound.append(np.array(samples, np.float32))
        self._wake.set()

    def finish(self) -> None:
        """Take nothing more; write what waits and close the file. Returns at once: `status` says when it is done."""
        self._stop.set()
        self._wake.set()

    def stop(self, timeout_s: float = 10.0) -> RecorderStatus:
        """The same, and wait for it. Idempotent."""
        self.finish()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("the recorder did not end within %.0f s", timeout_s)
        return self.status

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.wait(_DISK_CHECK_S)
                self._wake.clear()
                self._drain()
            self._drain()
        except Exception as error:
            self._fail(error)
        finally:
            try:
                self._writer.close()
            except Exception as error:
                self._fail(error)
            self._bytes = _size(self._writer.path)

    def _drain(self) -> None:
        """Write what waits. An encoder that is too slow never gets to the end of it, so the disk is looked at here."""
        while True:
            self._look_at_disk()
            with self._lock:
                sound, self._sound = self._sound, deque()
                image = self._images.popleft() if self._images else None
            for samples in sound:
                self._writer.write_audio(samples)
            if image is not None:
                self._writer.write_image(*image)
                self._written += 1
            elif not sound:
                return

    def _look_at_disk(self) -> None:
        """Not after every image: a sequence may have thousands of files."""
        if self._now_s() < self._look_s:
            return
        self._look_s = self._now_s() + _DISK_CHECK_S
        self._bytes = _size(self._writer.path)
        if self._free_bytes() < self._reserve:
            raise UserError(f"{self._writer.path}: recording ended, the disk is nearly full")

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            _log.error("recording failed\n%s", "".join(traceback.format_exception(error)))
        if self._error is None:
            self._error = str(error) or type(error).__name__
        with self._lock:
            self._images.clear()
            self._sound.clear()

    def _free_bytes(self) -> int:
        folder = self._writer.path if self._writer.path.is_dir() else self._writer.path.parent
        return shutil.disk_usage(folder).free


def _size(path: Path) -> int:
    """Bytes of a file, or of a folder's files."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.iterdir())
    return path.stat().st_size if path.exists() else 0
