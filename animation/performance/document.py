"""The file of a performance: JSON that a person can read and write.

    {
      "format": "gaussian-avatar performance 1",
      "seed": 7,
      "dials": {"liveliness": 1.2},
      "cues": [{"time_s": 0, "emotion": "neutral"}, {"time_s": 1.5, "emotion": "happy", "intensity": 0.8}],
      "curves": [{"channel": "browInnerUp", "keys": [[2.0, 0], [2.3, 0.8, "hold"], [3.0, 0.8], [3.4, 0]]}],
      "variations": [{"start_s": 4, "end_s": 6, "seed": 12, "parts": ["head"]}]
    }

Everything but the format may be left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from animation.expression.track import EmotionCue, EmotionTrack
from animation.performance.keyframes import Curve, Key
from animation.settings import DriverSettings
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = ["DIALS", "PARTS", "Performance", "Variation"]

FORMAT = "gaussian-avatar performance 1"

DIALS = (
    "blinks", "gaze", "head", "mouth_opening", "liveliness", "variety", "emphasis", "emotion_over_speech",
    "follow_voice", "calm", "transition_s",
)  # fmt: skip
"""The settings that belong to a performance."""

PARTS = ("face", "eyes", "head")
"""What a variation may do anew: brows, eyes' surroundings and cheeks; blinks and gaze; the head."""

_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Variation:
    """A stretch of time that is performed by another seed, while the rest stays as it is; the lips always do."""

    start_s: float
    end_s: float
    seed: int
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        """Raises UserError for what cannot be played."""
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise UserError(f"variation: expected 0 <= start_s < end_s, got {self.start_s:g} and {self.end_s:g}")
        if self.seed < 0:
            raise UserError(f"variation at {self.start_s:g} s: seed must be 0 or more, got {self.seed}")
        if not self.parts or set(self.parts) - set(PARTS):
            raise UserError(
                f"variation at {self.start_s:g} s: parts {', '.join(self.parts) or 'none'}: "
                f"expected some of {', '.join(PARTS)}"
            )


@dataclass(frozen=True)
class Performance:
    """How a clip is performed. Times are those of the clip."""

    seed: int = 0
    dials: dict[str, Any] = field(default_factory=dict)
    """Some of `DIALS`; the others are the user's."""
    cues: tuple[EmotionCue, ...] = ()
    """Before the first, the user's own emotion holds."""
    curves: tuple[Curve, ...] = ()
    variations: tuple[Variation, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for what cannot be played."""
        if unknown := sorted(set(self.dials) - set(DIALS)):
            raise UserError(f"dials: unknown {', '.join(unknown)}; there are {', '.join(DIALS)}")
        if self.seed < 0:
            raise UserError(f"seed must be 0 or more, got {self.seed}")
        self.applied(DriverSettings())
        object.__setattr__(self, "cues", EmotionTrack(self.cues).cues)

    @property
    def track(self) -> EmotionTrack:
        """The emotions over time."""
        return EmotionTrack(self.cues)

    def applied(self, settings: DriverSettings) -> DriverSettings:
        """Settings with this seed and these dials.

        Raises:
            UserError: for a value of the wrong kind or out of its range.
        """
        for name, value in self.dials.items():
            usual = getattr(DriverSettings(), name)
            if isinstance(usual, bool) != isinstance(value, bool) or not isinstance(value, (bool, int, float)):
                kind = "true or false" if isinstance(usual, bool) else "a number"
                raise UserError(f"dials: {name} must be {kind}, got {value!r}")
        return replace(settings, seed=self.seed, **self.dials)

    def to_json(self) -> str:
        """As a person may edit it: one line for each cue, curve and variation."""
        lines = [f'  "format": {_line(FORMAT)}', f'  "seed": {self.seed}', f'  "dials": {_line(self.dials)}']
        lists = {
            "cues": [_sparse(c, EmotionCue(0.0, ""), "time_s", "emotion") for c in self.cues],
            "curves": [
                {"channel": c.channel}
                | {k: v for k, v in (("mode", c.mode), ("blend_s", c.blend_s)) if v != getattr(Curve, k)}
                | {"keys": [[k.time_s, k.value] + [k.easing] * (k.easing != Key.easing) for k in c.keys]}
                for c in self.curves
            ],
            "variations": [_sparse(v, Variation(0, 1, 0), "start_s", "end_s", "seed") for v in self.variations],
        }
        for name, rows in lists.items():
            inside = ",\n".join(f"    {_line(row)}" for row in rows)
            lines.append(f'  "{name}": ' + (f"[\n{inside}\n  ]" if rows else "[]"))
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Performance:
        """The opposite of `to_json`.

        Raises:
            UserError: with what is wrong and where.
        """
        try:
            file = msgspec.json.decode(text, type=_File)
            if file.format != FORMAT:
                raise UserError(f"format {file.format!r}: expected {FORMAT!r}")
            return cls(file.seed, file.dials, tuple(file.cues), tuple(c.curve() for c in file.curves), file.variations)
        except msgspec.MsgspecError as error:
            raise UserError(str(error)) from error
        except RecursionError as error:
            raise UserError("nested too deeply") from error

    def save(self, path: Path | str) -> None:
        """Write the file, all or nothing.

        Raises:
            UserError: if it cannot be written.
        """
        try:
            write_bytes(path, self.to_json().encode())
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error

    @classmethod
    def load(cls, path: Path | str) -> Performance:
        """Read a file.

        Raises:
            UserError: if it is missing or cannot be understood; the message says where.
        """
        path = Path(path)
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise UserError(f"{path}: too large for a performance")
            return cls.from_json(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
        except UserError as error:
            raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


class _CurveRow(msgspec.Struct, forbid_unknown_fields=True):
    channel: str
    keys: tuple[tuple[float | str, ...], ...]
    mode: str = "replace"
    blend_s: float = 0.2

    def curve(self) -> Curve:
        return Curve(self.channel, tuple(_key(row, self.channel) for row in self.keys), self.mode, self.blend_s)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    seed: int = 0
    dials: dict[str, Any] = {}
    cues: tuple[EmotionCue, ...] = ()
    curves: tuple[_CurveRow, ...] = ()
    variations: tuple[Variation, ...] = ()


def _key(row: tuple[float | str, ...], channel: str) -> Key:
    """`[time_s, value]` or `[time_s, value, easing]`."""
    match row:
        case (float() as time_s, float() as value):
            return Key(time_s, value)
        case (float() as time_s, float() as value, str() as easing):
            return Key(time_s, value, easing)
    raise UserError(f'curve of {channel!r}: expected keys like [1.5, 0.8] or [1.5, 0.8, "linear"], got {list(row)}')


def _sparse(row: Any, usual: Any, *always: str) -> dict[str, Any]:
    """The fields that say something."""
    fields = vars(row)
    return {name: value for name, value in fields.items() if name in always or value != getattr(usual, name)}


def _line(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
