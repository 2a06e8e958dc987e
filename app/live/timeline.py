"""Poses over stream time, from the inference thread to the render thread."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from avatar.flame.params import FlameParams

__all__ = ["PoseTimeline"]


class PoseTimeline:
    """The last seconds of poses, in the order of their time.

    Writer: the inference thread (`append`). Reader: the render thread (`sample`). Capacity: `capacity` poses, the
    oldest are dropped. The lock is held for microseconds; neither side is a device callback.
    """

    _HOLD_S = 0.15
    _EASE_S = 0.35
    """When no pose comes, the last is held for a moment, then the face eases to rest; and back when poses return.
    `rest` is what it eases to: the feeling that is picked, silent; a neutral face while it is None."""

    def __init__(self, capacity: int = 200) -> None:
        self._poses: deque[FlameParams] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self._rest_weight = 0.0
        self._last_sample_s = 0.0
        self.rest: FlameParams | None = None

    def append(self, poses: Sequence[FlameParams]) -> None:
        """Add poses later than all before; a pose that is not (the driver was reset) clears what comes after it."""
        with self._lock:
            for pose in poses:
                while self._poses and self._poses[-1].stream_time_s >= pose.stream_time_s:
                    self._poses.pop()
                self._poses.append(pose)

    def clear(self) -> None:
        """Forget everything: another avatar's poses follow."""
        with self._lock:
            self._poses.clear()

    @property
    def newest_s(self) -> float | None:
        """Stream time of the newest pose."""
        with self._lock:
            return self._poses[-1].stream_time_s if self._poses else None

    def sample(self, time_s: float) -> FlameParams | None:
        """The pose at a stream time, interpolated; None before the first pose ever."""
        with self._lock:
            if not self._poses:
                return None
            times = [p.stream_time_s for p in self._poses]
            k = bisect_right(times, time_s)
            before, after = self._poses[max(k - 1, 0)], self._poses[min(k, len(times) - 1)]
        span = after.stream_time_s - before.stream_time_s
        pose = FlameParams.lerp(before, after, (time_s - before.stream_time_s) / span) if span > 0 else before
        return self._eased(pose, time_s, starved_s=time_s - times[-1])

    def _eased(self, pose: FlameParams, time_s: float, starved_s: float) -> FlameParams:
        elapsed = min(max(time_s - self._last_sample_s, 0.0), 0.1)
        self._last_sample_s = time_s
        goal = min(max((starved_s - self._HOLD_S) / self._EASE_S, 0.0), 1.0)
        step = elapsed / self._EASE_S
        self._rest_weight += min(max(goal - self._rest_weight, -step), step)
        weight = self._rest_weight
        if weight <= 0:
            return pose
        rest = self.rest or FlameParams.neutral(pose.shape.shape[-1], pose.expression.shape[-1])
        rest = rest.replace(shape=pose.shape)
        return FlameParams.lerp(pose, rest, weight * weight * (3 - 2 * weight)).replace(stream_time_s=time_s)
