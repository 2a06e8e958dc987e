"""Emotions over time: how they set in, how they live, and tracks of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from animation.expression.action_units import (
    ACCENT_UNITS,
    EMOTIONS,
    FEELINGS,
    GAZE,
    POSTURE,
    RATES,
    RECIPE_UNITS,
    UNIT_MATRIX,
    UNIT_NAMES,
    WANDERS,
    YIELDS,
    check_emotion,
    emotion_weights,
    feeling_name,
)
from animation.smoothing import Envelope, SlowNoise, Spring
from animation.speech.prosody import Prosody
from avatar.errors import UserError
from avatar.flame.arkit import NAMES

__all__ = [
    "EMOTIONS",
    "FEELINGS",
    "EmotionCue",
    "EmotionState",
    "EmotionTrack",
    "Feeling",
    "HeldExpression",
    "check_emotion",
    "emotion_weights",
    "feeling_name",
]


@dataclass(frozen=True)
class EmotionCue:
    """From `time_s` on, this emotion, or this expression by its name."""

    time_s: float
    emotion: str
    intensity: float = 1.0


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
            check_emotion(cue.emotion, cue.intensity, where=f"emotion track at {cue.time_s:g} s")
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


@dataclass(frozen=True)
class Feeling:
    """What an emotion asks of the face and head at one pose."""

    weights: Float32[np.ndarray, "52"]
    head: Float[np.ndarray, "3"]
    """Posture of the head, axis-angle in radians."""
    gaze: Float[np.ndarray, "2"]
    """Where the eyes rest relative to the camera: up and to the subject's left, radians."""
    blink_rate: float
    movement: float


@dataclass(frozen=True)
class _Pulse:
    """A passing expression: a bell over `duration_s`."""

    start_s: float
    duration_s: float
    units: Float[np.ndarray, " u"]

    def at(self, time_s: float) -> float:
        phase = (time_s - self.start_s) / self.duration_s
        return math.sin(math.pi * phase) ** 2 if 0 < phase < 1 else 0.0


class EmotionState:
    """A feeling that sets in, breathes, flickers and gives way. One step a pose; reproducible from its seed.

    - A change takes its transition time, and may be changed again midway: position and speed go on smoothly.
    - Every action unit wanders slowly around its level, each on its own.
    - Now and then a passing expression of half a second reinforces one or two units.
    - Stresses of the voice show on the brows.
    - While the voice speaks, the units of the mouth yield; in pauses they come back.
    """

    _WANDER = 0.11
    _PULSE_EVERY_S = 4.5

    def __init__(self, seed: int, rate_hz: float) -> None:
        self._seed, self._rate = seed, rate_hz
        self.reset()

    def reset(self) -> None:
        """Neutral, at the start of the stream."""
        self._rng = np.random.default_rng([self._seed, 1])
        self._wander = SlowNoise(self._rng, len(UNIT_NAMES), 0.06, 0.5)
        self._mix = self._to = np.zeros(len(FEELINGS))
        self._change = Spring(len(FEELINGS), self._rate, 1.0)
        self._yield = Envelope(self._rate, attack_s=0.09, release_s=0.35)
        self._pulses: list[_Pulse] = []
        self._next_pulse_s = self._rng.exponential(self._PULSE_EVERY_S)

    def set(self, emotion: str, intensity: float = 1.0, transition_s: float = 0.0) -> None:
        """Head for an emotion or expression, from the next step on.

        Raises:
            UserError: for an unknown emotion or numbers out of range.
        """
        check_emotion(emotion, intensity, transition_s)
        self._to = np.zeros(len(FEELINGS))
        self._to[FEELINGS.index(feeling_name(emotion))] = intensity
        self._change.settle_s = max(transition_s, 1 / self._rate)
        if transition_s == 0:
            self._change.jump(self._to)

    def step(self, time_s: float, prosody: Prosody) -> Feeling:
        """The next pose, `time_s` after the start of the stream."""
        mix = self._change.feed(self._to)
        self._mix = mix = np.where(np.abs(mix - self._to) < 1e-3, self._to, mix)
        strength = min(float(mix[1:].sum()), 1.0)

        units = mix @ RECIPE_UNITS
        # A unit that is on wanders by a fixed share of its level; the mean over time is the recipe's.
        units = units * (1 + self._WANDER * WANDERS * self._wander.at(time_s))
        self._schedule(time_s, prosody)
        for pulse in self._pulses:
            units = units + pulse.at(time_s) * pulse.units
        yielded = self._yield.feed(prosody.activity)
        units = np.clip(units * (1 - yielded * YIELDS), 0.0, 1.15)

        rates = 1 + mix[1:] @ (RATES[1:] - 1)
        return Feeling(
            np.clip(units @ UNIT_MATRIX, 0.0, 1.0).astype(np.float32),
            (mix @ POSTURE) * (1 - 0.3 * yielded),
            mix @ GAZE,
            float(rates[0]),
            float(rates[1]) * (1 - 0.1 * strength),
        )

    def _schedule(self, time_s: float, prosody: Prosody) -> None:
        self._pulses = [p for p in self._pulses if time_s < p.start_s + p.duration_s]
        mix = self._mix.copy()
        mix[0] = max(1 - float(mix[1:].sum()), 0.0)
        if prosody.accent > 0:
            # One in three stresses passes without the brows taking part: a metronome is what betrays a puppet.
            amount, width, take = self._rng.uniform(0.5, 1.1), self._rng.uniform(0.35, 0.6), self._rng.uniform()
            if take > 0.33:
                units = prosody.accent * amount * (mix @ ACCENT_UNITS)
                self._pulses.append(_Pulse(time_s, width, units))
        if time_s >= self._next_pulse_s:
            amount, width = self._rng.uniform(0.1, 0.3), self._rng.uniform(0.35, 0.9)
            kept = self._rng.uniform(size=len(UNIT_NAMES)) < 0.4
            self._pulses.append(_Pulse(time_s, width, amount * kept * (mix[1:] @ RECIPE_UNITS[1:])))
            self._next_pulse_s = time_s + 1.2 + self._rng.exponential(self._PULSE_EVERY_S - 1.2)


class HeldExpression:
    """An expression held on top of an emotion: eases in and out over about a third of a second. One step a pose."""

    _EASE_S = 0.15

    def __init__(self, rate_hz: float) -> None:
        self._ease = np.float32(1 - math.exp(-1 / (rate_hz * self._EASE_S)))
        self._now = np.zeros(len(NAMES), np.float32)

    def step(self, name: str | None, amount: float) -> Float32[np.ndarray, "52"]:
        """Blendshape weights of the next pose, on the way to those of `name` (one of `FEELINGS`; None lets go)."""
        goal = 0.0 if name is None else emotion_weights(name) * np.float32(amount)
        self._now = self._now + self._ease * (goal - self._now)
        return self._now
