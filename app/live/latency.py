"""Sound-to-photon latency: what the painted images say about it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from app.live.clock import StreamClock
from app.live.scene import Drawn

__all__ = ["LatencyMeter", "LatencyReport"]


@dataclass(frozen=True)
class LatencyReport:
    """Of the images painted lately."""

    median_ms: float
    p95_ms: float
    images_per_s: float
    images: int
    stages: dict[str, float]
    """Medians, ms, in order; they add up to about the median. `lookahead`: the model's need of sound after the moment
    shown. `capture`: from the device's microphone to the ring. `inference`: from the ring to a pose. `wait`: until
    drawing begins (the pace of images, and the reserve that keeps the delay constant). `draw`, `paint`."""


class LatencyMeter:
    """Collects painted images.

    The latency of an image is the time from the capture of the moment of sound that it shows to the end of its
    painting. Writer: the thread that paints. Readers: any.
    """

    def __init__(self, clock: StreamClock, keep: int = 2000) -> None:
        self._clock = clock
        self._rows: deque[tuple[float, ...]] = deque(maxlen=keep)
        self._lock = threading.Lock()

    def painted(self, drawn: Drawn, at_s: float | None = None) -> None:
        """A request is on the screen."""
        at_s = time.perf_counter() if at_s is None else at_s
        shown_s = self._clock.wall_time(drawn.request.stream_time_s)
        pose = drawn.request.timing
        if pose is None:
            return
        lookahead = pose.captured_s - self._clock.wall_time(pose.pose_time_s)
        row = (
            at_s,
            at_s - shown_s,
            lookahead,
            pose.written_s - pose.captured_s,
            pose.done_s - pose.written_s,
            drawn.draw_ms / 1000,
            at_s - drawn.drawn_s,
        )
        with self._lock:
            self._rows.append(row)

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._rows.clear()

    def report(self, last_s: float | None = None) -> LatencyReport:
        """Figures of all images kept, or of the last seconds; zeros if there are none."""
        since_s = -np.inf if last_s is None else time.perf_counter() - last_s
        with self._lock:
            rows = np.array([row for row in self._rows if row[0] > since_s])
        if not len(rows):
            return LatencyReport(0.0, 0.0, 0.0, 0, {})
        medians = np.median(rows[:, 2:], 0) * 1000
        total = float(np.median(rows[:, 1]) * 1000)
        lookahead, capture, inference, draw, paint = (float(m) for m in medians)
        stages = {
            "lookahead": lookahead,
            "capture": capture,
            "inference": inference,
            "wait": total - float(medians.sum()),
            "draw": draw,
            "paint": paint,
        }
        span = rows[-1, 0] - rows[0, 0]
        return LatencyReport(
            total,
            float(np.percentile(rows[:, 1], 95) * 1000),
            (len(rows) - 1) / span if span > 0 else 0.0,
            len(rows),
            stages,
        )
