"""A recording of what is live."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from app.live.scene import LiveImage
from app.live.voice import SOUND_RATE
from app.output.pacer import Ceiling
from app.output.recorder import Recorder, RecorderStatus

__all__ = ["LiveRecording"]


class LiveRecording:
    """A recorder's place in stream time: sound and images are shifted alike, so they stay in step.

    The picture runs behind the sound, so a recording ends in two steps: `end` takes no more sound, and the file is
    closed when the last of it has been seen. Nobody waits for that; whoever wants to asks `status` now and then.
    """

    _PATIENCE_S = 2.0
    """For the last images: a renderer that has died sends none."""

    def __init__(
        self, recorder: Recorder, size: tuple[int, int], now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        """
        Args:
            size: width and height of the images that belong into it, pixels; others are left out.
        """
        self.recorder = recorder
        self.size = size
        self._now_s = now_s
        self._start_s: float | None = None
        self._heard_s = 0.0
        self._ended_at_s: float | None = None
        most_fps = recorder.writer.most_fps
        self._ceiling = Ceiling(most_fps) if most_fps else None

    def sound(self, samples: Float32[np.ndarray, " n"], first: int) -> None:
        """On the audio thread."""
        if self._ended_at_s is not None:
            return
        if self._start_s is None:
            self._start_s = first / SOUND_RATE
        self._heard_s = (first + len(samples)) / SOUND_RATE
        self.recorder.offer_audio(samples)

    def image(self, image: LiveImage) -> None:
        """On the render thread. An image shows a moment of the voice that is a little past: what lies before the
        recording's first sample is left out, and what lies after its last one ends it."""
        start_s = self._start_s
        if start_s is None or image.bgra.shape[:2] != (self.size[1], self.size[0]):
            return
        stream_s = image.request.stream_time_s
        if self._ended_at_s is not None and stream_s >= self._heard_s:
            self.recorder.finish()
        elif self._ceiling is None or self._ceiling.admits(stream_s - start_s):
            self.recorder.offer_image(image.bgra, stream_s - start_s)

    def end(self) -> None:
        """Take no more sound; close the file when the picture has come as far. Returns at once; idempotent."""
        if self._ended_at_s is None:
            self._ended_at_s = self._now_s()

    @property
    def ending(self) -> bool:
        """Whether `end` was called."""
        return self._ended_at_s is not None

    @property
    def status(self) -> RecorderStatus:
        """How it goes; it is over when it does not run any more."""
        if self._ended_at_s is not None and (
            self._start_s is None or self._now_s() - self._ended_at_s > self._PATIENCE_S
        ):
            self.recorder.finish()
        return self.recorder.status
