"""Spoken lines of the adventure game Flight of the Amazon Queen, whose talking edition Debian packages.

Dozens of actors say some thousand lines. The game's one file holds the sound of each line as MP3, named by where the
line stands in the conversations, which the file holds as text.

Reference: ScummVM, engines/queen (resource.cpp, talk.cpp), for the layout of the file.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from animation.speech.audio import resample
from avatar.errors import UserError

__all__ = ["spoken_lines"]

_HEADER, _ENTRY = 15, 21
_CONVERSATION_HEADER = 20
_LEVELS_AT, _LEVEL_BYTES = 32, 96
_SEGMENT = re.compile(r"\*(?:XY\d\d\(\d+,\d+\)|[A-Z0-9]{2})")


def _resources(path: Path) -> dict[str, bytes]:
    """The files within the game's one file, by name."""
    data = path.read_bytes()
    if data[:4] != b"QTBL" or data[12] != 1:
        raise UserError(f"{path}: not the game's file with its speech as MP3")
    (count,) = struct.unpack_from(">H", data, 13)
    found = {}
    for number in range(count):
        at = _HEADER + _ENTRY * number
        name = data[at : at + 12].split(b"\0")[0].decode("latin-1").upper()
        _, offset, size = struct.unpack_from(">BII", data, at + 12)
        found[name] = data[offset : offset + size]
    return found


def _number(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">h", data, at)[0])


def _string(data: bytes, at: int, align: int = 2) -> tuple[str, int]:
    """A string that begins with its length, and where what comes after it begins."""
    length = data[at]
    at += 1
    if not length:
        return "", at
    return data[at : at + length].decode("cp437"), (at + length + align - 1) & ~(align - 1)


def _segments(prefix: str, sentence: str) -> Iterator[tuple[str, str]]:
    """A sentence's sounds: each part between commands has a file of its own."""
    for number, text in enumerate(_SEGMENT.split(sentence)):
        if text.strip():
            yield f"{prefix}{number + 1:x}".replace(" ", "0").upper(), text.strip()


def _dialogue(data: bytes) -> Iterator[tuple[str, str]]:
    """Lines of one conversation by the names of their sounds."""
    data = data[_CONVERSATION_HEADER:]
    levels, _, key, of_joe, of_other = (_number(data, at) for at in range(0, 10, 2))
    other_at, _, second_at = struct.unpack_from(">HHH", data, 22)
    joe_at = _LEVELS_AT + abs(levels) * _LEVEL_BYTES
    for letter, start, count in (("J", joe_at, of_joe), ("P", other_at, of_other)):
        at = start
        for _ in range(count):
            head = _number(data, at + 2)
            text, at = _string(data, at + 4, 4)
            yield from _segments(f"{key:2d}{head & 0xFFFF:4x}{letter}", text)
    again, at = _string(data, second_at)
    yield from _segments(f"{key:2d}XXXXP", again)
    yield from _segments(f"{key:2d}XXXXJ", _string(data, at)[0])


def _sound(line: bytes) -> Float[np.ndarray, " n"]:
    with av.open(io.BytesIO(line), "r", format="mp3") as container:
        stream = container.streams.audio[0]
        chunks = [frame.to_ndarray().mean(axis=0) for frame in container.decode(stream)]
        rate = stream.rate
    return resample(np.concatenate(chunks).astype(np.float32), rate) if chunks else np.zeros(0, np.float32)


def spoken_lines(folder: Path, heroes: bool) -> Iterator[tuple[str, Float[np.ndarray, " n"], str]]:
    """Lines of the game's conversations: name, sound at 16 kHz, text.

    Args:
        folder: where the package was unpacked.
        heroes: the lines of the hero, who is one man; otherwise those of everybody else.

    Raises:
        UserError: the package holds no speech.
    """
    path = next(iter(sorted(folder.rglob("queen.1c"))), None)
    if path is None:
        raise UserError(f"{folder}: no queen.1c, the game's file")
    resources = _resources(path)
    for conversation in sorted(name for name in resources if name.endswith(".DOG")):
        for name, text in _dialogue(resources[conversation]):
            line = resources.get(f"{name}.SB")
            if line is not None and (name[6] == "J") == heroes:
                yield f"{conversation.removesuffix('.DOG').lower()}/{name}", _sound(line), text
