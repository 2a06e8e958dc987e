"""Cameras: finding them, opening them, taking the newest picture.

Through PyAV, which is here for videos anyway and whose wheels carry FFmpeg's capture devices on every system. OpenCV
would do as well, but brings 60 MB and a Qt of its own, which quarrels with PyQt6.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
from PIL import Image

from avatar.errors import UserError

__all__ = ["CameraCapture", "CameraDevice", "OpenCamera", "list_cameras", "open_camera"]

_SIZE, _RATE = "640x480", "30"
_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_BUSY = ("busy", "in use", "resource", "could not run graph", "i/o error")


@dataclass(frozen=True)
class CameraDevice:
    """A camera as the system shows it."""

    key: str
    """What it is opened and remembered by."""
    name: str


class CameraCapture(Protocol):
    """Pictures as they come in. For one thread; `read` waits for the next."""

    label: str

    def read(self) -> tuple[Image.Image, float] | None:
        """The next picture and when it came (`time.perf_counter`); None if there is none at present.

        Raises:
            UserError: if the camera has gone.
        """

    def close(self) -> None:
        """Give the camera back. Idempotent."""


OpenCamera = Callable[[str | None], CameraCapture]


def list_cameras() -> list[CameraDevice]:
    """The cameras there are, the system's first one first."""
    system = _system()
    if system == "v4l2":
        found = []
        for node in sorted(Path("/sys/class/video4linux").glob("video*"), key=lambda p: int(p.name[5:] or 0)):
            if (node / "index").is_file() and (node / "index").read_text().strip() != "0":
                continue  # a camera's second node carries its metadata, no pictures
            found.append(CameraDevice(f"/dev/{node.name}", _first_line(node / "name") or node.name))
        return found
    try:
        devices = av.enumerate_input_devices(system)
    except (av.error.FFmpegError, ValueError, AttributeError):
        return []
    return [
        CameraDevice(d.name, d.description or d.name)
        for d in devices
        if "video" in [str(kind) for kind in getattr(d, "media_types", ("video",))]
    ]


def open_camera(key: str | None = None) -> CameraCapture:
    """Open a camera, or the first there is.

    Raises:
        UserError: if there is none, or another program holds it.
    """
    cameras = list_cameras()
    if not cameras:
        raise UserError("no camera was found")
    chosen = next((c for c in cameras if key in (c.key, c.name)), None) if key else cameras[0]
    if chosen is None:
        raise UserError(f"the camera {key!r} is not connected")
    return _Device(chosen)


class _Device:
    def __init__(self, device: CameraDevice) -> None:
        self.label = device.name
        system = _system()
        source = {"dshow": f"video={device.key}", "avfoundation": f"{device.key}:none"}.get(system, device.key)
        problem: Exception | None = None
        for options in ({"video_size": _SIZE, "framerate": _RATE}, {}):
            try:
                self._container = av.open(source, format=system, options=options, timeout=(5.0, 2.0))
                break
            except (av.error.FFmpegError, OSError) as error:
                problem = error
        else:
            text = str(getattr(problem, "strerror", "") or problem)
            held = any(word in text.lower() for word in _BUSY)
            raise UserError(
                f"{device.name}: cannot be opened ({text}){'; another program may hold it' if held else ''}"
            ) from problem
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = 1
        self._frames = self._container.decode(stream)

    def read(self) -> tuple[Image.Image, float] | None:
        try:
            frame = next(self._frames)
        except (av.error.FFmpegError, OSError, StopIteration, ValueError) as error:
            raise UserError(f"{self.label} stopped") from error
        return frame.to_image(), time.perf_counter()

    def close(self) -> None:
        self._container.close()


def _system() -> str:
    return _SYSTEMS.get(sys.platform, "v4l2")


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
