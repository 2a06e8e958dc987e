"""How fast each renderer is on this machine: images a second, and what the stages cost."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar import Avatar, Camera, FlameParams, Renderer, UserError, available_renderers, open_avatar
from avatar.library import default_name
from avatar.render import open_renderer

__all__ = ["bench_render", "plot_render"]

_SIZES = {512: (512, 512), 800: (800, 800), 1080: (1920, 1080)}
_COUNTS = (30_000, 60_000, None)
_BACKGROUND = (0.80, 0.82, 0.85)


def bench_render(
    quick: bool = False,
    progress: Callable[[str, float], None] | None = None,
    *,
    backends: Sequence[str] | None = None,
    avatar: Avatar | None = None,
    display: Callable[[np.ndarray], None] | None = None,
) -> dict[str, Any]:
    """Draw a moving avatar with every backend that works here, posing included.

    The rounds of all sizes and counts are interleaved, so that whatever else the machine does falls on all alike.

    Args:
        quick: fewer pictures.
        progress: called now and then with what is being done and the share done.
        backends: which to measure; all that work here by default, except the reference.
        avatar: the first that ships by default.
        display: shows a picture (BGRA bytes, premultiplied), to be measured with the rest.

    Returns:
        `machine`; `results`, one for each backend, size (height in pixels; 1080 is 1920 x 1080) and number of
        Gaussians: `images_per_s` and `p95_ms` of a picture with everything, `stages` (medians, ms), `device`,
        for gsplat also `images_per_s_without_download`; and `growth` by backend: milliseconds for each 10,000
        Gaussians and for each million pixels more.

    Raises:
        UserError: if a backend is asked for that cannot be used, or there is no avatar.
    """
    if avatar is None:
        avatar = open_avatar(default_name())
    chosen = backends or [n for n, why in available_renderers().items() if why == "ok" and n != "reference"]
    results: list[dict[str, Any]] = []
    for i, name in enumerate(chosen):
        tell = _share_of(progress, i, len(chosen))
        renderer = open_renderer(name, partial(_tell_start, tell))
        try:
            results += _bench(renderer, name, avatar, 12 if quick else 60, tell, display)
        finally:
            renderer.close()
    return {
        "machine": _machine(),
        "avatar": avatar.name,
        "results": results,
        "growth": {name: _growth([r for r in results if r["backend"] == name]) for name in chosen},
    }


def _share_of(progress: Callable[[str, float], None] | None, part: int, parts: int) -> Callable[[str, float], None]:
    """Progress of one of several equal parts, told as progress of the whole."""

    def tell(message: str, share: float) -> None:
        if progress is not None:
            progress(message, (part + share) / parts)

    return tell


def _tell_start(tell: Callable[[str, float], None], line: str) -> None:
    tell(line, 0.0)


def _bench(
    renderer: Renderer,
    name: str,
    avatar: Avatar,
    pictures: int,
    progress: Callable[[str, float], None],
    display: Callable[[np.ndarray], None] | None,
) -> list[dict[str, Any]]:
    total = len(avatar.gaussians)
    counts = sorted({min(c or total, total) for c in _COUNTS})
    cases = [(size, count) for size in _SIZES for count in counts]
    inner = getattr(renderer, "current", renderer)
    software = getattr(inner, "is_software", False)
    rounds = max(2, pictures // 12) if software else pictures
    times: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    stages: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in cases}
    for k in range(-2, rounds):  # two to warm up
        for size, count in cases:
            camera, params = _view(size, k), _pose(avatar, k)
            started = time.perf_counter()
            pixels = renderer.draw(avatar, params, camera, _BACKGROUND, count)
            drawn = time.perf_counter()
            parts = dict(getattr(renderer, "stages_ms", {}))
            if display is not None:
                display(pixels)
                parts["display"] = (time.perf_counter() - drawn) * 1e3
            if k >= 0:
                times[size, count].append(time.perf_counter() - started)
                stages[size, count].append(parts)
        progress(f"{name}: round {max(k, 0) + 1} of {rounds}", (k + 3) / (rounds + 2))
    rows = []
    for size, count in cases:
        seconds = np.array(times[size, count])
        row: dict[str, Any] = {
            "backend": name,
            "device": _device_name(inner),
            "size": size,
            "gaussians": count,
            "images_per_s": round(1 / float(np.median(seconds)), 1),
            "p95_ms": round(float(np.percentile(seconds, 95)) * 1e3, 2),
            "stages": {
                key: round(float(np.median([s[key] for s in stages[size, count]])), 3) for key in stages[size, count][0]
            },
        }
        if hasattr(inner, "draw_on_device"):
            row["images_per_s_without_download"] = _without_download(inner, avatar, size, count, rounds)
        rows.append(row)
    return rows


def _without_download(renderer: Any, avatar: Avatar, size: int, count: int, pictures: int) -> float:
    seconds = []
    for k in range(-20, pictures):  # enough to warm up to where kernels are recorded
        camera, params = _view(size, 0), _pose(avatar, k)
        started = time.perf_counter()
        renderer.draw_on_device(avatar, params, camera, _BACKGROUND, count)
        if k >= 0:
            seconds.append(time.perf_counter() - started)
    return round(1 / float(np.median(seconds)), 1)


def _view(size: int, k: int) -> Camera:
    """A view that turns slowly, so that no two pictures are sorted alike."""
    return Camera.orbit(*_SIZES[size], yaw_deg=0.5 * k - 15, target=(0.0, -0.022, -0.03), fov_deg=19.0)


def _pose(avatar: Avatar, k: int) -> FlameParams:
    """A head that moves its jaw and neck."""
    phase = 0.4 * k
    jaw = np.array([0.12 * (1 + np.sin(phase)), 0, 0], np.float32)
    neck = np.array([0.05 * np.sin(0.3 * phase), 0.1 * np.cos(0.2 * phase), 0], np.float32)
    return avatar.head.neutral().replace(jaw_pose=jaw, neck_pose=neck)


def _growth(results: list[dict[str, Any]]) -> dict[str, float]:
    """A plane through the times by least squares: what more Gaussians and more pixels cost."""
    if len(results) < 3:
        return {}
    pixels = [_SIZES[r["size"]][0] * _SIZES[r["size"]][1] / 1e6 for r in results]
    matrix = np.array([[1.0, r["gaussians"] / 1e4, p] for r, p in zip(results, pixels, strict=True)])
    times_ms = np.array([1e3 / r["images_per_s"] for r in results])
    base, by_count, by_pixels = np.linalg.lstsq(matrix, times_ms, rcond=None)[0]
    return {
        "base_ms": round(float(base), 2),
        "ms_per_10k_gaussians": round(float(by_count), 3),
        "ms_per_million_pixels": round(float(by_pixels), 3),
    }


def _device_name(renderer: Any) -> str:
    threads = getattr(renderer, "threads", None)
    return str(getattr(renderer, "device", f"{threads} threads" if threads else _processor()))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": cores,
        "load_average": load,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def plot_render(report: dict[str, Any], path: Path) -> None:
    """Draw a report of `bench_render`: milliseconds against Gaussians and against pixels.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("drawing a plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    by_count, by_pixels = figure.subplots(1, 2)
    for backend in report["growth"]:
        rows = [r for r in report["results"] if r["backend"] == backend]
        for size in _SIZES:
            line = sorted((r["gaussians"] / 1e3, 1e3 / r["images_per_s"]) for r in rows if r["size"] == size)
            by_count.plot(*zip(*line, strict=True), marker="o", label=f"{backend}, {_label(size)}")
        for count in sorted({r["gaussians"] for r in rows}):
            line = sorted(
                (_SIZES[r["size"]][0] * _SIZES[r["size"]][1] / 1e6, 1e3 / r["images_per_s"])
                for r in rows
                if r["gaussians"] == count
            )
            by_pixels.plot(*zip(*line, strict=True), marker="o", label=f"{backend}, {count:,} Gaussians")
    by_count.set_xlabel("thousand Gaussians")
    by_pixels.set_xlabel("million pixels")
    for axes in (by_count, by_pixels):
        axes.set_ylabel("ms an image, posing included")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    machine = report["machine"]
    figure.suptitle(f"{machine['processor']}, {machine['cores']} cores; GPU: {machine['gpu'] or 'none'}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _label(size: int) -> str:
    return f"{_SIZES[size][0]} x {_SIZES[size][1]}"
