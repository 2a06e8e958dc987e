"""The live engine, free of Qt: devices, threads, one clock.

`LiveSession` is the engine; `run_headless(options) -> int` runs it without a window (the command
`gaussian-avatar live --headless`), with `HeadlessOptions(source, avatar, emotion, intensity, size, ...)`.
"""

from __future__ import annotations

from app.live.headless import HeadlessOptions, run_headless

__all__ = ["HeadlessOptions", "run_headless"]
