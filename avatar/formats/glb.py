"""Binary glTF 2.0: the container and its accessors, read with every length checked, and written."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import UserError
from avatar.formats.untrusted import MAX_BYTES, read_bytes, refusing

__all__ = ["Glb", "GlbWriter", "read_glb"]

_MAX_JSON = 16 << 20
_MAX_COUNT = 20_000_000
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_CODES = {np.dtype(code): number for number, code in _COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TYPES = {width: name for name, width in _WIDTHS.items()}
_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963


@dataclass(frozen=True, eq=False)
class Glb:
    """A parsed file: the JSON scene and the binary chunk."""

    path: Path
    scene: dict[str, Any]
    binary: bytes

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The scene's list `kind` (meshes, nodes, animations, ...), empty where it has none.

        Raises:
            UserError: if it is not a list of objects.
        """
        found = self.scene.get(kind, [])
        if not isinstance(found, list) or any(not isinstance(item, dict) for item in found):
            raise UserError(f"{self.path}: {kind} of the glTF scene is malformed")
        return found

    def array(self, index: int) -> np.ndarray:
        """The values of an accessor, (count, width), sparse ones filled in.

        Raises:
            UserError: if the accessor does not exist or does not fit its buffer.
        """
        with refusing(self.path, f"a GLB whose accessor {index} can be read"):
            accessor = self._item("accessors", index)
            count, width = _whole(accessor["count"]), _WIDTHS[accessor["type"]]
            dtype = np.dtype(_COMPONENTS[accessor["componentType"]])
            if count * width > _MAX_COUNT:
                raise UserError(f"{self.path}: accessor {index} claims {count} elements; too many to accept")
            if "bufferView" in accessor:
                values = self._view(accessor, dtype, count, width).copy()
            else:
                values = np.zeros((count, width), dtype)
            if "sparse" in accessor:
                sparse = accessor["sparse"]
                n = _whole(sparse["count"])
                if n > count:
                    raise ValueError(f"{n} sparse values for {count} elements")
                kind = np.dtype(_COMPONENTS[sparse["indices"]["componentType"]])
                if kind.kind != "u":
                    raise ValueError("sparse indices of an unusual type")
                where = self._view(sparse["indices"], kind, n, 1)[:, 0].astype(np.int64)
                if n and (where.min() < 0 or where.max() >= count):
                    raise ValueError("sparse indices out of range")
                values[where] = self._view(sparse["values"], dtype, n, width)
            if dtype.kind == "f" and not np.isfinite(values).all():
                raise UserError(f"{self.path}: accessor {index} holds values that are not finite")
            return values

    def _item(self, kind: str, index: object) -> dict[str, Any]:
        items = self.items(kind)
        if not isinstance(index, int) or not 0 <= index < len(items):
            raise ValueError(f"there is no {kind}[{index}]")
        return items[index]

    def _view(self, holder: dict[str, Any], dtype: np.dtype, count: int, width: int) -> np.ndarray:
        view = self._item("bufferViews", holder["bufferView"])
        if view.get("buffer", 0) != 0:
            raise ValueError("data outside the file")
        start = _whole(view.get("byteOffset", 0)) + _whole(holder.get("byteOffset", 0))
        end = _whole(view.get("byteOffset", 0)) + _whole(view["byteLength"])
        element = width * dtype.itemsize
        stride = _whole(view.get("byteStride", 0)) or element
        needed = start + stride * (count - 1) + element if count else start
        if needed > min(end, len(self.binary)) or stride < element:
            raise ValueError("data beyond the end of its buffer")
        if not count:
            return np.zeros((0, width), dtype)
        flat = np.ndarray((count, width), dtype, self.binary, start, (stride, dtype.itemsize))
        return flat


def read_glb(path: Path | str, data: bytes | None = None) -> Glb:
    """Read a GLB's container; its accessors are read on demand.

    Args:
        data: the contents where they do not lie on disk (inside a zip); `path` then only names them.

    Raises:
        UserError: if it is no GLB, or its lengths do not fit.
    """
    raw = read_bytes(path, MAX_BYTES) if data is None else data
    path = Path(path)
    if len(raw) < 20 or raw[:4] != b"glTF":
        raise UserError(f"{path}: not a binary glTF file")
    version, total = struct.unpack_from("<II", raw, 4)
    if version != 2:
        raise UserError(f"{path}: glTF version {version}; only version 2 is read")
    if total > len(raw):
        raise UserError(f"{path}: truncated: it claims {total} bytes and has {len(raw)}")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= total:
        length, kind = struct.unpack_from("<I4s", raw, at)
        if length > total - at - 8:
            raise UserError(f"{path}: a chunk of {length} bytes is longer than the file")
        if kind == b"JSON" and length > _MAX_JSON:
            raise UserError(f"{path}: its scene description is larger than {_MAX_JSON >> 20} MiB")
        chunks.setdefault(kind, raw[at + 8 : at + 8 + length])
        at += 8 + length
    with refusing(path, "a binary glTF file"):
        scene = json.loads(chunks.get(b"JSON", b"").decode("utf-8"))
    if not isinstance(scene, dict):
        raise UserError(f"{path}: its scene description is not an object")
    return Glb(path, scene, chunks.get(b"BIN\0", b""))


@dataclass
class GlbWriter:
    """Collects arrays and objects of a scene, then packs them into one file."""

    scene: dict[str, Any] = field(default_factory=dict)
    _binary: bytearray = field(default_factory=bytearray)

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to the scene's list `kind`; returns its index."""
        items = self.scene.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def array(self, values: np.ndarray, *, index: bool = False, vertices: bool = False) -> int:
        """An accessor for (count,) or (count, width) values of a glTF component type."""
        table = np.ascontiguousarray(values).reshape(len(values), -1)
        target = _INDEX_BUFFER if index else _ARRAY_BUFFER if vertices else None
        accessor = self._describe(table) | {"bufferView": self._store(table, target)}
        return self.add("accessors", accessor)

    def sparse(self, values: np.ndarray, tolerance: float) -> int:
        """An accessor for float (count, 3) values that keeps only rows larger than `tolerance`."""
        table = np.ascontiguousarray(values, np.float32)
        where = np.flatnonzero(np.abs(table).max(1) > tolerance).astype(np.uint32)
        kept = np.zeros_like(table)
        kept[where] = table[where]
        accessor = self._describe(kept)
        if len(where):  # glTF has no sparse part of zero elements
            accessor["sparse"] = {
                "count": len(where),
                "indices": {"bufferView": self._store(where[:, None]), "componentType": 5125},
                "values": {"bufferView": self._store(kept[where])},
            }
        return self.add("accessors", accessor)

    def save(self, path: Path | str) -> None:
        """Write the file."""
        body = bytes(self._binary)
        scene = {"asset": {"version": "2.0", "generator": "gaussian-avatar"}, **self.scene}
        scene["buffers"] = [{"byteLength": len(body)}]
        text = json.dumps(scene, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(body)
        with Path(path).open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", len(body), b"BIN\0") + body)

    def _describe(self, table: np.ndarray) -> dict[str, Any]:
        return {
            "componentType": _CODES[table.dtype],
            "count": len(table),
            "type": _TYPES[table.shape[1]],
            "min": table.min(0).tolist(),
            "max": table.max(0).tolist(),
        }

    def _store(self, table: np.ndarray, target: int | None = None) -> int:
        data = table.tobytes()
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self._binary += data + b"\0" * (-len(data) % 4)
        return self.add("bufferViews", view)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_BYTES:
        raise ValueError(f"expected a count, found {str(value)[:40]!r}")
    return value
