"""Images that come at any times, onto a rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

__all__ = ["Ceiling", "Pacer"]

Image = UInt8[np.ndarray, "h w 4"]


class Pacer:
    """Holds each image until the next one's place on the grid.

    A picture is passed on once its place is past, so that a later one for the same place can still replace it.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.index = -1
        """Place of the image that is held."""
        self._held: Image | None = None

    def push(self, image: Image, time_s: float, emit: Callable[[Image, float], None]) -> None:
        """Take an image; `emit` is called with what is due, and its time on the grid. The image is kept: it must not
        change any more."""
        index = max(0, round(time_s * self.fps))
        if self._held is None:
            self.index = index
        else:
            while self.index < index:
                emit(self._held, self.index / self.fps)
                self.index += 1
        self._held = image

    def finish(self, emit: Callable[[Image, float], None]) -> None:
        """Pass on the last image."""
        if self._held is not None:
            emit(self._held, self.index / self.fps)
            self._held = None


class Ceiling:
    """Lets at most so many images a second through, evenly, each with its own time."""

    def __init__(self, fps: float) -> None:
        self._step_s = 1 / fps
        self._due_s = 0.0

    def admits(self, time_s: float) -> bool:
        """Whether the image of this time goes through; times rise."""
        if time_s < self._due_s:
            return False
        self._due_s = max(self._due_s + self._step_s, time_s)  # what a gap has saved up is not spent in a burst
        return True
