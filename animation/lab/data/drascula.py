"""Spoken lines of the adventure game Drascula: The Vampire Strikes Back, which Debian packages with English voices.

A line is a sound file named by who says it and by its number; the texts stand together in one file, in as many
languages as the game has, each a list for one speaker.

Reference: ScummVM, engines/drascula (drascula.cpp, sound.cpp, talk.cpp), for the layout of the files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.speech.audio import resample
from avatar.errors import UserError

__all__ = ["drascula_lines"]

_SPEAKERS = ("", "D", "B", "BJ", "E", "I", "L", "P", "T", "VB")
"""What the names of a speaker's sounds begin with, in the order of the lists of texts; the first is the hero."""
_LEAST_LINES = 400
_LANGUAGES = range(2, 12)
_SOUND_AT = 32
_RATE = 11025


def _texts(data: bytes, at: int, languages: int) -> tuple[list[str], int]:
    """A list of texts in the first language, and where what comes after all its languages begins."""
    (count,) = struct.unpack_from(">H", data, at)
    at += 2
    first: list[str] = []
    for language in range(languages):
        (size,) = struct.unpack_from(">H", data, at)
        block = data[at + 2 : at + 2 + size]
        if len(block) < size:
            raise ValueError("a list ends behind the file's end")
        at += 2 + size
        place = 4
        for number in range(count):
            if language == 0:
                first.append(block[place:].split(b"\0")[0].decode("cp850"))
            (step,) = struct.unpack_from(">H", block, place - 2)
            if number < count - 1 and not 0 < step < len(block) - place:
                raise ValueError("a text begins behind its list's end")
            place += step
    return first, at


def _all_texts(path: Path) -> list[list[str]]:
    """The texts of each speaker: the lists begin where the hero's, the longest, can be read whole."""
    data = path.read_bytes()
    for at in range(len(data) - 4):
        languages, count = struct.unpack_from(">HH", data, at)
        if languages not in _LANGUAGES or count < _LEAST_LINES:
            continue
        try:
            lists, place = [], at + 2
            for _ in _SPEAKERS:
                texts, place = _texts(data, place, languages)
                lists.append(texts)
        except (ValueError, struct.error):
            continue
        return lists
    raise UserError(f"{path}: not the game's texts")


def drascula_lines(folder: Path) -> Iterator[tuple[str, Float[np.ndarray, " n"], str]]:
    """The game's spoken lines: name, sound at 16 kHz, text.

    Args:
        folder: where the package was unpacked.

    Raises:
        UserError: the package holds no such game.
    """
    path = next(iter(sorted(folder.rglob("drascula.dat"))), None)
    if path is None:
        raise UserError(f"{folder}: no drascula.dat, the game's texts")
    for speaker, texts in zip(_SPEAKERS, _all_texts(path), strict=True):
        for number, text in enumerate(texts):
            sound = path.with_name(f"{speaker}{number}.ALS")
            if text.strip() and sound.exists():
                levels = np.frombuffer(sound.read_bytes()[_SOUND_AT:], np.uint8)
                yield sound.stem, resample((levels.astype(np.float32) - 128) / 128, _RATE), text
