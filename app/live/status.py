"""How the engine is doing."""

from __future__ import annotations

from dataclasses import dataclass

from app.live.latency import LatencyReport
from app.live.source import SourceState
from app.output.recorder import RecorderStatus

__all__ = ["SessionStatus", "status_line"]


@dataclass(frozen=True)
class SessionStatus:
    """A snapshot of everything that a status line shows."""

    source: SourceState
    latency: LatencyReport
    """Of the last three seconds."""
    delay_s: float
    overflows: int
    images_skipped: int
    gaussians: int
    gaussians_full: int
    """What the whole avatar has."""
    backend: str
    preparing: float | None
    """While the renderer is being made ready and a makeshift draws: the share done, 0..1."""
    draw_ms: float
    inference_ms: float
    peak_db: float
    loudness_db: float
    clipped: int
    recording: RecorderStatus | None


def status_line(status: SessionStatus) -> str:
    """One line with the figures that matter."""
    latency = status.latency
    text = (
        f"{status.source.label or status.source.kind}: {latency.images_per_s:.0f} images/s, "
        f"{latency.median_ms:.0f} ms (p95 {latency.p95_ms:.0f}), {status.gaussians / 1000:.0f}k Gaussians, "
        f"{status.backend}, level {status.peak_db:.0f} dB, overflows {status.overflows}"
    )
    if status.recording is not None:
        text += f", recording {status.recording.duration_s:.1f} s ({status.recording.images_dropped} images dropped)"
    return f"{text}; {status.source.problem}" if status.source.problem else text
