"""Live Link Face CSV: what Epic's iPhone app records and Unreal's importers read; keyed by column name."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np

from app.output.curves.track import MAX_POSES, Curves, checked
from app.output.head_angles import from_yaw_pitch_roll, to_yaw_pitch_roll
from app.output.livelink import COLUMNS, eye_angles
from avatar.errors import UserError
from avatar.flame.arkit import NAMES
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["read", "write"]

_BASE_HZ = 60
"""Timecodes count 60 frames a second, whatever the rate of the poses: subframes carry the rest."""
_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,3})(?:\.(\d{1,9}))?")
_MAX_BYTES = 256 << 20
_MAX_COLUMNS = 1000
_DAY_S = 86_400


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
    """Read a recording; unknown columns are ignored, missing blendshapes are 0.

    Raises:
        UserError: if it is no such file.
    """
    raw = read_bytes(path, _MAX_BYTES)
    with refusing(path, "a Live Link Face CSV"):
        try:
            rows = csv.reader(io.StringIO(raw.decode("utf-8-sig")), strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            if "timecode" not in header or len(header) > _MAX_COLUMNS:
                raise UserError(f"{path}: not a Live Link Face CSV: it has no column Timecode")
            body = [row for row in rows if any(row)]
        except csv.Error as error:
            raise ValueError(str(error)) from error
        if len(body) > MAX_POSES:
            raise UserError(f"{path}: holds {len(body)} poses; at most {MAX_POSES} are accepted")
        short = next((i for i, row in enumerate(body) if len(row) < len(header)), None)
        if short is not None:
            if short != len(body) - 1 or not short:
                raise UserError(f"{path}: line {short + 2} has {len(body[short])} fields, the header {len(header)}")
            body.pop()  # a recording that was cut off in its last line
        where = {name.lower(): i for i, name in enumerate(NAMES) if name.lower() in header}
        if not where:
            raise UserError(f"{path}: none of its columns is an ARKit blendshape")
        weights = np.zeros((len(body), len(NAMES)))
        for name, i in where.items():
            column = header.index(name)
            weights[:, i] = [float(row[column]) for row in body]
        angles = np.zeros((len(body), 3))
        for i, name in enumerate(("headyaw", "headpitch", "headroll")):
            if name in header:
                angles[:, i] = [float(row[header.index(name)]) for row in body]
        if not np.isfinite(angles).all():
            raise UserError(f"{path}: its head rotations are not all finite")
        times = _times([row[header.index("timecode")] for row in body], path)
        return checked(path, times, weights, from_yaw_pitch_roll(angles))


def _timecode(time_s: float) -> str:
    milliframes = round(time_s * _BASE_HZ * 1000)
    frames, sub = divmod(milliframes, 1000)
    seconds, frame = divmod(frames, _BASE_HZ)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.{sub:03d}"


def _times(codes: list[str], path: Path) -> np.ndarray:
    """Seconds from timecodes. Their base is not written anywhere: it shows in where the frame number turns over."""
    parts = []
    for i, code in enumerate(codes):
        match = _TIMECODE.fullmatch(code.strip())
        if match is None:
            raise UserError(f"{path}: line {i + 2}: {code[:40]!r} is no timecode (HH:MM:SS:FF.sub)")
        h, m, s, frame, sub = match.groups()
        parts.append((3600 * int(h) + 60 * int(m) + int(s), int(frame) + float(f"0.{sub or 0}")))
    if not parts:
        return np.zeros(0)
    table = np.array(parts)
    seconds, frames = table[:, 0], table[:, 1]
    top = int(frames.max()) + 1
    turned = bool((np.diff(seconds) != 0).any())
    usual = [rate for rate in (24, 25, 30, 60, 120, 240) if rate >= top]
    base = usual[0] if turned and usual else max(_BASE_HZ, top)
    times = seconds + frames / base
    times = times + _DAY_S * np.concatenate([[0], np.cumsum(np.diff(times) < -_DAY_S / 2)])  # past midnight
    kept = times - times[0] if times[0] > 3600 else times  # a time of day says nothing about the stream
    return kept
