"""Sound-to-photon latency and images a second of the real window, and how it holds up over time."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.doctor import has_display
from app.live.device_list import find_device
from app.live.session import LiveSession
from app.live.source import Source
from app.settings import Settings
from avatar.errors import UserError

if TYPE_CHECKING:
    from app.gui.main.measured import Wait
    from app.gui.main.window import MainWindow

__all__ = ["LatencyOptions", "bench_latency", "bench_soak"]

_WARM_UP_S = 4.0
_START_S = 180.0
_SAMPLE_S = 5.0
_WITH_ALPHA = ("mov", "webm", "png")


@dataclass(frozen=True)
class LatencyOptions:
    """What is measured."""

    size: int = 512
    """Width and height of the picture, pixels."""
    avatar: str | None = None
    backend: str = "auto"
    gaussians: int = 0
    """A fixed level of detail; 0 adapts, as in use."""
    audio: Path | None = None
    """A sound file that is played in time in place of a microphone; None is the sample clip."""
    device: str | None = None
    """A microphone's name, to measure with a real device instead of a file."""
    lookahead_ms: Literal[70, 30, 10] = 70
    """How much sound after a moment the speech model waits for."""
    record: str | None = None
    """Record a video meanwhile: `mp4`, or with alpha `mov`, `webm` or `png` (a sequence)."""


def bench_latency(seconds: float = 30.0, options: LatencyOptions | None = None) -> dict[str, Any]:
    """Run the window, speak into it, and measure when what was said is painted.

    The latency of an image is the time from the capture of the moment of sound that it shows to the end of its
    painting. With a file each sample counts as captured when its time has come; with a device, when PortAudio
    says that it was. Without a display the window is painted offscreen.

    Args:
        seconds: of measuring, after warming up.

    Returns:
        `median_ms`, `p95_ms`, `stages` (medians in ms: lookahead, capture, inference, wait, draw, paint),
        `images_per_s`, `overflows`, `backend`; and `gaussians`, `gaussians_full` (what the whole avatar has), `images`,
        `skipped`, `delay_ms`, `size`, `seconds`.
        When recording, `recorded`: `images`, `dropped` and `megabytes`.

    Raises:
        UserError: for what cannot be opened, or when a part of the engine has died.
    """
    options = options or LatencyOptions()
    with _running(options) as (window, wait):
        session = window.bridge.session
        overflows, skipped = session.status().overflows, session.status().images_skipped
        session.latency.clear()
        wait(lambda: False, seconds)
        report, status = session.latency.report(), session.status()
        _check(session)
        recorded = session.recordings.stop() if session.recordings.busy else None
    found = {
        "median_ms": round(report.median_ms, 1),
        "p95_ms": round(report.p95_ms, 1),
        "stages": {name: round(value, 1) for name, value in report.stages.items()},
        "images_per_s": round(report.images_per_s, 1),
        "overflows": status.overflows - overflows,
        "backend": status.backend,
        "gaussians": status.gaussians,
        "gaussians_full": status.gaussians_full,
        "images": report.images,
        "skipped": status.images_skipped - skipped,
        "delay_ms": round(status.delay_s * 1000, 1),
        "size": options.size,
        "seconds": seconds,
    }
    if recorded is not None:
        found["recorded"] = {
            "images": recorded.images,
            "dropped": recorded.images_dropped,
            "megabytes": round(recorded.bytes / 1e6, 1),
        }
    return found


def bench_soak(
    minutes: float = 30.0,
    options: LatencyOptions | None = None,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Let the window run and watch memory, threads, overflows and pace.

    Args:
        report: given a row every five seconds: `seconds`, `memory_mb`, `threads`, `images_per_s`, `median_ms`,
            `overflows`.

    Returns:
        `minutes`, `memory_mb` (first, last, and growth a minute over the second half), `threads` (first, last, most),
        `images_per_s` (lowest, mean), `overflows`, `rows`.
    """
    options = options or LatencyOptions()
    rows: list[dict[str, Any]] = []
    with _running(options) as (window, wait):
        session = window.bridge.session
        before = session.status().overflows
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < minutes * 60:
            wait(lambda: False, min(_SAMPLE_S, minutes * 60 - elapsed + 0.01))
            _check(session)
            latency, status = session.latency.report(_SAMPLE_S), session.status()
            rows.append(
                {
                    "seconds": round(time.monotonic() - start, 1),
                    "memory_mb": round(_resident_mb(), 1),
                    "threads": threading.active_count(),
                    "images_per_s": round(latency.images_per_s, 1),
                    "median_ms": round(latency.median_ms, 1),
                    "overflows": status.overflows - before,
                }
            )
            report(rows[-1])
    late = rows[len(rows) // 2 :]
    span = max((late[-1]["seconds"] - late[0]["seconds"]) / 60, 1e-9)
    return {
        "minutes": minutes,
        "memory_mb": {
            "first": rows[0]["memory_mb"],
            "last": rows[-1]["memory_mb"],
            "growth_per_min": round((late[-1]["memory_mb"] - late[0]["memory_mb"]) / span, 2),
        },
        "threads": {
            "first": rows[0]["threads"],
            "last": rows[-1]["threads"],
            "most": max(r["threads"] for r in rows),
        },
        "images_per_s": {
            "lowest": min(r["images_per_s"] for r in rows),
            "mean": round(sum(r["images_per_s"] for r in rows) / len(rows), 1),
        },
        "overflows": rows[-1]["overflows"],
        "rows": rows,
    }


@contextmanager
def _running(options: LatencyOptions) -> Iterator[tuple[MainWindow, Wait]]:
    """The window, warmed up, with a voice; and a way to wait while it runs."""
    if not has_display():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from app.gui.main.measured import measured_window
    from app.sample_clip import sample_clip

    audio = options.audio or sample_clip()
    if options.device is None and audio is None:
        raise UserError("there is no sample clip to play; name an audio file or a microphone")
    device = None if options.device is None else find_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            picture=f"{options.size}x{options.size}",
            avatar=options.avatar,
            backend=options.backend,
            max_gaussians=options.gaussians,
            source="none" if device is None else "device",
            device=device,
            lookahead_ms=options.lookahead_ms,
            background="transparent" if options.record in _WITH_ALPHA else "colour",
            theme="dark",
            collapsed=(),
        )
        with measured_window(settings, Path(folder) / "settings.json") as (window, wait):
            session = window.bridge.session
            ready = wait(lambda: session.ready or bool(session.failures), _START_S)
            _check(session)
            if not ready:
                raise UserError(f"no picture after {_START_S:.0f} s: {window.banner.text or 'the machine is busy'}")
            if audio is not None and device is None:
                session.set_source(Source(file=audio, loop=True))
            if options.record:
                session.recordings.start(
                    Path(folder) / ("bench" if options.record == "png" else f"bench.{options.record}")
                )
            wait(lambda: False, _WARM_UP_S)
            _check(session)
            yield window, wait


def _check(session: LiveSession) -> None:
    if session.failures:
        raise UserError("; ".join(f"{f.worker}: {f.message}" for f in session.failures))


def _resident_mb() -> float:
    """Memory of this process that is in use now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, AttributeError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
