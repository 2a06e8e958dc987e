"""What all files have in common: what may be asked for, and what the disk answers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from avatar.errors import UserError

__all__ = ["QUALITIES", "Unfinished", "check_options", "writing"]

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
        if code == errno.EFBIG:
            raise UserError(f"{path}: files cannot become larger on this disk") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path}: no permission to write here") from error
        if code in (errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG):
            raise UserError(f"{path}: cannot write here ({os.strerror(code)})") from error
        raise UserError(f"{path}: cannot be written ({error})") from error


class Unfinished:
    """A file that grows for a long time: a video.

    Where there is nothing yet it grows in its place, so that it is found there after a crash. What is there already
    stays until the new file is whole: it grows beside it, as `NAME.unfinished.SUFFIX`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """Where it belongs."""
        self._made = not path.exists()
        kept = path.is_file()  # of a device or a pipe there is nothing to keep
        self.at = _free(path.with_name(f"{path.stem}.unfinished{path.suffix}")) if kept else path
        """Where it is now."""
        self._made = self._made or self.at != path

    def finish(self) -> None:
        """It is whole: it takes its place."""
        if self.at != self.path:
            self.at.replace(self.path.resolve())
            self.at = self.path

    def discard(self) -> None:
        """Nothing came of it."""
        if self._made:
            self.at.unlink(missing_ok=True)


def _free(path: Path) -> Path:
    """This name, or one like it, that is not taken."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found
