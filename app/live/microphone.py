"""A microphone that is open: what its callback delivers, with the time at which it was captured."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from app.live.device_list import InputDevice, located, matching
from app.live.exchange import AudioRing, RingReader, Wake
from app.live.portaudio import sounddevice
from avatar.errors import UserError

__all__ = ["Capture", "DeviceCapture", "open_device", "read_stamped"]

_RING_S = 4.0
_BLOCK_S = 0.01
_STALLED_S = 1.0
_FIRST_S = 10.0
"""A headset that has to go over to another profile first takes seconds to deliver anything."""
_MOST_CHANNELS = 8
_ALSA_BUFFER_S = 0.05
"""ALSA's buffer may be larger than a block without any delay: blocks come as soon as they are full (0.4 ms from write
to callback, measured through PulseAudio, as with the 20 ms of "low"), and a busy machine has longer to fetch them."""


class Capture(Protocol):
    """Sound as it comes in. One thread reads; closing is the opener's."""

    label: str
    sample_rate: int
    channels: int
    channel: int | None
    """The one that is heard, counted from 0; None takes those that speech is in."""
    overflows: int
    ended: bool
    """Nothing more will come, and nothing is wrong."""

    def attach(self, wake: Wake) -> None:
        """Set `wake` whenever there is something to read."""

    def read(self) -> tuple[Float32[np.ndarray, "n c"], float]:
        """What has come since the last call, and when its first sample was captured (`time.perf_counter`)."""

    @property
    def healthy(self) -> bool:
        """False once it has ended or has stalled."""

    def close(self) -> None:
        """Give the device or file back. Idempotent."""


def open_device(key: str | None, channel: int | None = None) -> DeviceCapture:
    """Open an input by its key, or the system's default. On PortAudio's thread; may take seconds.

    Args:
        channel: the one to hear, counted from 1; those that speech is in if None.

    Raises:
        UserError: if there is none, it cannot be opened, or has no such channel.
    """
    sd = sounddevice()
    inputs = located(sd)
    if not inputs:
        raise UserError("no microphone was found")
    chosen = matching([device for device, _ in inputs], key) if key else inputs[0][0]
    if chosen is None:
        raise UserError(f"the microphone {key!r} is not connected")
    return DeviceCapture(sd, chosen, dict(inputs)[chosen], channel)


class DeviceCapture:
    """An open input device that writes into a ring.

    The device's callback is the ring's writer; the audio thread is its reader. All channels of a microphone or an
    interface are taken, since speech may be in any; of what claims more than eight (the devices that stand for a sound
    server say 32 or 128, and repeat themselves) the first two, or as many as are needed for the one that is picked.
    """

    def __init__(self, sd: ModuleType, device: InputDevice, index: int, channel: int | None = None) -> None:
        """
        Args:
            sd: the library sounddevice.
            index: of the device, as PortAudio counts now.
            channel: the one to hear, counted from 1; those that speech is in if None.

        Raises:
            UserError: if the device cannot be opened, or has no such channel.
        """
        if channel is not None and not 1 <= channel <= device.channels:
            raise UserError(f"{device.name}: has {device.channels} channels; there is no channel {channel}")
        self.device = device
        self.label = device.name
        self.channel = None if channel is None else channel - 1
        wanted = device.channels if device.channels <= _MOST_CHANNELS else max(2, channel or 0)
        self.overflows = 0
        self.ended = False
        self.callbacks = 0
        self._finished = False
        wasapi = device.host_api == "Windows WASAPI"
        stream: Any = None
        rates = dict.fromkeys((device.sample_rate, 48000, 44100, 16000))
        fewer = dict.fromkeys((wanted, max(min(wanted, 2), channel or 1)))  # some drivers claim more than they give
        for rate, channels in itertools.product(rates, fewer):
            self.sample_rate, self.channels = rate, channels
            self._ring = AudioRing(round(rate * _RING_S), self.channels)
            self._reader = self._ring.reader()
            self._stamp = (0, time.perf_counter())
            try:
                stream = sd.InputStream(
                    samplerate=rate,
                    blocksize=round(rate * _BLOCK_S),
                    device=index,
                    channels=self.channels,
                    dtype="float32",
                    latency=_ALSA_BUFFER_S if device.host_api == "ALSA" else "low",
                    # Shared mode takes the mixer's rate alone, unless Windows may convert.
                    extra_settings=sd.WasapiSettings(auto_convert=True) if wasapi else None,
                    callback=self._callback,
                    finished_callback=self._on_finished,
                )
                stream.start()
                break
            except sd.PortAudioError as error:
                if stream is not None:
                    stream.close(ignore_errors=True)
                    stream = None
                problem = error
        if stream is None:
            raise UserError(
                f"{device.name}: cannot be opened ({_reason(problem)}); another program may hold it"
            ) from problem
        self._stream: Any = stream
        self._opened_s = time.perf_counter()

    @property
    def healthy(self) -> bool:
        now_s = time.perf_counter()
        late = now_s - self._opened_s > _FIRST_S if not self.callbacks else now_s - self._stamp[1] > _STALLED_S
        return not self._finished and not late

    def attach(self, wake: Wake) -> None:
        self._ring.reader(wake)

    def read(self) -> tuple[Float32[np.ndarray, "n c"], float]:
        return read_stamped(self._reader, lambda: self._stamp, self.sample_rate)

    def close(self) -> None:
        """On PortAudio's thread."""
        stream, self._stream = self._stream, None
        self._finished = True
        if stream is not None:
            try:
                stream.abort(ignore_errors=True)
            finally:
                stream.close(ignore_errors=True)

    # The device's thread: nothing here may wait, lock, log or grow.
    def _callback(self, indata: np.ndarray, frames: int, times: Any, status: Any) -> None:
        age = times.currentTime - times.inputBufferAdcTime
        length = frames / self.sample_rate
        if not length < age < 1.0:  # some host APIs do not say, or say what cannot be
            age = length
        self._ring.write(indata)
        self._stamp = (self._ring.written, time.perf_counter() - age + length)
        self.callbacks += 1
        if status and status.input_overflow:
            self.overflows += 1

    def _on_finished(self) -> None:
        self._finished = True


def read_stamped(
    reader: RingReader, stamp: Callable[[], tuple[int, float]], sample_rate: int
) -> tuple[Float32[np.ndarray, "n c"], float]:
    """Read what waits; the capture time of its first sample follows from the stamp of the newest."""
    samples = reader.read()
    written, captured_end_s = stamp()
    first = reader.position - len(samples)
    return samples, captured_end_s - (written - first) / sample_rate


def _reason(error: Exception) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening InputStream: ").rstrip(".")
