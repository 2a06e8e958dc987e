"""Emotions over time as a person writes them down: cues, and files of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animation.expression.prototypes import check_emotion, feeling_name
from avatar.errors import UserError

__all__ = ["EmotionCue", "EmotionTrack"]


@dataclass(frozen=True)
class EmotionCue:
    """From `time_s` on, this emotion, or this expression by its name."""

    time_s: float
    emotion: str
    intensity: float = 1.0
    transition_s: float | None = None
    """How long it takes to set in; as the settings say if None."""


class EmotionTrack:
    """Emotions over time: each cue holds until the next one."""

    def __init__(self, cues: Iterable[EmotionCue]) -> None:
        """
        Args:
            cues: in any order.

        Raises:
            UserError: for an unknown emotion, or a time or intensity out of range.
        """
        for cue in (cues := list(cues)):
            check_emotion(
                cue.emotion, cue.intensity, cue.transition_s or 0.0, where=f"emotion track at {cue.time_s:g} s"
            )
            if not (math.isfinite(cue.time_s) and cue.time_s >= 0):
                raise UserError(f"emotion track: times must be 0 or more seconds, got {cue.time_s:g}")
        self.cues = tuple(sorted(cues, key=lambda cue: cue.time_s))
        self._times = np.array([cue.time_s for cue in self.cues])

    def at(self, time_s: float) -> EmotionCue | None:
        """The cue in force at a time; None before the first."""
        index = int(np.searchsorted(self._times, time_s, side="right")) - 1
        return self.cues[index] if index >= 0 else None

    @classmethod
    def read(cls, path: Path | str) -> EmotionTrack:
        """Read a track: lines of `time_s emotion intensity`, or JSON.

        Lines may be separated by spaces, tabs, commas or semicolons; a first line of column names, blank lines and
        lines that begin with # are skipped; the intensity may be left out. JSON is a list of such rows, or of
        objects with these keys.

        Raises:
            UserError: if the file is missing or a row cannot be understood; the message names the row.
        """
        path = Path(path)
        try:
            text = path.read_text("utf-8-sig")
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}: not a text file; an emotion track has lines of 'time_s emotion intensity'"
            ) from error
        rows = _json_rows(text, path) if text.lstrip()[:1] in ("[", "{") else _text_rows(text)
        cues = [_cue(row, f"{path}, {where}") for where, row in rows]
        if not cues:
            raise UserError(f"{path}: no emotions in it; write lines of 'time_s emotion intensity'")
        return cls(cues)


def _json_rows(text: str, path: Path) -> list[tuple[str, list[object]]]:
    try:
        items = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if isinstance(items, dict):
        items = items.get("cues", items.get("emotions", [items]))
    if not isinstance(items, list):
        raise UserError(f'{path}: expected a list of rows like [1.5, "happy", 0.8]')
    rows: list[tuple[str, list[object]]] = []
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            item = [item.get("time_s"), item.get("emotion"), item.get("intensity", 1.0)]
        rows.append((f"row {number}", item if isinstance(item, list) else [item]))
    return rows


def _text_rows(text: str) -> list[tuple[str, list[object]]]:
    rows: list[tuple[str, list[object]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if "," in line or ";" in line:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=";" if ";" in line else ","))]
        else:
            cells = line.split()
        if not rows and cells[0].lower() in ("time_s", "time"):
            continue
        rows.append((f"line {number}", list(cells)))
    return rows


def _cue(row: list[object], where: str) -> EmotionCue:
    if not 2 <= len(row) <= 3:
        raise UserError(f"{where}: expected 'time_s emotion intensity', got {' '.join(map(str, row))!r}")
    numbers = []
    for name, value in (("time_s", row[0]), ("intensity", row[2] if len(row) == 3 else 1.0)):
        try:
            numbers.append(float(value))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {name} must be a number, got {value!r}") from error
    emotion = str(row[1])
    check_emotion(emotion, numbers[1], where=where)
    if not (math.isfinite(numbers[0]) and numbers[0] >= 0):
        raise UserError(f"{where}: time_s must be 0 or more, got {numbers[0]:g}")
    return EmotionCue(numbers[0], feeling_name(emotion), numbers[1])
