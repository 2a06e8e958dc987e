"""The vertices of PLY files: one parser for splats and meshes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar.errors import UserError
from avatar.formats.untrusted import refusing

__all__ = ["PlyVertices", "parse_vertices"]

_MAX_HEADER = 65_536
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4",
    "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "float32": "<f4", "float64": "<f8",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlyVertices:
    """The first element of a PLY, which must be its vertices; what follows them is of no interest here."""

    table: np.ndarray
    """Records with the file's own property names."""
    comments: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The properties, in their order."""
        return self.table.dtype.names or ()

    def columns(self, *names: str) -> np.ndarray:
        """Some properties side by side, float32 (n, len(names))."""
        return np.stack([self.table[name].astype(np.float32) for name in names], -1)


def parse_vertices(raw: bytes, path: Path | str, most: int) -> PlyVertices:
    """Read the vertices of a PLY, ASCII or little-endian binary.

    Args:
        path: named in messages.
        most: vertices that are accepted.

    Raises:
        UserError: if it is no PLY, damaged, truncated, or claims more.
    """
    with refusing(path, "a PLY file"):
        end = raw.find(b"end_header", 0, _MAX_HEADER)
        if not raw.startswith(b"ply") or end < 0:
            raise UserError(f"{path}: not a PLY file")
        start = raw.find(b"\n", end) + 1
        if start == 0:
            raise UserError(f"{path}: the PLY header does not end")
        style, count, fields, comments = _header(raw[:end].decode("ascii", "replace"), path)
        if not 0 < count <= most:
            raise UserError(f"{path}: claims {count} vertices; 1 to {most} are accepted")
        dtype = np.dtype(fields)
        if style == "ascii":
            rows = [row.split() for row in raw[start:].decode("ascii", "replace").splitlines() if row.strip()][:count]
            if len(rows) < count or any(len(row) < len(fields) for row in rows):
                raise UserError(f"{path}: truncated: fewer rows of numbers than its {count} vertices")
            values = np.array([row[: len(fields)] for row in rows], np.float64)
            return PlyVertices(np.rec.fromarrays(values.T, dtype=dtype), comments)
        if style != "binary_little_endian":
            raise UserError(f"{path}: a PLY of format {style!r}; save it as binary little-endian")
        there = len(raw) - start
        if count * dtype.itemsize > there:
            raise UserError(
                f"{path}: truncated: {count} vertices need {count * dtype.itemsize} bytes, there are {there}"
            )
        return PlyVertices(np.frombuffer(raw, dtype, count, start), comments)


def _header(text: str, path: Path | str) -> tuple[str, int, list[tuple[str, str]], tuple[str, ...]]:
    """Format, number of vertices, their properties with numpy's types, comments."""
    style, count, fields, comments = "", None, [], []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["comment"]:
            comments.append(line.strip()[len("comment") :].strip())
        elif words[:1] == ["format"]:
            style = words[1]
        elif words[:1] == ["element"]:
            if count is not None:
                break
            if words[1] != "vertex":
                raise UserError(f"{path}: the PLY does not begin with its vertices")
            count = int(words[2])
        elif words[:1] == ["property"]:
            if len(words) != 3 or words[1] not in _TYPES:
                raise UserError(f"{path}: unexpected PLY property {' '.join(words[1:])[:60]!r}")
            fields.append((words[2], _TYPES[words[1]]))
    if count is None or not fields:
        raise UserError(f"{path}: the PLY has no vertices")
    return style, count, fields, tuple(comments)
