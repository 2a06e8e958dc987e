"""Tables of lines as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.batch.table import read_lines
from avatar.errors import UserError


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16"), (";", "cp1252")]
)
def test_spreadsheets_of_every_kind_say_the_same(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = [["Audio", "Emotion-Track", "OUTPUT"], ["é.wav", "", "a"], ["", "", ""], ['"b, c.wav"', "t.txt", ""]]
    if delimiter != ",":
        rows[3][0] = "b, c.wav"
    path = tmp_path / "lines.csv"
    path.write_bytes("\r\n".join(delimiter.join(row) for row in rows).encode(encoding))
    first, second = read_lines([str(path)])
    assert first.values == {"audio": "é.wav", "output": "a"} and first.where == "lines.csv, line 2"
    assert second.values == {"audio": "b, c.wav", "emotion_track": "t.txt"} and second.where == "lines.csv, line 4"
    assert first.folder == tmp_path


def test_a_text_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes('text;output\r\n"One.\r\nTwo\u2028and a half.";a\r\nThree;b\r\n'.encode())
    first, second = read_lines([str(path)])
    assert first.values["text"] == "One.\r\nTwo\u2028and a half." and first.where == "lines.csv, line 2"
    assert second.values == {"text": "Three", "output": "b"} and second.where == "lines.csv, line 4"


def test_folders_patterns_and_files(tmp_path: Path) -> None:
    for name in ("a.wav", "deep/b.flac", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    whole = read_lines([str(tmp_path)])
    assert [line.values["output"] for line in whole] == ["a", "deep/b"]
    pattern, single = read_lines([str(tmp_path / "*.wav"), str(tmp_path / "deep" / "b.flac")])
    assert pattern.values["audio"].endswith("a.wav") and single.values["audio"].endswith("b.flac")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,emotion\na.wav,happy\n", "'audio' or 'text'"),
        ("audio,emotion,Emotion\na.wav,happy,sad\n", "two columns are called emotion"),
        ("audio\na.wav,happy\n", "line 2: has more cells"),
        ("", "first line"),
        ("audio,output\na.wav," + 200_000 * "x" + "\n", "line 2: field larger"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_lines([str(path)])


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, words in (("nowhere/*.wav", "no such file"), (str(tmp_path / "empty"), "no recordings")):
        with pytest.raises(UserError, match=words):
            read_lines([source])
