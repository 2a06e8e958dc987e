"""The audio thread: from whatever device there is to two continuous streams on one clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import soxr
from jaxtyping import Float32

from animation.speech.audio import SAMPLE_RATE, StreamingResampler
from app.downmix import Downmix
from app.live.clock import StreamClock
from app.live.exchange import AudioRing, Latest
from app.live.level import LevelMeter, NoiseGate
from app.live.microphone import Capture
from app.live.worker import Failure, Worker
from app.settings import VoiceSettings

__all__ = ["SOUND_RATE", "VoiceInput"]

SOUND_RATE = 48_000
"""Of the stream that is recorded and played; that of most devices, which then passes through untouched."""

_RING_S = 12.0
_PER_MS = SAMPLE_RATE // 1000
_RATIO = SOUND_RATE // SAMPLE_RATE


class VoiceInput(Worker):
    """Reads the present capture and writes `voice` (mono, 16 kHz, for the models) and `sound` (mono, 48 kHz, for files
    and loudspeakers). Sample n of either belongs to stream time n / rate, without gaps: what a device does not deliver
    is silence, so that a recording goes on and stays in step.

    Exchange: `switch` takes a capture from the devices thread (one slot, the newest wins; its closing stays with the
    giver). Both rings hold 12 s; any number of readers.
    """

    _STALL_S = 0.25
    """A capture that is silent for so long is filled in for."""
    _JUMP_S = 0.08
    """A difference between samples and clock above this is no drift: samples were lost, or came in excess."""

    def __init__(
        self,
        clock: StreamClock,
        settings: Latest[VoiceSettings],
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        super().__init__("audio", on_failure)
        self.voice = AudioRing(round(SAMPLE_RATE * _RING_S))
        self.sound = AudioRing(round(SOUND_RATE * _RING_S))
        self.meter = LevelMeter()
        self.gaps = 0
        """How often samples were missing from a running capture."""
        self.voice_stamp = (0, 0.0, 0.0)
        """Samples in `voice`, and when the newest block was captured and written (`time.perf_counter`)."""
        self.clock = clock
        self._settings = settings
        self._tap: Callable[[Float32[np.ndarray, " n"], int], None] | None = None
        self._next: Latest[Capture | None] = Latest(None)
        self._version = 0
        self._capture: Capture | None = None
        self._segment: _Segment | None = None
        self._heard_s = 0.0
        self._anchored = False

    def switch(self, capture: Capture | None) -> None:
        """Read this capture from now on; None for silence."""
        if capture is not None:
            capture.attach(self.wake)
        self._next.put(capture)
        self.wake.set()

    def tap(self, receiver: Callable[[Float32[np.ndarray, " n"], int], None] | None) -> None:
        """Give every block of `sound`, with the number of its first sample, to a recording; None ends it."""
        self._tap = receiver

    @property
    def stream_s(self) -> float:
        """How far the streams have come, seconds."""
        return self.voice.written / SAMPLE_RATE

    def run(self) -> None:
        while not self.stopping:
            self.wake.wait(0.02)
            self.step()

    def step(self) -> None:
        """Do what is due; the loop's body."""
        version, capture = self._next.versioned()
        if version != self._version:
            self._version = version
            self._end_segment()
            self._capture = capture
        now_s = time.perf_counter()
        if capture is not None:
            samples, captured_s = capture.read()
            if len(samples):
                self._heard_s = now_s
                self._take(capture, samples, captured_s)
                return
        if capture is None or capture.ended or now_s - self._heard_s > self._STALL_S:
            self._end_segment()
            self._silence(self.clock.now())

    def _take(self, capture: Capture, samples: Float32[np.ndarray, "n c"], captured_s: float) -> None:
        if self._segment is not None:
            error = self.clock.error(self._segment.time_s, captured_s)
            if error > self._JUMP_S:
                self.gaps += 1
                self._end_segment()
            elif error < -self._JUMP_S:
                self.clock.anchor(self._segment.time_s, captured_s)
            else:
                self.clock.follow(self._segment.time_s, captured_s)
        if self._segment is None:
            if not self._anchored:
                self.clock.anchor(self.stream_s, captured_s)
                self._anchored = True
            behind = self.clock.error(self.stream_s, captured_s)
            if behind < 0:  # heard before the silence that already stands in for it
                samples = samples[math.ceil(-behind * capture.sample_rate) :]
                if not len(samples):
                    return
            else:
                self._silence(self.clock.stream_time(captured_s))
            self._segment = _Segment(capture, self.stream_s)
        voice, sound = self._segment.process(samples, self._settings.get(), self.meter)
        self._write(voice, sound)
        self.voice_stamp = (
            self.voice.written,
            captured_s + len(samples) / capture.sample_rate,
            time.perf_counter(),
        )

    def _end_segment(self) -> None:
        if self._segment is None:
            return
        self._write(*self._segment.finish())
        self._segment = None
        # Bring both rings to the same whole millisecond, from where the next segment starts.
        milliseconds = math.ceil(max(self.voice.written, self.sound.written / _RATIO) / _PER_MS)
        self._write(
            np.zeros(milliseconds * _PER_MS - self.voice.written, np.float32),
            np.zeros(milliseconds * _PER_MS * _RATIO - self.sound.written, np.float32),
        )

    def _silence(self, until_s: float) -> None:
        milliseconds = int((until_s - self.stream_s) * 1000)
        if milliseconds > 0:
            milliseconds = min(milliseconds, int(_RING_S * 1000))
            silence = np.zeros(milliseconds * _PER_MS * _RATIO, np.float32)
            self.meter.process(silence[:: _RATIO * 4], SAMPLE_RATE // 4)
            self.meter.silent_s = 0.0
            self._write(silence[: milliseconds * _PER_MS], silence)
            self.voice_stamp = (self.voice.written, self.clock.wall_time(until_s), time.perf_counter())

    def _write(self, voice: Float32[np.ndarray, " n"], sound: Float32[np.ndarray, " m"]) -> None:
        if len(sound):
            if (tap := self._tap) is not None:
                tap(sound, self.sound.written)
            self.sound.write(sound[:, None])
        if len(voice):
            self.voice.write(voice[:, None])


class _Segment:
    """Uninterrupted sound of one capture."""

    def __init__(self, capture: Capture, start_s: float) -> None:
        self._rate = capture.sample_rate
        self._start_s = start_s
        self._taken = 0
        self._gate = NoiseGate(self._rate)
        self._gain = 0.0
        self._downmix = Downmix(capture.channels, self._rate, pick=capture.channel)
        self._to_voice = StreamingResampler(self._rate)
        self._to_sound = (
            None
            if self._rate == SOUND_RATE
            else soxr.ResampleStream(self._rate, SOUND_RATE, 1, dtype="float32", quality="HQ")
        )

    @property
    def time_s(self) -> float:
        """Stream time of the next sample."""
        return self._start_s + self._taken / self._rate

    def process(
        self, samples: Float32[np.ndarray, "n c"], settings: VoiceSettings, meter: LevelMeter
    ) -> tuple[np.ndarray, np.ndarray]:
        """The block at both rates."""
        self._taken += len(samples)
        mono = self._downmix.feed(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0))
        silent = not mono.any()
        # A change of gain, and the start, ramps over the block.
        mono = mono * np.linspace(self._gain, settings.gain, len(mono), dtype=np.float32)
        self._gain = settings.gain
        before = meter.silent_s
        meter.process(mono, self._rate)
        if not silent:
            meter.silent_s = 0.0
        elif settings.muted:
            meter.silent_s = before
        mono = np.clip(self._gate.process(mono, settings), -1.0, 1.0)
        sound = mono if self._to_sound is None else self._to_sound.resample_chunk(mono)
        return self._to_voice.feed(mono), sound

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """What the resamplers still hold."""
        empty = np.zeros(0, np.float32)
        return self._to_voice.finish(), empty if self._to_sound is None else self._to_sound.resample_chunk(
            empty, last=True
        )
