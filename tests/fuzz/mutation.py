"""Mutated files: what a fuzzer needs, seeded, with no state but its random numbers.

Run by hand for long: `python -m tests.fuzz --count 10000`.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile

__all__ = ["mutated"]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**9, 0x7FC00000, 0x7F800000)
_NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"4294967295", b"99999999999999999999", b"1e30", b"", b"x", b"0.5", b"7")
_VALUES = (None, True, -1, 0, 1, 10**9, 2**63, 1.5, float("nan"), "x", [], {}, [[]], "POSITION", {"a": 1}, [1, 2, 3])


def mutated(data: bytes, rng: random.Random, suffix: str) -> bytes:
    """A damaged copy: of the bytes as they are, or of what is packed inside them so that the packing stays valid."""
    if suffix in (".zip", ".npz") and rng.random() < 0.75:
        return _member(data, rng)
    if suffix == ".glb" and rng.random() < 0.6:
        return _scene(data, rng)
    if suffix == ".json" and rng.random() < 0.6:
        return json.dumps(_value(json.loads(data), rng)).encode()
    if suffix == ".safetensors" and rng.random() < 0.5:
        return _tensor_header(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        data = _bytes(data, rng)
    return data


def _bytes(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return rng.randbytes(rng.randrange(32))
    # Headers decide most: half of the damage is done near the beginning.
    at = rng.randrange(min(len(data), 2000) if rng.random() < 0.5 else len(data))
    kind = rng.randrange(9)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + bytes([rng.choice((0, 0xFF, 0x80, rng.randrange(256)))]) + data[at + 1 :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + rng.randbytes(rng.randrange(1, 64)) + data[at:]
    if kind == 4:
        return data[:at] + data[at + rng.randrange(1, 200) :]
    if kind == 5:
        end = at + rng.randrange(1, 200)
        return data[:end] + data[at:]
    if kind == 6:
        at -= at % 4
        return data[:at] + struct.pack("<I", rng.choice(_EXTREMES)) + data[at + 4 :]
    if kind == 7:
        return data[:at] + struct.pack(">Q", rng.choice(_EXTREMES)) + data[at + 8 :]
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data[:5000]))
    if not numbers:
        return data[::-1]
    found = rng.choice(numbers)
    return data[: found.start()] + rng.choice(_NUMBERS) + data[found.end() :]


def _member(data: bytes, rng: random.Random) -> bytes:
    """Damage one file of a zip (through the very formats that it holds), or leave it out, or add another."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(10)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name + rng.choice(("", "x", "/skin.glb", ".npy"))] = rng.randbytes(rng.randrange(100))
    elif kind == 2:
        other = rng.choice(list(members))
        members[name], members[other] = members[other], members[name]
    else:
        inner = "." + name.rsplit(".", 1)[-1]
        members[name] = mutated(members[name], rng, inner)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for key, content in members.items():
            new.writestr(key, content)
    return buffer.getvalue()


def _scene(data: bytes, rng: random.Random) -> bytes:
    """Damage the JSON of a GLB and pack it again."""
    (length,) = struct.unpack_from("<I", data, 12)
    scene = _value(json.loads(data[20 : 20 + length]), rng)
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + data[20 + length :]
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _tensor_header(data: bytes, rng: random.Random) -> bytes:
    """Damage the JSON of a safetensors file and pack it again."""
    (length,) = struct.unpack_from("<Q", data)
    text = json.dumps(_value(json.loads(data[8 : 8 + length]), rng)).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _value(value: object, rng: random.Random) -> object:
    """Change one thing somewhere in a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:i] + value[i + 1 :]
        return [*value[:i], _value(value[i], rng), *value[i + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 2, -value * 2, 10**6))
    return rng.choice(_VALUES)
