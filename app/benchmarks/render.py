"""How fast each renderer is on this machine: images a second, and what the stages cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from app.benchmarks.machine import describe_machine
from avatar import Avatar, Camera, FlameParams, Renderer, UserError, available_renderers, open_avatar
from avatar.library import default_name
from avatar.render import open_renderer

__all__ = ["SIZES", "STAGES", "bench_render"]

_log = logging.getLogger(__name__)

SIZES = {512: (512, 512), 800: (800, 800), 1080: (1920, 1080)}
"""Pictures by their height, pixels: width and height."""
STAGES = ("posing", "sort", "raster", "download", "display")
"""What a picture goes through. `raster` is binding, projection and colors too, and on the CPU the lists of the tiles;
`display` is handing the finished picture to Qt and painting it."""
_COUNTS = (30_000, 60_000, None)
_BACKGROUND = (0.80, 0.82, 0.85)
_STAGE_OF = {"projection": "raster", "binning": "raster"}
"""Where stages that only some backends have belong."""

Display = Callable[[np.ndarray], None]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class _Plan:
    """Pictures are drawn in blocks of one case, round after round, so that other work of the machine falls on all."""

    lead: int
    """Pictures at the start of a block that do not count: buffers of the new size are made."""
    block: int
    rounds: int
    budget_s: float
    """Stop after the round in which so much time has passed; two are always drawn."""


@dataclass
class _Case:
    """One size and number of Gaussians, and what was measured."""

    size: int
    gaussians: int
    seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    images_per_s_without_download: float | None = None


def bench_render(
    quick: bool = False,
    progress: Progress | None = None,
    *,
    backends: Sequence[str] | None = None,
    avatar: Avatar | None = None,
) -> dict[str, Any]:
    """Draw a moving avatar with every backend that works here, posing included.

    Args:
        quick: fewer pictures.
        progress: called now and then with what is being done and the share done.
        backends: which to measure; all that work here by default, except the reference.
        avatar: the first that ships by default.

    Returns:
        `machine`; `avatar`; `results`, one for each backend, size (height in pixels; 1080 is 1920 x 1080) and number
        of Gaussians: `images_per_s` and `p95_ms` of a picture from the pose to the bytes in memory, `stages` and
        `stages_p95` (see `STAGES`; median and 95th percentile, ms), `pictures` drawn, `device`, for gsplat also
        `images_per_s_without_download`; and `growth` by backend: a plane through the medians by least squares,
        milliseconds for each 10,000 Gaussians and for each million pixels more, and the share `r2` of the variance
        that it explains. `failed` has a line for each backend that gave up, which is then left out of the rest.

    Raises:
        UserError: if a backend is asked for that cannot be used, or there is no avatar.
    """
    if avatar is None:
        avatar = open_avatar(default_name())
    chosen = backends or [n for n, why in available_renderers().items() if why == "ok" and n != "reference"]
    machine = describe_machine()
    results: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    with _display() as display:
        for i, name in enumerate(chosen):
            tell = partial(_tell_part, progress, i, len(chosen))
            notices = [f"the {name} renderer failed"]
            try:
                renderer = open_renderer(name, partial(_note, notices, tell))
            except UserError as error:
                if backends:
                    raise
                failed[name] = str(error)
                continue
            with closing(renderer):
                found = _bench(renderer, name, avatar, quick, tell, display)
                if renderer.name == name:
                    results += found
                else:  # another has taken its place
                    failed[name] = notices[-1]
    return {
        "machine": machine,
        "avatar": avatar.name,
        "results": results,
        "growth": {n: _growth([r for r in results if r["backend"] == n]) for n in chosen if n not in failed},
        "failed": failed,
    }


def _tell_part(progress: Progress | None, part: int, parts: int, message: str, share: float) -> None:
    """Progress of one of several equal parts, told as progress of the whole."""
    if progress is not None:
        progress(message, (part + share) / parts)


def _note(notices: list[str], tell: Progress, line: str) -> None:
    """Keep a renderer's notice, and tell it, since it may come before minutes of compilation."""
    notices.append(line)
    tell(line, 0.0)


@contextmanager
def _display() -> Iterator[Display | None]:
    """Paints pictures off screen; None where Qt cannot be loaded."""
    try:
        from app.gui.view.canvas import offscreen_canvas
    except ImportError as error:
        _log.warning("Qt cannot be loaded (%s): what painting costs is not measured", error)
        yield None
        return
    with offscreen_canvas() as paint:
        yield paint


def _bench(
    renderer: Renderer, name: str, avatar: Avatar, quick: bool, progress: Progress, display: Display | None
) -> list[dict[str, Any]]:
    total = len(avatar.gaussians)
    counts = sorted({min(c or total, total) for c in _COUNTS})
    cases = [_Case(size, count) for size in SIZES for count in counts]
    on_gpu = renderer.name == "gsplat"
    if on_gpu:  # which records its work before it is at its best
        plan = _Plan(24, 100, 2, 60.0)
    elif renderer.is_software:
        plan = _Plan(1, 3, 6, 25.0)
    else:
        plan = _Plan(2, 10, 6, 45.0)
    if quick:
        plan = _Plan(plan.lead, max(2, plan.block // 5), 2, 0.0)
    started = time.perf_counter()
    for turn in range(plan.rounds):
        if turn >= 2 and time.perf_counter() - started > plan.budget_s:
            break
        for i, case in enumerate(cases):
            _draw_block(renderer, avatar, case, plan, turn * plan.block, display)
            done = (turn + (i + 1) / len(cases)) / plan.rounds
            progress(f"{name}: {case.gaussians:,} Gaussians, {case.size} px", done)
    if on_gpu and renderer.name == name:
        for case in cases:
            case.images_per_s_without_download = _without_download(renderer, avatar, case, plan)
    progress(name, 1.0)
    return [{"backend": name, "device": renderer.device, **_figures(case)} for case in cases]


def _draw_block(
    renderer: Renderer, avatar: Avatar, case: _Case, plan: _Plan, first: int, display: Display | None
) -> None:
    for k in range(first - plan.lead, first + plan.block):
        camera, params = _view(case.size, k), _pose(avatar, k)
        started = time.perf_counter()
        pixels = renderer.draw(avatar, params, camera, _BACKGROUND, case.gaussians)
        drawn = time.perf_counter()
        parts = dict.fromkeys(STAGES if display else STAGES[:-1], 0.0)
        for stage, milliseconds in renderer.stages_ms.items():
            parts[_STAGE_OF.get(stage, stage)] += milliseconds
        if display is not None:
            display(pixels)
            parts["display"] = (time.perf_counter() - drawn) * 1e3
        if k >= first:
            case.seconds.append(drawn - started)
            case.stages.append(parts)


def _without_download(renderer: Renderer, avatar: Avatar, case: _Case, plan: _Plan) -> float:
    """Pictures a second that stay on the GPU, one handed over while the one before is drawn."""
    for k in range(-plan.lead, plan.block):
        if k == 0:
            renderer.finish()
            started = time.perf_counter()
        renderer.draw_on_device(avatar, _pose(avatar, k), _view(case.size, k), _BACKGROUND, case.gaussians)
    renderer.finish()
    return round(plan.block / (time.perf_counter() - started), 1)


def _figures(case: _Case) -> dict[str, Any]:
    seconds = np.array(case.seconds)
    found: dict[str, Any] = {
        "size": case.size,
        "gaussians": case.gaussians,
        "images_per_s": round(1 / float(np.median(seconds)), 1),
        "p95_ms": round(float(np.percentile(seconds, 95)) * 1e3, 2),
    }
    by_stage = {stage: [s[stage] for s in case.stages] for stage in case.stages[0]}
    found["stages"] = {stage: round(float(np.median(ms)), 3) for stage, ms in by_stage.items()}
    found["stages_p95"] = {stage: round(float(np.percentile(ms, 95)), 3) for stage, ms in by_stage.items()}
    found["pictures"] = len(case.seconds)
    if case.images_per_s_without_download is not None:
        found["images_per_s_without_download"] = case.images_per_s_without_download
    return found


def _view(size: int, k: int) -> Camera:
    """A view that turns slowly, so that no two pictures are sorted alike."""
    return Camera.orbit(*SIZES[size], yaw_deg=0.5 * k - 15, target=(0.0, -0.022, -0.03), fov_deg=19.0)


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
    pixels = [SIZES[r["size"]][0] * SIZES[r["size"]][1] / 1e6 for r in results]
    matrix = np.array([[1.0, r["gaussians"] / 1e4, p] for r, p in zip(results, pixels, strict=True)])
    times_ms = np.array([1e3 / r["images_per_s"] for r in results])
    plane = np.linalg.lstsq(matrix, times_ms, rcond=None)[0]
    variance = float(np.var(times_ms))
    return {
        "base_ms": round(float(plane[0]), 2),
        "ms_per_10k_gaussians": round(float(plane[1]), 3),
        "ms_per_million_pixels": round(float(plane[2]), 3),
        "r2": round(1 - float(np.mean((matrix @ plane - times_ms) ** 2)) / variance, 3) if variance else 1.0,
    }
