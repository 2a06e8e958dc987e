"""Writing a file all or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "write_bytes"]


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when the block ends well and vanishes when it does not.

    It lies in the same folder and ends in the same suffix. Whatever happens, `path` holds the old file or the new one,
    never a part of one; two programs that write the same file do not mix their bytes. An OSError names `path`.
    """
    path = Path(path)
    fresh = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield fresh
        fresh.replace(path)
    except OSError as error:
        if error.filename is None or Path(os.fsdecode(error.filename)) == fresh:  # a full disk names no file at all
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        fresh.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file all or nothing, making its folder.

    Raises:
        OSError: if it cannot be written; what was there is still there.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as fresh:
        fresh.write_bytes(data)
