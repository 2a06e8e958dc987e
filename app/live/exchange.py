"""What passes between threads while live, and the promises of each exchange."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float32

__all__ = ["AudioRing", "Latest", "RingReader", "Wake"]

T = TypeVar("T")


class Wake:
    """A signal from one thread to one other that never blocks its setter.

    Writer: `set`, one thread, wait-free (a device callback may call it). Reader: `wait`, one thread.
    Several `set` before a `wait` are one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the reader, now or when it next waits."""
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:  # another setter was faster: the reader is awake anyway
                return

    def wait(self, timeout_s: float) -> bool:
        """Sleep until set; False if the time ran out."""
        return self._lock.acquire(timeout=max(timeout_s, 0.0))


class Latest(Generic[T]):
    """A one-slot mailbox: only the newest value counts.

    Writers: any. Readers: any; each keeps the version that it has seen. Capacity: 1. When full, the old value is
    replaced; nothing waits.
    """

    def __init__(self, value: T) -> None:
        self._slot = (0, value)
        self._lock = threading.Lock()  # between writers only

    def put(self, value: T) -> None:
        """Replace the value."""
        with self._lock:
            self._slot = (self._slot[0] + 1, value)

    def get(self) -> T:
        """The newest value."""
        return self._slot[1]

    def versioned(self) -> tuple[int, T]:
        """The newest value and how many came before it."""
        return self._slot


class AudioRing:
    """The last seconds of a stream of samples.

    Writer: one thread; `write` is wait-free: no lock, no growing memory, no waiting. Readers: any number, each with
    its own `RingReader`, each used by one thread; they never hold up the writer. Capacity: fixed. When a reader is so
    late that samples it has not seen are written over, it skips to what is still whole and counts them.

    The writer announces what it is about to overwrite before it copies, and commits after; a reader checks the
    announcement again after it has copied, so that it never returns torn samples.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(f"expected a capacity and channels of at least 1, got {capacity} and {channels}")
        self.capacity = capacity
        self.channels = channels
        self._data = np.zeros((capacity, channels), np.float32)
        self._announced = 0
        self._committed = 0
        self._wakes: tuple[Wake, ...] = ()

    @property
    def written(self) -> int:
        """Samples written since the beginning."""
        return self._committed

    def reader(self, wake: Wake | None = None, at: int | None = None) -> RingReader:
        """A reader from now on, or from sample `at`; `wake` is set at every write."""
        if wake is not None:
            self._wakes = (*self._wakes, wake)
        return RingReader(self, self._committed if at is None else at)

    def forget(self, wake: Wake) -> None:
        """Stop waking a reader that has gone."""
        self._wakes = tuple(w for w in self._wakes if w is not wake)

    def write(self, samples: Float32[np.ndarray, "n c"]) -> None:
        """Append samples; of a block longer than the ring only the end is kept."""
        n = len(samples)
        end = self._committed + n
        self._announced = end
        if n > self.capacity:
            samples = samples[n - self.capacity :]
        at = (end - len(samples)) % self.capacity
        first = min(len(samples), self.capacity - at)
        self._data[at : at + first] = samples[:first]
        if first < len(samples):
            self._data[: len(samples) - first] = samples[first:]
        self._committed = end
        for wake in self._wakes:
            wake.set()


class RingReader:
    """One thread's place in an `AudioRing`."""

    def __init__(self, ring: AudioRing, at: int) -> None:
        self._ring = ring
        self.position = at
        """The next sample to be read, counted from the stream's beginning."""
        self.lost = 0
        """Samples that were written over before they were read."""

    @property
    def available(self) -> int:
        """Samples that wait."""
        return self._ring._committed - self.position

    def read(self, limit: int | None = None) -> Float32[np.ndarray, "n c"]:
        """A copy of the samples that wait, at most `limit` of them; empty if there are none.

        `position` - len(result) is the first returned sample's number: it jumps when samples were lost.
        """
        ring = self._ring
        while True:
            committed = ring._committed
            oldest = max(0, committed - ring.capacity)
            if self.position < oldest:
                self.lost += oldest - self.position
                self.position = oldest
            end = committed if limit is None else min(committed, self.position + limit)
            out = self._copy(self.position, end)
            torn = ring._announced - ring.capacity - self.position
            if torn <= 0:
                self.position = max(self.position, end)
                return out
            # Overtaken while copying. Leave the writer some room, or it would happen again at once.
            skip = torn + min(ring.capacity // 8, 4096)
            self.lost += skip
            self.position += skip

    def skip_to(self, position: int) -> None:
        """Go on reading from another place."""
        self.position = position

    def _copy(self, start: int, end: int) -> Float32[np.ndarray, "n c"]:
        ring = self._ring
        n = max(0, end - start)
        out = np.empty((n, ring.channels), np.float32)
        at = start % ring.capacity
        first = min(n, ring.capacity - at)
        out[:first] = ring._data[at : at + first]
        out[first:] = ring._data[: n - first]
        return out
