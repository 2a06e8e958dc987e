"""The glTF container: what is written reads back, and lengths that do not fit are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.errors import UserError
from avatar.formats.glb import GlbWriter, read_glb


def write(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "vectors": rng.normal(size=(7, 3)).astype(np.float32),
        "indices": rng.integers(0, 7, 9).astype(np.uint16),
        "target": np.where(rng.random((7, 1)) < 0.5, 0, rng.normal(size=(7, 3))).astype(np.float32),
        "still": np.zeros((7, 3), np.float32),
    }
    writer = GlbWriter()
    writer.array(arrays["vectors"], vertices=True)
    writer.array(arrays["indices"], index=True)
    writer.sparse(arrays["target"], 0.0)
    writer.sparse(arrays["still"], 0.0)
    writer.save(path)
    return arrays


def rewritten(path: Path, scene: dict[str, Any]) -> Path:
    """The same file with another scene description."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<I", raw, 12)
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + raw[20 + length :]
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
    return path


def test_arrays_come_back(tmp_path: Path) -> None:
    arrays = write(tmp_path / "a.glb")
    glb = read_glb(tmp_path / "a.glb")
    for i, name in enumerate(arrays):
        np.testing.assert_array_equal(glb.array(i).reshape(arrays[name].shape), arrays[name])


def test_interleaved_arrays_are_read(tmp_path: Path) -> None:
    """byteStride: positions and something else side by side."""
    rows = np.arange(20, dtype="<f4").reshape(4, 5)
    write(tmp_path / "a.glb")
    scene = {
        "buffers": [{"byteLength": 80}],
        "bufferViews": [{"buffer": 0, "byteLength": 80, "byteStride": 20}],
        "accessors": [{"bufferView": 0, "byteOffset": 8, "componentType": 5126, "count": 4, "type": "VEC3"}],
    }
    path = rewritten(tmp_path / "a.glb", scene)
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<I", raw, 12)
    head = raw[: 20 + length]
    path.write_bytes(
        head[:8] + struct.pack("<I", len(head) + 88) + head[12:] + struct.pack("<I4s", 80, b"BIN\0") + rows.tobytes()
    )
    np.testing.assert_array_equal(read_glb(path).array(0), rows[:, 2:])


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("accessors", 0, "count"), 10**9),
        (("accessors", 0, "count"), 8),
        (("accessors", 0, "count"), -1),
        (("accessors", 0, "count"), "seven"),
        (("accessors", 0, "count"), True),
        (("accessors", 0, "type"), "VEC9"),
        (("accessors", 0, "componentType"), 1),
        (("accessors", 0, "byteOffset"), 10**8),
        (("accessors", 0, "bufferView"), 99),
        (("accessors", 0, "bufferView"), None),
        (("bufferViews", 0, "byteLength"), 3),
        (("bufferViews", 0, "byteOffset"), 10**8),
        (("bufferViews", 0, "byteStride"), 2),
        (("bufferViews", 0, "buffer"), 1),
        (("accessors",), {}),
        (("accessors",), [1]),
        (("accessors", 2, "sparse", "count"), 9),
        (("accessors", 2, "sparse", "indices", "componentType"), 5126),
    ],
)
def test_scenes_that_do_not_fit_are_refused(tmp_path: Path, where: tuple[Any, ...], value: Any) -> None:
    write(tmp_path / "a.glb")
    scene = read_glb(tmp_path / "a.glb").scene
    holder: Any = scene
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = value
    glb = read_glb(rewritten(tmp_path / "a.glb", scene))
    with pytest.raises(UserError, match=r"a\.glb"):
        [glb.array(i) for i in range(3)]


@pytest.mark.parametrize(
    ("at", "data"),
    [(0, b"glTX"), (4, b"\1"), (8, b"\xff\xff\xff\x7f"), (12, b"\xff\xff\xff\x7f"), (20, b"[[[["), (20, b"\xff")],
)
def test_damaged_containers_are_refused(tmp_path: Path, at: int, data: bytes) -> None:
    write(tmp_path / "a.glb")
    raw = bytearray((tmp_path / "a.glb").read_bytes())
    raw[at : at + len(data)] = data
    (tmp_path / "a.glb").write_bytes(raw)
    with pytest.raises(UserError, match=r"a\.glb") as refusal:
        read_glb(tmp_path / "a.glb")
    assert "\n" not in str(refusal.value)
