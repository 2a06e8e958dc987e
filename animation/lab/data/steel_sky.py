"""Spoken lines of the adventure game Beneath a Steel Sky, whose talking edition (0.0372) Debian packages.

Actors speak some three and a half thousand lines. The game keeps its files in one, with an index beside it; a line's
number says where its text and its sound are. Texts are bits of a prefix code, sounds are packed by Rob Northen's
method 1.

Reference: ScummVM, engines/sky (disk.cpp, text.cpp, sound.cpp), for the layout of the files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.speech.audio import resample
from avatar.errors import UserError

__all__ = ["steel_sky_lines"]

_ENTRIES = 5097
"""Files in the edition that this reads: each has a prefix code of its own."""
_TEXTS_AT, _SOUNDS_AT = 60600, 50000
_SECTION_SOUNDS = (0, 600, 1100, 2430, 3380, 4530, 5080, 5230)
_BLOCK = 32
_HEADER = 22
_RATE = 11025
_PACKED = b"RNC\x01"
_PACKED_HEADER = 18

_CODE = (
    (3, b' '), (4, b'ea'), (5, b'ostn.i'), (4, b'r'), (6, b'\x00E'), (5, b'umA'), (6, b'lIdRNS'), (5, b'T'),
    (7, b'Oh'), (6, b'cDg'), (7, b'LCpU!y'), (6, b'M'), (8, b'Pv'), (7, b'H?b'), (8, b"'f"), (7, b',GB'),
    (9, b'Vk'), (8, b'Fqw'), (9, b'K-'), (8, b'WJ*'), (9, b'zYj+'), (10, b'Q\x85'), (9, b')'), (10, b'Z\x8b'),
    (9, b'<'), (11, b'\x95~'), (10, b'\x8a\x87:'), (11, b'\x7f]'), (10, b'#'), (11, b'xX'), (10, b'\x91'),
    (12, b'\x88`'), (11, b'2'), (12, b'0\x83'), (11, b'1'), (12, b'/('), (11, b'=\x86^'), (12, b'39\x984'),
    (13, b'}8'), (12, b'\\"\x90'), (13, b'&\x8d56\x92\x8f\x8e\x93'), (14, b'\x8c7'), (13, b'\x80'),
    (14, b'\x81\x99$@'), (15, b'[\x9a'), (14, b'_>\x96'), (15, b'\x82%'), (14, b'\t'), (15, b'\x9c\x97{'),
    (16, b'\x94!'),
)  # fmt: skip
"""Letters of the prefix code from left to right, and how deep each lies."""


class _Files:
    """The game's files by number."""

    def __init__(self, folder: Path) -> None:
        index = next(iter(sorted(folder.rglob("sky.dnr"))), None)
        if index is None:
            raise UserError(f"{folder}: no sky.dnr, the game's index")
        rows = index.read_bytes()
        (count,) = struct.unpack_from("<I", rows)
        if count != _ENTRIES or len(rows) < 4 + 8 * count:
            raise UserError(f"{index}: not edition 0.0372 of the game")
        self._data = index.with_suffix(".dsk").read_bytes()
        self._places: dict[int, tuple[int, int]] = {}
        for at in range(4, 4 + 8 * count, 8):
            number, low, high, flags = struct.unpack_from("<HHBH", rows, at)
            size = (rows[at + 7] & 0x3F) << 16 | flags
            place = (high & 0x7F) << 16 | low
            self._places[number] = (place << 4 if high & 0x80 else place, size)

    def get(self, number: int) -> bytes | None:
        """A file as it lies there; None if there is none of that number."""
        if number not in self._places:
            return None
        at, size = self._places[number]
        return self._data[at : at + size]


def _words() -> dict[tuple[int, int], int]:
    """The letter of each word of the prefix code, given as its length and its value."""
    table, value, before = {}, 0, _CODE[0][0]
    for depth, letters in _CODE:
        value = value << (depth - before) if depth >= before else value >> (before - depth)
        before = depth
        for letter in letters:
            table[depth, value] = letter
            value += 1
    return table


def _texts(data: bytes, code: dict[tuple[int, int], int]) -> Iterator[str]:
    """All texts of a section, in their order."""
    lengths_at, bits_at = struct.unpack_from("<HH", data)
    blocks = struct.unpack_from(f"<{(lengths_at - 4) // 2}H", data, 4)
    lengths = data[lengths_at:bits_at]
    start = 0
    for block in range(len(blocks) + 1):
        at = start
        for length in (*lengths[_BLOCK * block : _BLOCK * (block + 1)], 0)[:_BLOCK]:
            if bits_at + at // 4 < len(data):
                yield _text(data, bits_at * 8 + 2 * at, code)
            at += (length & 0x7F) << 3 if length & 0x80 else length
        start += blocks[block] if block < len(blocks) else 0


def _text(data: bytes, bit: int, code: dict[tuple[int, int], int]) -> str:
    letters = bytearray()
    depth = value = 0
    while bit < 8 * len(data):
        value = value << 1 | data[bit >> 3] >> (7 - (bit & 7)) & 1
        depth, bit = depth + 1, bit + 1
        letter = code.get((depth, value))
        if letter == 0:
            break
        if letter is not None:
            letters.append(letter)
            depth = value = 0
    return letters.decode("cp437")


class _Bits:
    """Bits of 16-bit words, lowest first; bytes may lie between the words."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data + b"\0\0"
        self.at = at
        self._kept = 0
        self._count = 0

    def take(self, count: int) -> int:
        """The next bits as a number."""
        while self._count < count:
            self._kept |= int.from_bytes(self.data[self.at : self.at + 2], "little") << self._count
            self.at += 2
            self._count += 16
        value = self._kept & ((1 << count) - 1)
        self._kept >>= count
        self._count -= count
        return value


class _Numbers:
    """Numbers of a block: a canonical code says how many bits each has, lowest first."""

    def __init__(self, bits: _Bits) -> None:
        lengths = [bits.take(4) for _ in range(bits.take(5))]
        self._sizes: dict[tuple[int, int], int] = {}
        code = 0
        for length in range(1, 16):
            for size in (k for k, one in enumerate(lengths) if one == length):
                self._sizes[length, code] = size
                code += 1
            code <<= 1

    def take(self, bits: _Bits) -> int:
        """The next number."""
        length = code = 0
        while (size := self._sizes.get((length, code))) is None:
            if length == 16:
                raise ValueError("no such word in the code")
            length, code = length + 1, code << 1 | bits.take(1)
        return size if size < 2 else 1 << (size - 1) | bits.take(size - 1)


def unpack(data: bytes) -> bytes:
    """What Rob Northen's method 1 packed: bytes as they are, and bytes said again.

    Raises:
        ValueError: it is not packed so, or damaged.
    """
    if data[: len(_PACKED)] != _PACKED or len(data) < _PACKED_HEADER:
        raise ValueError("not packed by method 1")
    (size,) = struct.unpack_from(">I", data, 4)
    bits = _Bits(data, _PACKED_HEADER)
    bits.take(2)
    out = bytearray()
    for _ in range(data[_PACKED_HEADER - 1]):
        plain, distances, lengths = _Numbers(bits), _Numbers(bits), _Numbers(bits)
        for left in range(bits.take(16), 0, -1):
            count = plain.take(bits)
            out += data[bits.at : bits.at + count]
            bits.at += count
            if left > 1:
                distance = distances.take(bits) + 1
                for _ in range(lengths.take(bits) + 2):
                    out.append(out[-distance])
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes unpacked where {size} were packed")
    return bytes(out)


def _sound(file: bytes) -> Float[np.ndarray, " n"]:
    packed = file[_HEADER : _HEADER + len(_PACKED)] == _PACKED
    levels = np.frombuffer(unpack(file[_HEADER:]) if packed else file[_HEADER:], np.uint8)
    return resample((levels.astype(np.float32) - 128) / 128, _RATE)


def steel_sky_lines(folder: Path) -> Iterator[tuple[str, Float[np.ndarray, " n"], str]]:
    """The game's spoken lines: name, sound at 16 kHz, text.

    Args:
        folder: where the package was unpacked.

    Raises:
        UserError: the package holds no such game.
    """
    files, code = _Files(folder), _words()
    for section, first in enumerate(_SECTION_SOUNDS):
        texts = files.get(_TEXTS_AT + section)
        for number, text in enumerate(_texts(texts, code) if texts else ()):
            sound = files.get(_SOUNDS_AT + first + number)
            if sound is not None and text.strip():
                yield f"{section}/{number}", _sound(sound), text
