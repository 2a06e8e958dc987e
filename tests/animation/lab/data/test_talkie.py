"""Reading a game's spoken lines."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from animation.lab.data.talkie import spoken_lines
from avatar.errors import UserError

RATE = 22050


def _mp3(pitch: float) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=RATE, layout="mono")
        tone = np.round(8000 * np.sin(2 * np.pi * pitch * np.arange(RATE) / RATE)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return buffer.getvalue()


def _text(text: str, align: int) -> bytes:
    """A string as the game keeps it: its length, and zeros up to the next even place."""
    raw = text.encode("cp437")
    return bytes([len(raw)]) + raw if not align else bytes([len(raw)]) + raw + b"\0" * (-(1 + len(raw)) % align)


def _conversation() -> bytes:
    """A level of dialogue; the hero says one thing, the other two, of which the last is of two parts."""
    joe = struct.pack(">hh", 0, 1) + _text("Hello there.", 4)
    at = 32 + 96 + len(joe)
    other = struct.pack(">hh", 0, 1) + _text("Good day.", 4)
    other += struct.pack(">hh", 0, 0x1E) + _text("Wait*FL I know *XY00(237,112)you!", 4)
    again_at = at + len(other)
    header = struct.pack(">5h6h3H", 1, 7, 2, 1, 2, *[0] * 6, at, 0, again_at)
    return b"\0" * 20 + header.ljust(32 + 96, b"\0") + joe + other + _text("You again?", 2) + _text("Me.", 2)


def _write(folder: Path, files: dict[str, bytes], mp3: int = 1) -> None:
    start = 15 + 21 * len(files)
    table, body = b"", b""
    for name, data in files.items():
        table += name.encode().ljust(12, b"\0") + struct.pack(">BII", 1, start + len(body), len(data))
        body += data
    folder.mkdir(parents=True)
    (folder / "queen.1c").write_bytes(b"QTBLCEM10\0\0\0" + bytes([mp3]) + struct.pack(">H", len(files)) + table + body)


def test_each_part_of_a_line_is_paired_with_its_sound_by_who_says_it(tmp_path: Path) -> None:
    names = ("020001J1", "020001P1", "02001EP1", "02001EP3", "02XXXXP1")
    sounds = {f"{name}.SB": _mp3(200.0 + 50 * k) for k, name in enumerate(names)}
    _write(tmp_path / "game", {"TEST1.DOG": _conversation(), **sounds, "PICTURE.PCX": b"x"})
    heroes = list(spoken_lines(tmp_path, heroes=True))
    assert [(name, text) for name, _, text in heroes] == [("test1/020001J1", "Hello there.")]
    others = {name: (samples, text) for name, samples, text in spoken_lines(tmp_path, heroes=False)}
    assert {name: text for name, (_, text) in others.items()} == {
        "test1/020001P1": "Good day.",
        "test1/02001EP1": "Wait",
        "test1/02001EP3": "you!",  # of the part between, the game has no sound
        "test1/02XXXXP1": "You again?",
    }
    samples = others["test1/02001EP1"][0]
    assert len(samples) == pytest.approx(16000, rel=0.1)
    middle = samples[6000:10000]
    assert np.abs(np.fft.rfft(middle)).argmax() * 16000 / len(middle) == pytest.approx(300, abs=5)


def test_another_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no queen\.1c"):
        list(spoken_lines(tmp_path, heroes=True))
    _write(tmp_path / "game", {}, mp3=2)
    with pytest.raises(UserError, match="speech as MP3"):
        list(spoken_lines(tmp_path, heroes=True))
