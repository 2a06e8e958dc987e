"""Media files, opened by FFmpeg as what they are: one file on this machine, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from avatar.errors import UserError

__all__ = ["media_url", "open_media"]

_REFERRING = {"concat", "dash", "hls", "imf", "rtsp", "sdp"}
"""Formats that only name other files, which nobody has picked."""


def media_url(path: Path | str) -> str:
    """How FFmpeg is told that a path is a path: `rec:1.mp4` and `12:30:45.m4a` look like addresses to it."""
    return f"file:{path}"


def open_media(path: Path, source: Any = None) -> Any:
    """A file of sound or pictures, opened to be read: PyAV's container, which its owner closes.

    Args:
        source: an open file to read in its place, such as a part of it.

    Raises:
        UserError: for a list of other files.
        av.FFmpegError, OSError, ValueError: for what FFmpeg cannot read.
    """
    container = av.open(media_url(path) if source is None else source, options={"protocol_whitelist": "file"})
    if container.format.name in _REFERRING:
        container.close()
        raise UserError(f"{path}: a list that names other files; open one of those")
    return container
