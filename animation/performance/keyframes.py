"""Keyframes: curves of single channels, laid over what the voice and the feeling make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32

from animation.smoothing import ease
from avatar.errors import UserError
from avatar.flame.arkit import NAMES

__all__ = ["CHANNELS", "EASINGS", "HEAD_ANGLES", "Curve", "Key", "Overlay"]

HEAD_ANGLES = ("headPitch", "headYaw", "headRoll")
"""Degrees: down, to the subject's left, to the subject's right."""
CHANNELS = (*NAMES, *HEAD_ANGLES)
"""What can be keyed."""

EASINGS: dict[str, Callable[[float], float]] = {
    "smooth": ease,
    "linear": lambda t: t,
    "in": lambda t: t * t,
    "out": lambda t: t * (2 - t),
    "hold": lambda t: 0.0,
}
"""How a curve goes from one key to the next, as the share of the way over the share of the time."""

_MODES = ("replace", "add")
_RANGES = {"replace": (0.0, 1.0), "add": (-1.0, 1.0)}
_MOST_DEG = 60.0


@dataclass(frozen=True)
class Key:
    """A value at a moment, and how the curve goes on from it."""

    time_s: float
    value: float
    easing: str = "smooth"


@dataclass(frozen=True)
class Curve:
    """One channel's keyframes: weights 0..1, or degrees for `HEAD_ANGLES`.

    Between its first and its last key it takes the channel's place (`replace`) or is added to it (`add`); before and
    after, it comes and goes over `blend_s`.
    """

    channel: str
    keys: tuple[Key, ...]
    mode: str = "replace"
    blend_s: float = 0.2

    def __post_init__(self) -> None:
        """Raises UserError for what cannot be played."""
        where = f"curve of {self.channel!r}"
        if self.channel not in CHANNELS:
            raise UserError(
                f"{where}: no such channel; ARKit's names count, such as browInnerUp, and {', '.join(HEAD_ANGLES)}"
            )
        if self.mode not in _MODES:
            raise UserError(f"{where}: mode {self.mode!r}: expected replace or add")
        if not (math.isfinite(self.blend_s) and 0 <= self.blend_s <= 10):
            raise UserError(f"{where}: blend_s must lie in 0..10 seconds, got {self.blend_s:g}")
        if not self.keys:
            raise UserError(f"{where}: has no keys")
        low, high = (-_MOST_DEG, _MOST_DEG) if self.channel in HEAD_ANGLES else _RANGES[self.mode]
        for key in self.keys:
            if not (math.isfinite(key.time_s) and key.time_s >= 0):
                raise UserError(f"{where}: times must be 0 or more seconds, got {key.time_s:g}")
            if not low <= key.value <= high:
                raise UserError(f"{where} at {key.time_s:g} s: expected {low:g}..{high:g}, got {key.value:g}")
            if key.easing not in EASINGS:
                raise UserError(
                    f"{where} at {key.time_s:g} s: easing {key.easing!r}: expected one of {', '.join(EASINGS)}"
                )
        object.__setattr__(self, "keys", tuple(sorted(self.keys, key=lambda key: key.time_s)))

    def at(self, time_s: float) -> tuple[float, float]:
        """The value at a time, and how much of it counts, 0..1."""
        keys, times = self.keys, self._times
        if time_s <= keys[0].time_s:
            return keys[0].value, self._presence(keys[0].time_s - time_s)
        if time_s >= keys[-1].time_s:
            return keys[-1].value, self._presence(time_s - keys[-1].time_s)
        index = int(np.searchsorted(times, time_s, side="right")) - 1
        before, after = keys[index], keys[index + 1]
        part = EASINGS[before.easing]((time_s - before.time_s) / (after.time_s - before.time_s))
        return before.value + part * (after.value - before.value), 1.0

    def _presence(self, outside_s: float) -> float:
        return 1 - ease(outside_s / self.blend_s) if self.blend_s > 0 else float(outside_s <= 0)

    @cached_property
    def _times(self) -> Float[np.ndarray, " k"]:
        return np.array([key.time_s for key in self.keys])


class Overlay:
    """All curves of a performance. Free of state."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._weights = [(NAMES.index(c.channel), c) for c in curves if c.channel in NAMES]
        self._angles = [(HEAD_ANGLES.index(c.channel), c) for c in curves if c.channel in HEAD_ANGLES]

    def apply(self, time_s: float, weights: Float32[np.ndarray, "52"], head: Float[np.ndarray, "3"]) -> None:
        """Lay the curves over blendshape weights and over the head's rotation (axis-angle, radians); in place."""
        for index, curve in self._weights:
            weights[index] = _laid(curve, time_s, float(weights[index]))
        for index, curve in self._angles:
            head[index] = math.radians(_laid(curve, time_s, math.degrees(float(head[index]))))


def _laid(curve: Curve, time_s: float, under: float) -> float:
    value, presence = curve.at(time_s)
    return under + presence * value if curve.mode == "add" else under + presence * (value - under)
