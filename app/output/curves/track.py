"""Animation apart from any head: ARKit's blendshapes and the neck over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from avatar.errors import UserError
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.params import FlameParams

__all__ = ["MAX_POSES", "Curves", "checked"]

MAX_POSES = 1_000_000
_MAX_WEIGHT = 10.0
_UNEVEN = 1.5
"""Longest step between poses, relative to the usual one, that a steady rate may have."""
_MAX_TIME_S = 7 * 24 * 3600.0


@dataclass(frozen=True, eq=False)
class Curves:
    """T poses at increasing times; blendshape weights in the order of `arkit.NAMES`."""

    times_s: Float64[np.ndarray, " t"]
    weights: Float32[np.ndarray, "t 52"]
    neck: Float32[np.ndarray, "t 3"]
    """Axis-angle, radians."""
    transl: Float32[np.ndarray, "t 3"]
    """Metres."""
    flame: FlameParams | None = None
    """FLAME coefficients as the file holds them, a batch of T poses, where it holds FLAME's and not weights."""

    def __post_init__(self) -> None:
        t = len(self.times_s)
        for name, width in (("weights", len(NAMES)), ("neck", 3), ("transl", 3)):
            if getattr(self, name).shape != (t, width):
                raise ValueError(f"Curves.{name}: expected shape {(t, width)}, got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def rate_hz(self) -> float:
        """Poses a second, on average; 50 for a single pose."""
        if len(self) < 2:
            return 50.0
        return (len(self) - 1) / float(self.times_s[-1] - self.times_s[0])

    @classmethod
    def from_poses(cls, poses: Sequence[FlameParams], arkit: ArkitMap) -> Curves:
        """The curves of a head's poses.

        Weights that a pose does not know are recovered through the head's map.

        Raises:
            UserError: if there is no pose.
        """
        if not poses:
            raise UserError("there is nothing to write: the sound is too short for a single pose")
        weights = [arkit.weights(p) if p.blendshape_weights is None else p.blendshape_weights for p in poses]
        return cls(
            np.array([p.stream_time_s for p in poses], np.float64),
            np.array(weights, np.float32),
            np.array([p.neck_pose for p in poses], np.float32),
            np.array([p.transl for p in poses], np.float32),
        )

    def poses(self, arkit: ArkitMap) -> list[FlameParams]:
        """The poses of a head with this map."""
        faces = arkit.params(self.weights)
        return [
            FlameParams(
                faces.shape[i],
                faces.expression[i],
                faces.global_orient[i],
                self.neck[i],
                faces.jaw_pose[i],
                faces.leye_pose[i],
                faces.reye_pose[i],
                self.transl[i],
                float(self.times_s[i]),
                self.weights[i],
            )
            for i in range(len(self))
        ]

    def resampled(self, rate_hz: float) -> Curves:
        """At another rate, interpolated; pose k shows time k / rate from the first pose's time on.

        Raises:
            UserError: for a rate that makes no sense, or makes too many poses.
        """
        if not 1 <= rate_hz <= 1000:
            raise UserError(f"{rate_hz:g} poses a second: expected 1 to 1000")
        count = int(np.floor((self.times_s[-1] - self.times_s[0]) * rate_hz + 1e-6)) + 1
        if count > MAX_POSES:
            raise UserError(f"{count} poses; at most {MAX_POSES} are accepted")
        times = self.times_s[0] + np.arange(count) / rate_hz

        def at(values: np.ndarray) -> np.ndarray:
            columns = [np.interp(times, self.times_s, values[:, c]) for c in range(values.shape[1])]
            return np.stack(columns, 1).astype(np.float32)

        return Curves(times, at(self.weights), at(self.neck), at(self.transl))

    def even(self) -> Curves:
        """The same, or resampled at its usual rate if poses come at uneven times: most formats know a rate alone."""
        steps = np.diff(self.times_s)
        usual = float(np.median(steps)) if len(steps) else 0.0
        if usual <= 0 or float(steps.max()) < _UNEVEN * usual:
            return self
        return self.resampled(min(max(1 / usual, 1.0), 1000.0))


def checked(
    path: object,
    times_s: np.ndarray,
    weights: np.ndarray,
    neck: np.ndarray | None = None,
    transl: np.ndarray | None = None,
    flame: FlameParams | None = None,
) -> Curves:
    """Curves from a file, which is named when they are unusable.

    Raises:
        UserError: if there is no pose or too many, times do not increase, or values are not finite or out of range.
    """
    t = len(times_s)
    if not 0 < t <= MAX_POSES:
        raise UserError(f"{path}: holds {t} poses; 1 to {MAX_POSES} are accepted")
    neck = np.zeros((t, 3)) if neck is None else neck
    transl = np.zeros((t, 3)) if transl is None else transl
    for name, values, limit in (
        ("weights", weights, _MAX_WEIGHT),
        ("head rotations", neck, 100),
        ("places", transl, 100),
    ):
        if not np.isfinite(values).all():
            raise UserError(f"{path}: its {name} are not all finite")
        if np.abs(values).max(initial=0) > limit:
            hint = ": are they per cent?" if name == "weights" and np.abs(values).max() <= 100 else ""
            raise UserError(f"{path}: its {name} reach {np.abs(values).max():.3g}; at most {limit:g} is accepted{hint}")
    times = np.asarray(times_s, np.float64)
    if not np.isfinite(times).all() or abs(times[0]) > 1e9:
        raise UserError(f"{path}: its times are no times")
    if (np.diff(times) <= 0).any():
        i = int((np.diff(times) <= 0).argmax()) + 1
        raise UserError(
            f"{path}: its times do not increase: pose {i + 1} comes {times[i - 1] - times[i]:g} s too early"
        )
    if times[-1] - times[0] > _MAX_TIME_S:
        raise UserError(f"{path}: lasts longer than a week")
    return Curves(times, np.array(weights, np.float32), np.array(neck, np.float32), np.array(transl, np.float32), flame)
