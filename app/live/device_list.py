"""Which input devices there are: PortAudio's list, made fit for people and for settings."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from types import ModuleType
from typing import IO, Any

from app.live.portaudio import sounddevice
from avatar.child import python_command
from avatar.errors import UserError

__all__ = ["InputDevice", "Listing", "default_output", "find_device", "list_inputs", "located", "matching"]

_log = logging.getLogger(__name__)
_MOST_DEVICES = 1024
_PREFERRED = ("Windows WASAPI", "Core Audio")
"""Host APIs that show each device once, by its whole name, and add no delay of their own. Where one of them has inputs,
the others (MME cuts names at 31 letters, DirectSound mixes, WDM-KS takes devices for itself) are left out."""


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


def list_inputs() -> list[InputDevice]:
    """The inputs that PortAudio knows, the default first; empty where there is none, or no PortAudio.

    PortAudio's list is as old as its initialisation: see `PortAudio.rescan` and `Listing`.
    """
    try:
        return [device for device, _ in located(sounddevice())]
    except UserError:
        return []


def located(sd: ModuleType) -> list[tuple[InputDevice, int]]:
    """The inputs with their present index, the default first. Of several of one name the later ones are numbered."""
    return _inputs(*_query(sd))


def _query(sd: ModuleType) -> tuple[list[dict[str, Any]], list[tuple[int, dict[str, Any]]], int]:
    """Host APIs, devices with their index, and the default input. A device whose name cannot be read is left out, and
    a sound system that fails has no devices."""
    try:
        apis = [dict(api) for api in sd.query_hostapis()]
    except (sd.PortAudioError, UnicodeDecodeError) as error:
        _log.warning("the sound system does not say what it has: %s", error)
        return [], [], -1
    devices = []
    for index in range(_MOST_DEVICES):
        try:
            devices.append((index, dict(sd.query_devices(index))))
        except UnicodeDecodeError as error:
            _log.info("input device %d is left out, its name cannot be read: %s", index, error)
        except (sd.PortAudioError, ValueError):
            break  # there are no more
    try:
        default = int(sd.default.device[0])
    except (TypeError, ValueError, IndexError, sd.PortAudioError):
        default = -1
    return apis, devices, default


def _inputs(
    apis: list[dict[str, Any]], devices: list[tuple[int, dict[str, Any]]], default: int
) -> list[tuple[InputDevice, int]]:
    inputs = [(index, device) for index, device in devices if device["max_input_channels"] >= 1]
    preferred = next((n for name in _PREFERRED for n, api in enumerate(apis) if api["name"] == name), None)
    if preferred is not None and any(device["hostapi"] == preferred for _, device in inputs):
        inputs = [(index, device) for index, device in inputs if device["hostapi"] == preferred]
        default = int(apis[preferred].get("default_input_device", default))
    if default not in [index for index, _ in inputs] and inputs:
        default = inputs[0][0]
    found: list[tuple[InputDevice, int]] = []
    seen: dict[tuple[str, str], int] = {}
    for index, device in inputs:
        api, name = str(apis[device["hostapi"]]["name"]), str(device["name"])
        seen[api, name] = number = seen.get((api, name), 0) + 1
        name = name if number == 1 else f"{name} ({number})"
        rate = round(device["default_samplerate"]) or 48000
        found.append((InputDevice(name, api, int(device["max_input_channels"]), rate, index == default), index))
    return sorted(found, key=lambda pair: not pair[0].default)


def default_output(sd: ModuleType) -> int | None:
    """The loudspeaker of the preferred host API; None leaves it to PortAudio."""
    apis, _, _ = _query(sd)
    outputs = [int(api.get("default_output_device", -1)) for name in _PREFERRED for api in apis if api["name"] == name]
    return next((index for index in outputs if index >= 0), None)


def matching(inputs: list[InputDevice], key: str) -> InputDevice | None:
    """The device that settings remember; one of the same name under another host API if there is none, as MME cuts
    names and older settings name it."""
    exact = next((device for device in inputs if device.key == key), None)
    name = key.partition(": ")[2]
    alike = [device for device in inputs if name and (device.name.startswith(name) or name.startswith(device.name))]
    return exact or (alike[0] if len(alike) == 1 else None)


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


class Listing:
    """The inputs as they are now, asked in a process of its own, so that streams that run are left alone. Nobody waits
    for it: some sound systems take seconds to answer, and some never do."""

    _PATIENCE_S = 10.0

    def __init__(self, now_s: float) -> None:
        self._end_s = now_s + self._PATIENCE_S
        self._answer: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process: subprocess.Popen[bytes] | None = None
        code = "from app.live import device_list; device_list.answer()"
        try:
            self._process = subprocess.Popen(python_command(code), stdout=self._answer, stderr=subprocess.DEVNULL)
        except OSError as error:
            _log.warning("asking for the input devices failed: %s", error)

    def poll(self, now_s: float) -> list[InputDevice] | None:
        """The answer, once it is there; PortAudio's old list if none comes. None until then."""
        if self._process is not None and self._process.poll() is None and now_s < self._end_s:
            return None
        answered = self._process is not None and self._process.poll() == 0
        try:
            self._answer.seek(0)
            return [InputDevice(**fields) for fields in json.loads(self._answer.read())] if answered else list_inputs()
        except (ValueError, TypeError) as error:
            _log.warning("asking for the input devices failed: %s", error)
            return list_inputs()
        finally:
            self.close()

    def close(self) -> None:
        """Leave off; idempotent."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        self._answer.close()


def answer() -> None:
    """What `Listing`'s process does."""
    json.dump([vars(device) for device in list_inputs()], sys.stdout)
