"""Stand-ins for what is slow or not there: an avatar of a few Gaussians, a driver that opens the mouth with the
loudness, a renderer that paints one colour, and a sound system without devices of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from animation.driver import DriverSettings
from animation.face import DrivenFace
from avatar.binding import BoundGaussians
from avatar.flame.arkit import weights_from_dict
from avatar.flame.params import FlameParams
from avatar.heads import open_head
from avatar.render.protocol import DrawsInMemory
from avatar.rig import Avatar


def make_avatar(count: int = 2000, name: str = "stand-in") -> Avatar:
    head, arkit = open_head()
    rng = np.random.default_rng(5)

    def tensor(values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32)

    quats = rng.normal(size=(count, 4))
    gaussians = BoundGaussians(
        tensor(rng.uniform(-0.3, 0.3, (count, 3))),
        tensor(quats / np.linalg.norm(quats, axis=1, keepdims=True)),
        tensor(np.full((count, 3), -1.0)),
        tensor(np.full(count, 3.0)),
        tensor(rng.uniform(-0.5, 1.5, (count, 1, 3))),
        torch.as_tensor(rng.integers(0, head.faces.shape[0], count)),
    )
    return Avatar(name, head, gaussians, arkit)


class LoudnessDriver:
    """Poses at 50 Hz whose jaw opens with the loudness of the hop they show; looks 40 ms ahead."""

    lookahead_ms = 40.0

    def __init__(self, face: DrivenFace, settings: DriverSettings) -> None:
        self.face, self.settings = face, settings
        self.resets = 0
        self.reset()
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1
        self._pending = np.zeros(0, np.float32)
        self._count = 0

    def feed(self, samples: np.ndarray) -> list[FlameParams]:
        self._pending = np.concatenate([self._pending, samples])
        poses = []
        while len(self._pending) >= 320 + 640:
            loud = float(np.abs(self._pending[:320]).max())
            self._pending = self._pending[320:]
            time_s = (self._count + 0.5) * 0.02
            self._count += 1
            poses.append(
                self.face.arkit.params(weights_from_dict({"jawOpen": min(loud * 2, 1.0)}), stream_time_s=time_s)
            )
        return poses


class PlainRenderer(DrawsInMemory):
    """A picture whose brightness is the opening of the jaw; `cost_s` is how long it takes."""

    def __init__(self, name: str = "plain", cost_s: float = 0.002) -> None:
        super().__init__()
        self.name = self.device = name
        self.cost_s = cost_s
        self.closed = False
        self.drawn = 0
        self.fails: Exception | None = None

    def render(self, cloud: Any, camera: Any, background: Any = None) -> np.ndarray:
        raise NotImplementedError

    def draw(
        self, avatar: Avatar, params: FlameParams, camera: Any, background: Any = None, max_gaussians: Any = None
    ) -> np.ndarray:
        if self.fails is not None:
            raise self.fails
        time.sleep(self.cost_s)
        self.drawn += 1
        opening = float(np.abs(params.jaw_pose).sum()) * 700
        image = np.empty((camera.height, camera.width, 4), np.uint8)
        image[:] = (*(int(min(40 + opening, 255)),) * 3, 255)
        return image

    def close(self) -> None:
        self.closed = True


class PortAudioError(Exception):
    pass


class SoundSystem:
    """What `import sounddevice` gives: devices that a test plugs in and pulls out. Streams deliver `tone` on a thread
    of their own, in time."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.plugged: dict[str, dict[str, Any]] = {}
        self.known: list[dict[str, Any]] = []
        self.streams: list[FakeStream] = []
        self.busy: set[str] = set()
        self.unreadable: set[str] = set()
        """Names that the library cannot decode."""
        self.apis = [{"name": "Test", "default_input_device": 0}]
        self.may_open = threading.Event()
        """Devices take so long to open."""
        self.may_open.set()
        self.default = SimpleNamespace(device=(0, 0))
        self.amplitude = 0.25
        self.gains: tuple[float, ...] = ()
        """Of each channel; all 1 if empty."""
        self.opened = 0

    def plug(self, name: str, rate: int = 48_000, channels: int = 1, scan: bool = True, api: int = 0) -> None:
        self.plugged[name] = {
            "name": name, "hostapi": api, "max_input_channels": channels, "max_output_channels": 0,
            "default_samplerate": float(rate),
        }  # fmt: skip
        if scan:
            self._initialize()

    def pull(self, name: str) -> None:
        self.plugged.pop(name, None)
        for stream in list(self.streams):
            if stream.device_name == name:
                stream.fail()

    def query_hostapis(self) -> list[dict[str, Any]]:
        return self.apis

    def query_devices(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self.known):
            raise PortAudioError(f"Error querying device {index}")
        device = self.known[index]
        if device["name"] in self.unreadable:
            raise UnicodeDecodeError("utf-8", b"\xe4", 0, 1, "invalid continuation byte")
        return device

    def _terminate(self) -> None:
        for stream in list(self.streams):
            stream.close()

    def _initialize(self) -> None:
        self.known = list(self.plugged.values())

    def InputStream(self, **options: Any) -> FakeStream:
        device = self.known[options["device"]]
        if device["name"] not in self.plugged:
            raise PortAudioError("Error opening InputStream: Device unavailable [PaErrorCode -9985]")
        if device["name"] in self.busy:
            raise PortAudioError("Error opening InputStream: Device busy")
        self.opened += 1
        self.may_open.wait(60)
        return FakeStream(self, device["name"], options)

    def OutputStream(self, **options: Any) -> None:
        raise PortAudioError("Error opening OutputStream: no such device")


class FakeStream:
    def __init__(self, system: SoundSystem, device_name: str, options: dict[str, Any]) -> None:
        self.system, self.device_name, self.options = system, device_name, options
        self._stop = threading.Event()
        self.stalled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-portaudio", daemon=True)
        system.streams.append(self)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        rate, block = self.options["samplerate"], self.options["blocksize"]
        channels = self.options["channels"]
        start, n = time.perf_counter(), 0
        while not self._stop.wait(max(0.0, start + (n + block) / rate - time.perf_counter())):
            phase = (n + np.arange(block)) / rate * 2 * np.pi * 200
            data = np.repeat((self.system.amplitude * np.sin(phase)).astype(np.float32)[:, None], channels, 1)
            data *= np.array((*self.system.gains, *[1.0] * channels)[:channels], np.float32)
            n += block
            if self.stalled.is_set():
                continue
            times = SimpleNamespace(currentTime=10.0 + n / rate, inputBufferAdcTime=10.0 + (n - block) / rate)
            self.options["callback"](data, block, times, SimpleNamespace(input_overflow=False))
        self.options["finished_callback"]()

    def fail(self) -> None:
        self._stop.set()

    def abort(self, ignore_errors: bool = True) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2)

    def close(self, ignore_errors: bool = True) -> None:
        self.abort()
        if self in self.system.streams:
            self.system.streams.remove(self)


@pytest.fixture(scope="session")
def stand_in_avatar() -> Avatar:
    return make_avatar()


@pytest.fixture
def loudness_driver() -> type[LoudnessDriver]:
    return LoudnessDriver


@pytest.fixture
def plain_renderer() -> type[PlainRenderer]:
    return PlainRenderer


@pytest.fixture
def sound_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundSystem]:
    system = SoundSystem()
    monkeypatch.setitem(sys.modules, "sounddevice", system)  # type: ignore[arg-type]
    from app.live import device_list, devices

    class Listing:
        """The list at once, instead of from another process."""

        def __init__(self, now_s: float) -> None:
            pass

        def poll(self, now_s: float) -> Any:
            return device_list.list_inputs()

        def close(self) -> None:
            pass

    monkeypatch.setattr(devices, "Listing", Listing)
    yield system
    for stream in list(system.streams):
        stream.close()
