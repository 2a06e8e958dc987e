"""The live engine, free of Qt: devices, threads, one clock.

`LiveSession` is the engine; `run_headless(options) -> int` runs it without a window (the command
`gaussian-avatar live --headless`), with `HeadlessOptions(source, avatar, emotion, intensity, size, ...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.live.headless import HeadlessOptions, run_headless

__all__ = ["HeadlessOptions", "run_headless"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'app.live' has no attribute {name!r}")
    from app.live import headless  # at first use: the list of devices is asked for in processes of their own

    return getattr(headless, name)
