"""Tables of lines: CSV as spreadsheets write it, folders and patterns of sound files."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avatar.errors import UserError
from avatar.formats.untrusted import read_bytes

__all__ = ["SOUNDS", "Line", "read_lines"]

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma", ".webm", ".mp4", ".mkv",
          ".mov")  # fmt: skip
"""What counts as a recording in a folder."""

_MAX_BYTES = 256 << 20
_ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


@dataclass(frozen=True)
class Line:
    """One line of a table: what is to be spoken, and how."""

    where: str
    """For messages: the table and the line's number, or the file."""
    folder: Path
    """What relative paths in it are relative to."""
    values: dict[str, str]
    """By column, as `lower_case_with_underscores`; empty cells are left out."""


def read_lines(sources: Sequence[str]) -> list[Line]:
    """Lines of tables, folders, patterns and single recordings, in order.

    Args:
        sources: .csv or .tsv files, folders (every recording in them, by name), patterns such as `takes/*.wav`, files.

    Raises:
        UserError: for what is not there, or a table that cannot be read.
    """
    return [line for source in sources for line in _lines_of(source)]


def _lines_of(source: str) -> Iterator[Line]:
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SOUNDS and p.is_file())
        if not found:
            raise UserError(f"{source}: no recordings in this folder")
        for sound in found:
            name = sound.relative_to(path).with_suffix("").as_posix()
            yield Line(str(sound), Path(), {"audio": str(sound), "output": name})
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        yield from _table(path)
    elif path.is_file():
        yield Line(source, Path(), {"audio": source})
    elif matches := sorted(glob.glob(source, recursive=True)):  # noqa: PTH207 (a pattern may begin at the root)
        for each in matches:
            yield from _lines_of(each)
    else:
        raise UserError(f"{source}: no such file or folder, and no pattern that matches any")


def _table(path: Path) -> Iterator[Line]:
    raw = read_bytes(path, _MAX_BYTES)
    encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")  # what spreadsheets on Windows write without being asked
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, path))
    rows: list[tuple[int, list[str]]] = []
    first = 1  # of the lines that a row takes: a cell in quotes may hold several
    try:
        for row in reader:
            rows.append((first, row))
            first = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path.name}, line {reader.line_num}: {error}") from error
    names = [cell.strip().lower().replace("-", "_").replace(" ", "_") for cell in rows[0][1]] if rows else []
    if not {"audio", "text"} & set(names):
        raise UserError(f"{path}: its first line must name the columns, 'audio' or 'text' among them")
    if double := sorted({name for name in names if name and names.count(name) > 1}):
        raise UserError(f"{path}: two columns are called {', '.join(double)}")
    for number, row in rows[1:]:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path.name}, line {number}"
        if any(cell.strip() for cell in row[len(names) :]):
            raise UserError(f"{where}: has more cells than there are columns")
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()}
        yield Line(where, path.parent, cells)


def _delimiter(text: str, path: Path) -> str:
    """What parts the cells of the first line: a comma, a semicolon (spreadsheets in much of Europe) or a tab."""
    first = text.split("\n", 1)[0]
    counts = {mark: first.count(mark) for mark in ",;\t"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ("\t" if path.suffix.lower() == ".tsv" else ",")
