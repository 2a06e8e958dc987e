"""An audio file played into the application as if it were spoken into a microphone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from app.audio_file import open_audio
from app.live.exchange import AudioRing, Wake
from app.live.microphone import read_stamped
from app.live.worker import Failure, Worker
from avatar.errors import UserError

__all__ = ["FileCapture"]

_RING_S = 4.0
_BLOCK_S = 0.01


class FileCapture(Worker):
    """A thread that writes a file's sound into a ring, in time; a `Capture` for whoever reads."""

    def __init__(
        self,
        path: Path,
        loop: bool = False,
        track: int | None = None,
        channel: int | None = None,
        on_end: Callable[[], None] = lambda: None,
        start_s: float = 0.0,
    ) -> None:
        """
        Args:
            start_s: where to begin; once it loops, at the beginning.
            track, channel: as for `app.audio_file.open_audio`.
            on_end: called on this thread when the file has ended, or cannot be read any further.

        Raises:
            UserError: if the file cannot be read.
        """
        super().__init__("player")
        self._on_end = on_end
        self._audio = open_audio(path, track=track, channel=channel)
        self._loop = loop
        self.label = path.name
        self.sample_rate = self._audio.sample_rate
        self.channels = 1  # the reader has found the voice already
        self.channel: int | None = None
        self.overflows = 0
        self.duration_s = self._audio.duration_s
        self.ended = False
        self.position_s = self._start_s = start_s
        """How much of the file has been played."""
        self._ring = AudioRing(round(self.sample_rate * _RING_S), self.channels)
        self._reader = self._ring.reader()
        self._stamp = (0, time.perf_counter())
        self.start()

    @property
    def healthy(self) -> bool:
        """A file that has ended is no failure."""
        return self.failure is None

    def attach(self, wake: Wake) -> None:
        """Set `wake` whenever there is something to read."""
        self._ring.reader(wake)

    def read(self) -> tuple[Float32[np.ndarray, "n c"], float]:
        """See `Capture.read`."""
        return read_stamped(self._reader, lambda: self._stamp, self.sample_rate)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self.stop(2.0)

    def run(self) -> None:
        try:
            self._play()
            self.ended = not self.stopping
        except UserError as error:
            self.failure = Failure.of(self.name, error)
        finally:
            self._on_end()

    def _play(self) -> None:
        block = max(1, round(self.sample_rate * _BLOCK_S))
        start_s, played = time.perf_counter(), 0
        skip = round(self._start_s * self.sample_rate)
        while True:
            place = 0
            for chunk in self._audio.blocks():
                if place < skip:  # reading so far takes time that the sound must not make up for
                    start_s = time.perf_counter()
                first = max(0, min(skip - place, len(chunk)))
                place += first
                for at in range(first, len(chunk), block):
                    part = chunk[at : at + block, None]
                    played += len(part)
                    place += len(part)
                    due_s = start_s + played / self.sample_rate
                    while not self.stopping and (left := due_s - time.perf_counter()) > 0:
                        self.wake.wait(left)
                    if self.stopping:
                        return
                    self._ring.write(part)
                    self._stamp = (self._ring.written, due_s)
                    self.position_s = place / self.sample_rate
            if not self._loop:
                return
            skip = 0
