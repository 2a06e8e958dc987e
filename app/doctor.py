"""What this machine has, and what the program will use of it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata

from app.log import log_path
from avatar import UserError, available_renderers, names
from avatar.library import user_dir

__all__ = ["Finding", "examine", "has_display"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    state: str
    """`ok`, `info`, `missing` or `problem`."""
    text: str


def has_display() -> bool:
    """Whether a window can be shown."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def examine() -> list[Finding]:
    """Look at everything the program depends on. Takes a few seconds; changes nothing."""
    return [*_machine(), *_packages(), *_renderers(), *_sound(), *_content()]


def _machine() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    display = (
        Finding("display", "ok", "a window can be opened")
        if has_display()
        else Finding(
            "display", "missing", "none; without a command the sample clip is rendered instead of opening the window"
        )
    )
    return [
        Finding("system", "info", f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores"),
        Finding("python", "info", f"{platform.python_version()} at {sys.executable}"),
        display,
    ]


def _packages() -> list[Finding]:
    found = []
    required = ("torch", "gsplat", "numpy", "numba", "PyQt6", "sounddevice", "av", "soundfile", "safetensors")
    for name in required:
        try:
            found.append(Finding(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            if name == "gsplat" and sys.platform == "darwin":  # there is no CUDA there
                found.append(Finding(name, "info", "not installed (it needs CUDA)"))
            else:
                found.append(Finding(name, "problem", "not installed; `python -m app.setup` sets everything up"))
    try:
        found.append(Finding("pytorch3d", "ok", metadata.version("pytorch3d")))
    except metadata.PackageNotFoundError:
        found.append(
            Finding(
                "pytorch3d",
                "info",
                "not installed (optional: speeds up mesh losses of training on CUDA, and checks ours in the tests)",
            )
        )
    return found


def _renderers() -> list[Finding]:
    rows = []
    backends = available_renderers()
    for name, state in backends.items():
        rows.append(Finding(f"renderer {name}", "ok" if state == "ok" else "info", state))
    if shutil.which("nvidia-smi") and backends.get("gsplat") != "ok":
        rows.append(
            Finding("gpu", "problem", f"an NVIDIA driver is here, but gsplat cannot use it: {backends['gsplat']}")
        )
    return rows


def _sound() -> list[Finding]:
    from app.live.device_list import list_inputs

    try:
        inputs = list_inputs()
    except UserError as error:
        return [Finding("microphone", "problem", str(error))]
    if not inputs:
        return [Finding("microphone", "missing", "no input device; the program plays files and the sample clip")]
    return [
        Finding("microphone", "ok", f"{i.name} ({i.host_api}, {i.channels} channels, {i.sample_rate} Hz)")
        for i in inputs
    ]


def _content() -> list[Finding]:
    avatars = names()
    state = "ok" if avatars else "problem"
    return [
        Finding("avatars", state, ", ".join(avatars) or "none; reinstall the program"),
        Finding("your avatars", "info", str(user_dir())),
        Finding("log file", "info", str(log_path())),
    ]
