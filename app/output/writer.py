"""The writer that a path calls for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from app.output.formats import format_of
from app.output.sequence import ImageSequenceWriter
from app.output.video import VideoWriter
from avatar.errors import UserError

__all__ = ["Writer", "check_target", "is_sequence", "open_writer"]


class Writer(Protocol):
    """A file, or folder of files, that images and sound go into."""

    path: Path
    most_fps: float | None
    """More images a second need not be offered; None wants all there are."""

    def write_image(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        """Add an image that is shown from `time_s` on; times rise."""

    def write_audio(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Add the next samples, mono, -1..1. The first sample ever written is heard at time 0."""

    def close(self) -> None:
        """Finish the file; it takes the place of one that was there. Idempotent."""

    def abandon(self) -> None:
        """Close it as it is, because something went wrong: one that was there keeps its place. Idempotent."""

    @property
    def duration_s(self) -> float:
        """What has been written so far, seconds."""


def is_sequence(path: str | Path) -> bool:
    """Whether a path calls for a PNG sequence: it is that of a folder, has no suffix, or ends in a slash."""
    return Path(path).suffix == "" or str(path).endswith(("/", os.sep)) or Path(path).is_dir()


def check_target(path: str | Path, alpha: bool = False) -> None:
    """Notice before the work is done that nothing can be written under a name.

    Raises:
        UserError: for an unknown suffix, or a format that cannot keep a transparent background if it has to.
    """
    target = Path(path)
    if not is_sequence(path) and not format_of(target).alpha and alpha:
        raise UserError(
            f"{target.name}: {target.suffix} cannot keep a transparent background; "
            "write a .mov (ProRes 4444), a .webm (VP9) or a folder (PNG sequence)"
        )


def open_writer(
    path: str | Path,
    width: int,
    height: int,
    sample_rate: int | None = None,
    fps: float | None = None,
    quality: str = "standard",
    alpha: bool = False,
    live: bool = False,
    sequence: bool = False,
) -> Writer:
    """Open the writer that a path calls for.

    Args:
        path: `.mp4` or `.mkv` (H.264 + AAC), `.mov` (ProRes 4444 with alpha), `.webm` (VP9 with alpha + Opus), or a
            folder (no suffix, or ending in a slash) for a PNG sequence with alpha and a WAV file. What is there already
            stays until the new file is whole.
        width, height: of every image, pixels.
        sample_rate: of the sound, Hz; None for none.
        fps: constant rate; None keeps the time of every image (sequences then take 30).
        quality: one of `QUALITIES`.
        alpha: the background is transparent and must stay so: refuses a format that cannot.
        live: keep pace beside the engine: faster settings, and videos with alpha take at most 30 images a second where
            `fps` is None.
        sequence: `path` is the folder of a PNG sequence, whatever it is called.

    Raises:
        UserError: unknown suffix or quality, unwritable path, odd size where the format needs an even one.
    """
    target = Path(path)
    if sequence or is_sequence(path):
        return ImageSequenceWriter(target, width, height, sample_rate, 30.0 if fps is None else fps)
    check_target(target, alpha)
    return VideoWriter(target, width, height, sample_rate, fps, quality, live)
