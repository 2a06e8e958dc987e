"""Reading the spoken lines of games: their sounds and their words."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from animation.lab.data import steel_sky
from animation.lab.data.drascula import drascula_lines
from animation.lab.data.fillets import fillets_lines
from animation.lab.data.recordings import recordings
from animation.lab.data.sources import SOURCES
from animation.lab.data.steel_sky import steel_sky_lines, unpack
from avatar.errors import UserError

RATE = 11025


def _tone(pitch: float, seconds: float = 1.0) -> bytes:
    """Unsigned 8-bit samples."""
    wave = np.sin(2 * np.pi * pitch * np.arange(int(RATE * seconds)) / RATE)
    return (128 + np.round(60 * wave)).astype(np.uint8).tobytes()


def _pitch(samples: np.ndarray) -> float:
    middle = samples[4000:12000]
    return float(np.abs(np.fft.rfft(middle)).argmax() * 16000 / len(middle))


# Fish Fillets


def _fish(folder: Path) -> None:
    scripts = folder / "fillets-ng-data" / "usr/share/games/fillets-ng/script"
    lines = {
        "cave/dialogs_cs.lua": 'dialogId("jes-m-hej", "font_small", "Hey.")\ndialogStr("Hej, \\"rybo\\"!")\n'
        'dialogId("jes-v-cas", "font_big", "%1 hours.")\ndialogStr("%1 hodin.")\n'
        'dialogId("twice", "font_big", "a")\ndialogStr("jedna")\n',
        "cellar/dialogs_cs.lua": 'dialogId("twice", "font_big", "b")\ndialogStr("dva")\n',
        "share/border_dialogs_cs.lua": 'dialogId("cil-m", "font_small", "Go.")\ndialogStr("Jdeme.")\n',
        "cave/dialogs_nl.lua": 'dialogId("jes-m-hej", "font_small", "Hey.")\ndialogStr("Hoi!")\n',
    }
    for name, text in lines.items():
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).write_text(text, encoding="utf-8")
    sounds = folder / "fillets-ng-data-cs" / "usr/share/games/fillets-ng/sound"
    for name in (
        "cave/cs/jes-m-hej",
        "cave/cs/jes-v-cas",
        "cellar/cs/twice",
        "wreck/cs/twice",
        "share/border/cs/cil-m",
    ):
        path = sounds / f"{name}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.sin(np.arange(8000) / 5), 8000)


def test_fish_lines_are_paired_by_level_and_key(tmp_path: Path) -> None:
    _fish(tmp_path)
    packages = ("fillets-ng-data", "fillets-ng-data-cs")
    found = {name: text for name, _, text in fillets_lines(tmp_path, packages, "cs")}
    assert found == {
        "cave/jes-m-hej": 'Hej, "rybo"!',
        "cellar/twice": "dva",  # elsewhere the key means something else, and nothing says what it means in the wreck
        "border/cil-m": "Jdeme.",
    }
    source = next(source for source in SOURCES if source.name == "fillets_cs")
    assert [len(r.samples) for r in recordings(source, tmp_path)] == pytest.approx([16000] * 3, abs=2)
    with pytest.raises(UserError, match=r"dialogs_de\.lua"):
        list(fillets_lines(tmp_path, packages, "de"))


# Drascula


def _texts(lists: list[list[str]]) -> bytes:
    """The file of texts in two languages, behind tables of which nothing need be known."""
    data = struct.pack(">40H", *range(40)) + struct.pack(">H", 2)
    for texts in lists:
        data += struct.pack(">H", len(texts))
        for language in ("", "XX "):
            block = b"\0\0"
            for text in texts:
                raw = (language + text).encode("cp850") + b"\0"
                raw += b"\0" * (-len(raw) % 4)
                block += struct.pack(">H", len(raw) + 2) + raw
            data += struct.pack(">H", len(block)) + block
    return data


def _vampire(folder: Path) -> None:
    hero = ["", "A DOOR", *["NOTHING"] * 420]
    others = [["", f"SPEAKER {k}"] for k in range(9)]
    place = folder / "drascula" / "usr/share/scummvm/drascula/en"
    place.mkdir(parents=True)
    (place / "drascula.dat").write_bytes(_texts([hero, *others]))
    for name, pitch in (("1", 300.0), ("D1", 400.0), ("VB1", 500.0), ("S1", 600.0)):
        (place / f"{name}.ALS").write_bytes(b"\x80" * 32 + _tone(pitch))


def test_the_vampires_lines_are_paired_by_speaker_and_number(tmp_path: Path) -> None:
    _vampire(tmp_path)
    found = {name: (text, round(_pitch(samples), -1)) for name, samples, text in drascula_lines(tmp_path)}
    assert found == {"1": ("A DOOR", 300), "D1": ("SPEAKER 0", 400), "VB1": ("SPEAKER 8", 500)}


def test_another_vampire_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no drascula\.dat"):
        list(drascula_lines(tmp_path))
    (tmp_path / "drascula.dat").write_bytes(b"DRASCULA" + bytes(range(200)))
    with pytest.raises(UserError, match="not the game's texts"):
        list(drascula_lines(tmp_path))


# Beneath a Steel Sky


class _Packer:
    """Writes bits of 16-bit words, lowest first, a word being begun where its first bit is needed."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._at, self._used = 0, 16

    def put(self, value: int, count: int) -> None:
        for k in range(count):
            if self._used == 16:
                self._at, self._used = len(self.data), 0
                self.data += b"\0\0"
            self.data[self._at + self._used // 8] |= (value >> k & 1) << (self._used % 8)
            self._used += 1

    def sizes(self, sizes: list[int]) -> None:
        """A code of up to two words for numbers of so many bits: '0' and '1'."""
        self.put(max(sizes) + 1, 5)
        for size in range(max(sizes) + 1):
            self.put(1 if size in sizes else 0, 4)

    def number(self, value: int, sizes: list[int]) -> None:
        size = value.bit_length()
        self.put(sorted(sizes).index(size), 1)
        self.put(value, size - 1 if size > 1 else 0)


def _packed(first: bytes, distance: int, again: int, last: bytes) -> bytes:
    """Some bytes, some of them again, some more bytes, in one block."""
    plain = sorted({len(first).bit_length(), len(last).bit_length()})
    back, long = [(distance - 1).bit_length()], [(again - 2).bit_length()]
    packer = _Packer()
    packer.put(0, 2)
    for sizes in (plain, back, long):
        packer.sizes(sizes)
    packer.put(2, 16)
    packer.number(len(first), plain)
    packer.data += first
    packer.number(distance - 1, back)
    packer.number(again - 2, long)
    packer.number(len(last), plain)
    packer.data += last
    size = len(first) + again + len(last)
    return b"RNC\x01" + struct.pack(">IIHH", size, len(packer.data), 0, 0) + b"\0\x01" + bytes(packer.data)


def test_packed_bytes_are_unpacked() -> None:
    assert unpack(_packed(b"abcdef", 3, 7, b"xy")) == b"abcdef" + b"defdefd" + b"xy"
    with pytest.raises(ValueError, match="not packed"):
        unpack(b"RIFF" + bytes(30))
    with pytest.raises(ValueError, match="unpacked where"):
        damaged = bytearray(_packed(b"abcdef", 3, 7, b"xy"))
        damaged[7] += 1
        unpack(bytes(damaged))


def _section(texts: list[str]) -> bytes:
    """Texts as bits, two and two a place; a block of 32 texts ends with the 31st's length."""
    words = {letter: word for word, letter in steel_sky._words().items()}
    bits, lengths = "", []
    for text in texts:
        one = "".join(f"{value:0{depth}b}" for depth, value in (words[c] for c in [*text.encode("cp437"), 0]))
        one += "0" * (-len(one) % 16)  # so that a length of eights can be given
        lengths.append(len(one) // 2)
        bits += one
    blocks = [sum(lengths[at : at + 32]) for at in range(0, len(texts), 32)][:-1]
    table = bytes(0x80 | length >> 3 if length > 0x7F else length for length in lengths)
    raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
    lengths_at = 4 + 2 * len(blocks)
    return (
        struct.pack("<HH", lengths_at, lengths_at + len(table)) + struct.pack(f"<{len(blocks)}H", *blocks) + table + raw
    )


def _city(folder: Path, files: dict[int, bytes]) -> None:
    rows, body = b"", b""
    for number, data in files.items():
        body += b"\0" * (-len(body) % 16)
        rows += struct.pack("<H", number) + (0x800000 | len(body) >> 4).to_bytes(3, "little")
        rows += (0x800000 | len(data)).to_bytes(3, "little")
        body += data
    rows += bytes(8) * (5097 - len(files))
    folder.mkdir(parents=True)
    (folder / "sky.dnr").write_bytes(struct.pack("<I", 5097) + rows)
    (folder / "sky.dsk").write_bytes(body)


def test_lines_of_the_city_are_paired_by_number(tmp_path: Path) -> None:
    texts = [f"Line {k}, said by NOBODY." for k in range(40)]
    tone = _tone(350.0)
    header = bytes(22)
    packed = header + _packed(tone[:5000], 63, 35, tone[5000 + 35 :])  # 350 Hz repeats itself after 63 samples
    sounds = {50003: header + tone, 50035: packed, 50602: header + tone}
    _city(tmp_path / "sky", {60600: _section(texts), 60601: _section(["One", "two", "three"]), **sounds})
    found = {name: (text, samples) for name, samples, text in steel_sky_lines(tmp_path)}
    assert {name: text for name, (text, _) in found.items()} == {
        "0/3": "Line 3, said by NOBODY.",
        "0/35": "Line 35, said by NOBODY.",  # of the second block
        "1/2": "three",
    }
    for _, samples in found.values():
        assert len(samples) == pytest.approx(16000, abs=5)
        assert _pitch(samples) == pytest.approx(350, abs=3)


def test_another_edition_of_the_city_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no sky\.dnr"):
        list(steel_sky_lines(tmp_path))
    (tmp_path / "sky.dnr").write_bytes(struct.pack("<I", 1445) + bytes(8 * 1445))
    with pytest.raises(UserError, match=r"not edition 0\.0372"):
        list(steel_sky_lines(tmp_path))
