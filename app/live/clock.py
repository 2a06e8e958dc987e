"""One clock for sound, pictures and files: stream time."""

from __future__ import annotations

import time

__all__ = ["StreamClock"]


class StreamClock:
    """Maps stream time (samples / rate, seconds since the session began) to `time.perf_counter` and back.

    Anchored once, to the capture time of the first sample; then it follows the device's own clock slowly, so that an
    hour at 100 ppm of drift does not become a third of a second of delay.

    Writer: the audio thread. Readers: any; a reading is one attribute, so it is never torn.
    """

    _GAIN = 0.01
    _SLEW_S = 0.0005
    """The most that one observation (10-20 ms of sound) may move the clock: 25-50 ms a second at first sight."""

    def __init__(self) -> None:
        self._zero_s = time.perf_counter()

    def now(self) -> float:
        """Stream time, seconds."""
        return time.perf_counter() - self._zero_s

    def stream_time(self, at_s: float) -> float:
        """Stream time of an instant of `time.perf_counter`."""
        return at_s - self._zero_s

    def wall_time(self, stream_time_s: float) -> float:
        """The instant of `time.perf_counter` at which a stream time was captured."""
        return stream_time_s + self._zero_s

    def error(self, stream_time_s: float, captured_at_s: float) -> float:
        """How much later than the clock says a sample was captured, seconds."""
        return captured_at_s - stream_time_s - self._zero_s

    def follow(self, stream_time_s: float, captured_at_s: float) -> None:
        """A sample of this stream time was captured at that instant."""
        step = self._GAIN * self.error(stream_time_s, captured_at_s)
        self._zero_s += min(max(step, -self._SLEW_S), self._SLEW_S)

    def anchor(self, stream_time_s: float, captured_at_s: float) -> None:
        """The same, at once."""
        self._zero_s = captured_at_s - stream_time_s
