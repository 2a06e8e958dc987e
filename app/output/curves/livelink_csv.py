"""Live Link Face CSV: what Epic's iPhone app records and Unreal's importers read; keyed by column name."""

from __future__ import annotations

import codecs
import csv
import io
import logging
import re
from pathlib import Path

import numpy as np

from app.output.curves.columns import arkit_table, is_read, plain
from app.output.curves.track import MAX_POSES, Curves, checked
from app.output.head_angles import from_yaw_pitch_roll, to_yaw_pitch_roll
from app.output.livelink import COLUMNS, eye_angles
from avatar.errors import UserError
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["read", "write"]

_log = logging.getLogger(__name__)
_BASE_HZ = 60
"""Timecodes count 60 frames a second, whatever the rate of the poses: subframes carry the rest."""
_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,3})(?:\.(\d{1,9}))?")
_MAX_BYTES = 256 << 20
_MAX_COLUMNS = 1000
_DAY_S = 86_400
_BASES = (24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)
_MOST_NAMED = 8
_WIDEST_RAD = 1.6
"""No head turns further than this from straight ahead."""
_HEAD = ("headyaw", "headpitch", "headroll")
_OTHERS = ("timecode", *(name.lower() for name in ("BlendShapeCount", *COLUMNS)))


def write(curves: Curves, path: Path) -> None:
    """Write a row for each pose; weights and angles with seven digits, times to 1/60,000 s."""
    angles = to_yaw_pitch_roll(curves.neck)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Timecode", "BlendShapeCount", *COLUMNS])
        for i, time_s in enumerate(curves.times_s):
            eyes = eye_angles(curves.weights[i])
            values = [*curves.weights[i], *angles[i], *eyes]
            rows.writerow([_timecode(time_s), len(COLUMNS), *(f"{v:.7g}" for v in values)])


def read(path: Path) -> Curves:
    """Read a recording, or what other programs make of one.

    Columns go by name, in most spellings (`app.output.curves.columns`); separators may be commas, semicolons or tabs.
    Rows that are empty, or of the same moment as the one before, are skipped and told by their line; head angles in
    degrees are recognised.

    Raises:
        UserError: if it is no such file.
    """
    raw = read_bytes(path, _MAX_BYTES)
    with refusing(path, "a Live Link Face CSV"):
        header, lines, body = _rows(path, _decoded(raw))
        where = {plain(name): i for i, name in enumerate(header)}
        kept = _distinct(path, lines, [row[where["timecode"]] for row in body])
        times = _times([body[i][where["timecode"]] for i in kept])
        table = np.array([_numbers(path, lines[i], header, body[i], where["timecode"]) for i in kept])
        table = table.reshape(len(kept), len(header))
        weights = arkit_table(path, header, table, _OTHERS)
        angles = np.zeros((len(kept), 3))
        for i, name in enumerate(_HEAD):
            if name in where:
                angles[:, i] = table[:, where[name]]
        return checked(path, times, weights, from_yaw_pitch_roll(_radians(path, angles)))


def _decoded(raw: bytes) -> str:
    """Text, as spreadsheets write it too: with a byte order mark, in UTF-16."""
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig")


def _rows(path: Path, text: str) -> tuple[list[str], list[int], list[list[str]]]:
    """The header, and each row with the number of its line; a last row that was cut off is left out."""
    first = text[: text.find("\n")] if "\n" in text else text
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    lines: list[int] = []
    body: list[list[str]] = []
    try:
        header = next(rows, [])
        if "timecode" not in map(plain, header) or len(header) > _MAX_COLUMNS:
            raise UserError(f"{path}: not a Live Link Face CSV: it has no column Timecode")
        for row in rows:
            lines.append(rows.line_num)
            body.append([cell.replace(",", ".") for cell in row] if separator == ";" else row)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if len(body) > MAX_POSES:
        raise UserError(f"{path}: holds {len(body)} poses; at most {MAX_POSES} are accepted")
    full = [i for i, row in enumerate(body) if any(cell.strip() for cell in row)]
    _tell_skipped(path, "empty", [lines[i] for i in range(len(body)) if i not in set(full)])
    short = next((i for i in full if len(body[i]) < len(header)), None)
    if short is not None:
        if short != full[-1] or len(full) < 2:
            raise UserError(f"{path}: line {lines[short]} has {len(body[short])} fields, the header {len(header)}")
        full.pop()  # a recording that was cut off in its last line
    return header, [lines[i] for i in full], [body[i] for i in full]


def _distinct(path: Path, lines: list[int], codes: list[str]) -> list[int]:
    """Which rows are kept: all but those of the same moment as the one before."""
    for line, code in zip(lines, codes, strict=True):
        if _TIMECODE.fullmatch(code.strip()) is None:
            raise UserError(f"{path}: line {line}: {code[:40]!r} is no timecode (HH:MM:SS:FF.sub)")
    again = [i for i in range(1, len(codes)) if codes[i].strip() == codes[i - 1].strip()]
    _tell_skipped(path, "of the same moment as the one before", [lines[i] for i in again])
    repeated = set(again)
    return [i for i in range(len(codes)) if i not in repeated]


def _tell_skipped(path: Path, why: str, lines: list[int]) -> None:
    if lines:
        named = ", ".join(map(str, lines[:_MOST_NAMED])) + (" ..." if len(lines) > _MOST_NAMED else "")
        _log.warning("%s: %d rows are %s, and skipped: line %s", path, len(lines), why, named)


def _numbers(path: Path, line: int, header: list[str], row: list[str], timecode: int) -> list[float]:
    """The numbers of a row; what is no number matters only in a column that is read."""
    out = []
    for i, name in enumerate(header):
        try:
            out.append(float(row[i]))
        except ValueError:
            if i != timecode and is_read(name, _HEAD):
                raise UserError(f"{path}: line {line}, column {name}: {row[i][:20]!r} is no number") from None
            out.append(0.0)
    return out


def _radians(path: Path, angles: np.ndarray) -> np.ndarray:
    """Head angles; the format has radians, but not everybody who writes it."""
    if not np.isfinite(angles).all():
        raise UserError(f"{path}: its head rotations are not all finite")
    widest = float(np.abs(angles).max(initial=0.0))
    if widest <= _WIDEST_RAD:
        return angles
    if widest > 180.0:
        raise UserError(f"{path}: its head rotations reach {widest:.3g}: neither radians nor degrees")
    _log.warning("%s: its head rotations reach %.3g: taken for degrees", path, widest)
    return np.radians(angles)


def _timecode(time_s: float) -> str:
    milliframes = round(time_s * _BASE_HZ * 1000)
    frames, sub = divmod(milliframes, 1000)
    seconds, frame = divmod(frames, _BASE_HZ)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.{sub:03d}"


def _times(codes: list[str]) -> np.ndarray:
    """Seconds from timecodes. Their base is not written anywhere: it is the one by which the step over the end of a
    second is like the others."""
    parts = []
    for code in codes:
        match = _TIMECODE.fullmatch(code.strip())
        assert match is not None
        h, m, s, frame, sub = match.groups()
        parts.append((3600 * int(h) + 60 * int(m) + int(s), int(frame) + float(f"0.{sub or 0}")))
    if not parts:
        return np.zeros(0)
    table = np.array(parts)
    seconds, frames = table[:, 0], table[:, 1]
    times = seconds + frames / _base(seconds, frames)
    times = times + _DAY_S * np.concatenate([[0], np.cumsum(np.diff(times) < -_DAY_S / 2)])  # past midnight
    kept = times - times[0] if times[0] > 3600 else times  # a time of day says nothing about the stream
    return kept


def _base(seconds: np.ndarray, frames: np.ndarray) -> float:
    """Frames that a second of the timecodes has."""
    top = int(frames.max()) + 1
    turns = np.diff(seconds) == 1
    inside = np.diff(seconds) == 0
    if not turns.any() or not inside.any():
        return max(_BASE_HZ, top)
    step = float(np.median(np.diff(frames)[inside]))
    over = np.diff(frames)[turns]  # by which the base exceeds it
    bases = sorted({top, *(base for base in _BASES if base >= top)})
    return min(bases, key=lambda base: (abs(float(np.median(over + base)) - step), base))
