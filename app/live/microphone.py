"""Input devices through PortAudio: finding, opening, capturing."""

from __future__ import annotations

import itertools
import json
import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from app.child import python_command
from app.live.exchange import AudioRing, RingReader, Wake
from avatar.errors import UserError

__all__ = [
    "Capture",
    "DeviceCapture",
    "InputDevice",
    "Resident",
    "find_device",
    "fresh_inputs",
    "guarded",
    "list_inputs",
    "move_in",
    "move_out",
    "open_device",
    "rescan",
]

_log = logging.getLogger(__name__)
_RING_S = 4.0
_BLOCK_S = 0.01
_STALLED_S = 1.0
_MOST_CHANNELS = 8
_ALSA_BUFFER_S = 0.05
"""ALSA's buffer may be larger than a block without any delay: blocks come as soon as they are full (0.4 ms from write
to callback, measured through PulseAudio, as with the 20 ms of "low"), and a busy machine has longer to fetch them."""


@dataclass(frozen=True)
class InputDevice:
    """A microphone as the system shows it. Its index is left out: it changes when another device comes or goes."""

    name: str
    host_api: str
    channels: int
    sample_rate: int
    default: bool = False

    @property
    def key(self) -> str:
        """What settings remember."""
        return f"{self.host_api}: {self.name}"


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
        """Give the device back. Idempotent."""


def list_inputs() -> list[InputDevice]:
    """The inputs that PortAudio knows, the default first; empty where there is no PortAudio.

    PortAudio's list is as old as its initialisation: see `rescan` and `fresh_inputs`.
    """
    try:
        sd = _sounddevice()
        return _inputs(list(sd.query_hostapis()), list(sd.query_devices()), sd.default.device[0])
    except UserError:
        return []


def fresh_inputs(timeout_s: float = 10.0) -> list[InputDevice]:
    """The inputs as they are now, asked in a process of its own, so that streams that run are left alone."""
    code = (
        "import json, sys, sounddevice as sd; "
        "json.dump([list(sd.query_hostapis()), list(sd.query_devices()), sd.default.device[0]], sys.stdout)"
    )
    try:
        done = subprocess.run(python_command(code), capture_output=True, text=True, timeout=timeout_s, check=True)
        return _inputs(*json.loads(done.stdout))
    except (subprocess.SubprocessError, OSError, ValueError, TypeError) as error:
        _log.warning("asking for the input devices failed: %s", error)
        return list_inputs()


def _inputs(apis: list[dict[str, Any]], devices: list[dict[str, Any]], default: int) -> list[InputDevice]:
    found = []
    for index, device in enumerate(devices):
        if device["max_input_channels"] < 1:
            continue
        if default < 0:
            default = index
        rate = round(device["default_samplerate"]) or 48000
        api = apis[device["hostapi"]]["name"]
        found.append(InputDevice(device["name"], api, device["max_input_channels"], rate, index == default))
    return sorted(found, key=lambda d: not d.default)


def find_device(name: str) -> str:
    """The key of the device whose key or name this is, or of the only one whose name contains it.

    Raises:
        UserError: if there is none, or more than one.
    """
    inputs = list_inputs()
    exact = [d.key for d in inputs if name in (d.key, d.name)]
    found = exact[:1] or [d.key for d in inputs if name.lower() in d.name.lower()]
    if len(found) != 1:
        names = ", ".join(d.name for d in inputs) or "none"
        raise UserError(f"microphone {name!r}: {'several match' if found else 'not found'}; there are: {names}")
    return found[0]


class Resident(Protocol):
    """Whoever keeps a PortAudio stream open beside the microphone."""

    def suspend(self) -> None:
        """Close the stream."""

    def resume(self) -> None:
        """Open it again; what goes wrong is kept, not raised."""


_residents: list[Resident] = []
_guard = threading.RLock()
"""Held while PortAudio starts anew, and while residents open and close: a stream must not outlive its PortAudio."""


@contextmanager
def guarded() -> Iterator[None]:
    """Open and close streams of residents in here."""
    with _guard:
        yield


def move_in(resident: Resident) -> None:
    """Be told when PortAudio starts anew."""
    with _guard:
        _residents.append(resident)


def move_out(resident: Resident) -> None:
    """The opposite of `move_in`. Idempotent."""
    with _guard:
        if resident in _residents:
            _residents.remove(resident)


def rescan() -> None:
    """Make PortAudio look for devices again. Ends every open stream: residents are asked to close theirs and open them
    again afterwards; no microphone may be open."""
    with _guard:
        for resident in _residents:
            resident.suspend()
        try:
            sd = _sounddevice()
            sd._terminate()
            sd._initialize()
        except UserError:
            return
        except Exception as error:  # PortAudioError; the class is not importable without PortAudio
            _log.warning("looking for devices again failed: %s", error)
        for resident in _residents:
            resident.resume()


def open_device(key: str | None, channel: int | None = None) -> DeviceCapture:
    """Open an input by its key, or the system's default.

    Args:
        channel: the one to hear, counted from 1; those that speech is in if None.

    Raises:
        UserError: if there is none, it cannot be opened, or has no such channel.
    """
    inputs = list_inputs()
    if not inputs:
        raise UserError("no microphone was found")
    chosen = next((d for d in inputs if d.key == key), None) if key else inputs[0]
    if chosen is None:
        raise UserError(f"the microphone {key!r} is not connected")
    return DeviceCapture(chosen, channel)


class DeviceCapture:
    """An open input device that writes into a ring.

    The device's callback is the ring's writer; the audio thread is its reader. All channels of a microphone or an
    interface are taken, since speech may be in any; of what claims more than eight (the devices that stand for a sound
    server say 32 or 128, and repeat themselves) the first two, or as many as are needed for the one that is picked.
    """

    def __init__(self, device: InputDevice, channel: int | None = None) -> None:
        """
        Args:
            channel: the one to hear, counted from 1; those that speech is in if None.

        Raises:
            UserError: if the device cannot be opened, or has no such channel.
        """
        if channel is not None and not 1 <= channel <= device.channels:
            raise UserError(f"{device.name}: has {device.channels} channels; there is no channel {channel}")
        sd = _sounddevice()
        self.device = device
        self.label = device.name
        self.channel = None if channel is None else channel - 1
        wanted = device.channels if device.channels <= _MOST_CHANNELS else max(2, channel or 0)
        self.overflows = 0
        self.ended = False
        self.callbacks = 0
        self._finished = False
        index = _index_of(sd, device)
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

    @property
    def healthy(self) -> bool:
        return not self._finished and time.perf_counter() - self._stamp[1] < _STALLED_S

    def attach(self, wake: Wake) -> None:
        self._ring.reader(wake)

    def read(self) -> tuple[Float32[np.ndarray, "n c"], float]:
        return read_stamped(self._reader, lambda: self._stamp, self.sample_rate)

    def close(self) -> None:
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


def read_stamped(reader: RingReader, stamp: Any, sample_rate: int) -> tuple[Float32[np.ndarray, "n c"], float]:
    """Read what waits; the capture time of its first sample follows from the stamp of the newest."""
    samples = reader.read()
    written, captured_end_s = stamp()
    first = reader.position - len(samples)
    return samples, captured_end_s - (written - first) / sample_rate


def _sounddevice() -> ModuleType:
    """The library, or one line on why it cannot be had."""
    try:
        import sounddevice
    except OSError as error:
        raise UserError("microphones need the PortAudio library (Debian: apt install libportaudio2)") from error
    return sounddevice


def _index_of(sd: ModuleType, device: InputDevice) -> int:
    apis = sd.query_hostapis()
    for index, found in enumerate(sd.query_devices()):
        same_api = apis[found["hostapi"]]["name"] == device.host_api
        if found["name"] == device.name and same_api and found["max_input_channels"] > 0:
            return index
    raise UserError(f"the microphone {device.name!r} is not connected")


def _reason(error: Exception) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening InputStream: ").rstrip(".")
