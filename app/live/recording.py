"""A recording of what is live."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from app.live.scene import LiveImage
from app.live.voice import SOUND_RATE
from app.output.pacer import Ceiling
from app.output.recorder import Recorder

__all__ = ["LiveRecording"]


class LiveRecording:
    """A recorder's place in stream time: sound and images are shifted alike, so they stay in step."""

    def __init__(self, recorder: Recorder, size: tuple[int, int]) -> None:
        """
        Args:
            size: width and height of the images that belong into it, pixels; others are left out.
        """
        self.recorder = recorder
        self.size = size
        self._start_s: float | None = None
        most_fps = recorder.writer.most_fps
        self._ceiling = Ceiling(most_fps) if most_fps else None

    def sound(self, samples: Float32[np.ndarray, " n"], first: int) -> None:
        """On the audio thread."""
        if self._start_s is None:
            self._start_s = first / SOUND_RATE
        self.recorder.offer_audio(samples)

    def image(self, image: LiveImage) -> None:
        """On the render thread. An image shows a moment of the voice that is a little past: what lies before the
        recording's first sample is left out."""
        start_s = self._start_s
        if start_s is None or image.bgra.shape[:2] != (self.size[1], self.size[0]):
            return
        time_s = image.request.stream_time_s - start_s
        if self._ceiling is None or self._ceiling.admits(time_s):
            self.recorder.offer_image(image.bgra, time_s)
