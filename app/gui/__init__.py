"""The window, PyQt6.

`run(audio_file, device, avatar, backend, track, channel, lookahead_ms) -> int` opens the application and returns its
exit code. Qt is imported only when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["run"]


def run(
    audio_file: Path | None = None,
    device: str | None = None,
    avatar: str | None = None,
    backend: str | None = None,
    track: int | None = None,
    channel: int | None = None,
    lookahead_ms: Literal[70, 30, 10] | None = None,
) -> int:
    """Open the window; returns when it is closed.

    Args:
        audio_file: play this as if it were spoken, instead of listening.
        device: key (or part of the name) of the microphone to listen to; None is the one remembered.
        avatar: name or file; None is the one remembered.
        backend: the renderer; None is the one remembered.
        track: of the file, counted from 1; None is its default one.
        channel: of the file, else of the microphone, counted from 1; None is the choice remembered.
        lookahead_ms: how much sound after a moment the lips wait for; None is the choice remembered.

    Raises:
        UserError: for an unknown renderer, if the file cannot be read, or no window can be opened.
    """
    from app.gui.main.application import run_application

    return run_application(audio_file, device, avatar, backend, track, channel, lookahead_ms)
