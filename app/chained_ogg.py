"""Ogg files that are chained: several recordings, one after the other, in one file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["FilePart", "ogg_parts"]

_HEADER = 27
_FIRST_PAGE = 2
"""Flag of the first page of a stream."""


def ogg_parts(path: Path) -> list[tuple[int, int]]:
    """First and last byte (not included) of each recording of an Ogg file, in order; empty if it is no Ogg file.

    Reference: RFC 3533, section 6. Streams that play together all begin before any of them goes on, so a stream that
    begins later begins the next recording.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        at, begun = 0, False
        starts: list[int] = []
        while at < size:
            file.seek(at)
            header = file.read(_HEADER)
            if len(header) < _HEADER or header[:4] != b"OggS":
                if not starts:
                    return []
                at = _next_page(file, at + 1)
                if at < 0:
                    break
                continue
            first = bool(header[5] & _FIRST_PAGE)
            if first and (not starts or begun):
                starts.append(at)
            begun = not first
            at += _HEADER + header[26] + sum(file.read(header[26]))
    return list(zip(starts, [*starts[1:], size], strict=True))


def _next_page(file: BinaryIO, at: int) -> int:
    """Where the next page begins, after damage; -1 if none does."""
    tail = b""
    file.seek(at)
    while block := file.read(65536):
        found = (tail + block).find(b"OggS")
        if found >= 0:
            return at - len(tail) + found
        at += len(block)
        tail = block[-3:]
    return -1


class FilePart(io.RawIOBase):
    """The bytes of a file from one place to another, as a file of their own."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = path.open("rb")
        self._start, self._end, self._at = start, end, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        n = max(0, min(len(buffer), self._end - self._start - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(n)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end - self._start}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()
