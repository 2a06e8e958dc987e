"""What all files have in common: what may be asked for, and what the disk answers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from avatar.errors import UserError

__all__ = ["QUALITIES", "check_options", "writing"]

QUALITIES = ("draft", "standard", "high")


def check_options(quality: str, fps: float | None, sample_rate: int | None) -> None:
    """
    Raises:
        UserError: for what no writer can do.
    """
    if quality not in QUALITIES:
        raise UserError(f"unknown quality {quality!r}: choose one of {', '.join(QUALITIES)}")
    if fps is not None and not 1 <= fps <= 240:
        raise UserError(f"images a second must lie between 1 and 240, got {fps:g}")
    if sample_rate is not None and not 4000 <= sample_rate <= 384_000:
        raise UserError(f"the sample rate must lie between 4,000 and 384,000 Hz, got {sample_rate}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk says into one line."""
    try:
        yield
    except UserError:
        raise
    except (OSError, av.error.FFmpegError) as error:
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{path}: the disk is full") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path}: no permission to write here") from error
        if code in (errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG):
            raise UserError(f"{path}: cannot write here ({os.strerror(code)})") from error
        raise UserError(f"{path}: cannot be written ({error})") from error
