"""The inputs of a FLAME-layout head: one pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

__all__ = ["N_BLENDSHAPES", "FlameParams"]

N_BLENDSHAPES = 52
"""ARKit's; see `avatar.flame.arkit.NAMES`."""

_VECTORS = (
    "shape",
    "expression",
    "global_orient",
    "neck_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "transl",
)
_ROTATIONS = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")


@dataclass(frozen=True)
class FlameParams:
    """One pose of a head. Rotations are axis-angle in radians, `transl` is in metres.

    Every field may carry the same leading batch axes (see `stack`); a single pose has none.
    `stream_time_s` says when the pose belongs to, in seconds since the first sample of the stream.
    `blendshape_weights` are the ARKit weights that made the pose (order of `arkit.NAMES`), where they are known: a
    pose from a FLAME sequence has none, and whoever needs them recovers them with `ArkitMap.weights`.
    `tongue_tip` is how far the tip of the tongue is raised, 0..1, for which ARKit and FLAME have nothing: at 1 it
    lies behind the upper teeth, however far the jaw is open. Heads without a tongue ignore it.
    """

    shape: Float32[np.ndarray, "*batch s"]
    expression: Float32[np.ndarray, "*batch e"]
    global_orient: Float32[np.ndarray, "*batch 3"]
    neck_pose: Float32[np.ndarray, "*batch 3"]
    jaw_pose: Float32[np.ndarray, "*batch 3"]
    leye_pose: Float32[np.ndarray, "*batch 3"]
    reye_pose: Float32[np.ndarray, "*batch 3"]
    transl: Float32[np.ndarray, "*batch 3"]
    stream_time_s: float = 0.0
    blendshape_weights: Float32[np.ndarray, "*batch 52"] | None = None
    tongue_tip: Float32[np.ndarray, "*batch"] | float = 0.0

    def __post_init__(self) -> None:
        for name in _VECTORS:
            value = np.asarray(getattr(self, name), np.float32)
            if value.ndim == 0 or (name not in ("shape", "expression") and value.shape[-1] != 3):
                raise ValueError(f"FlameParams.{name}: expected (..., 3) values, got shape {value.shape}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "tongue_tip", np.asarray(self.tongue_tip, np.float32))
        if self.blendshape_weights is not None:
            weights = np.asarray(self.blendshape_weights, np.float32)
            if weights.shape[-1:] != (N_BLENDSHAPES,):
                raise ValueError(f"FlameParams.blendshape_weights: expected (..., 52), got {weights.shape}")
            object.__setattr__(self, "blendshape_weights", weights)

    @classmethod
    def neutral(cls, n_shape: int, n_expression: int, stream_time_s: float = 0.0) -> FlameParams:
        """The template at rest: every coefficient and rotation zero."""
        zero = np.zeros(3, np.float32)
        return cls(
            np.zeros(n_shape, np.float32),
            np.zeros(n_expression, np.float32),
            *(zero,) * 6,
            stream_time_s=stream_time_s,
            blendshape_weights=np.zeros(N_BLENDSHAPES, np.float32),
        )

    def replace(self, **changes: ArrayLike | float) -> FlameParams:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @staticmethod
    def lerp(a: FlameParams, b: FlameParams, t: float) -> FlameParams:
        """The pose a fraction `t` (0..1) of the way from `a` to `b`.

        Coefficients, translation and known blendshape weights blend linearly. Rotations do too, in axis-angle:
        between poses 20 ms apart this differs from the geodesic by less than a microradian. An axis-angle that has
        wrapped past pi is first brought to the representation nearest to `a`.
        """
        out: dict[str, Any] = {}
        for name in _VECTORS:
            x, y = getattr(a, name), getattr(b, name)
            if name in _ROTATIONS:
                y = _nearest_turn(x, y)
            out[name] = x + np.float32(t) * (y - x)
        out["tongue_tip"] = a.tongue_tip + np.float32(t) * (b.tongue_tip - a.tongue_tip)
        if a.blendshape_weights is not None and b.blendshape_weights is not None:
            change = b.blendshape_weights - a.blendshape_weights
            out["blendshape_weights"] = a.blendshape_weights + np.float32(t) * change
        return FlameParams(**out, stream_time_s=a.stream_time_s + t * (b.stream_time_s - a.stream_time_s))

    @staticmethod
    def stack(poses: Sequence[FlameParams]) -> FlameParams:
        """A batch (T, ...) of poses; its `stream_time_s` is the first pose's.

        Raises:
            ValueError: if `poses` is empty.
        """
        if not poses:
            raise ValueError("FlameParams.stack: expected at least one pose, got none")
        columns = {name: np.stack([getattr(p, name) for p in poses]) for name in (*_VECTORS, "tongue_tip")}
        known = [p.blendshape_weights for p in poses if p.blendshape_weights is not None]
        weights = np.stack(known) if len(known) == len(poses) else None
        return FlameParams(**columns, stream_time_s=poses[0].stream_time_s, blendshape_weights=weights)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlameParams):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _nearest_turn(reference: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The axis-angle equivalent to `rotation` (same rotation, angle +- 2 pi) closest to `reference`."""
    angle = np.linalg.norm(rotation, axis=-1, keepdims=True)
    if float(angle.max(initial=0.0)) < 2.0:  # poses of a head: nothing can have wrapped
        return rotation
    axis = rotation / np.maximum(angle, 1e-12)
    other = rotation - 2 * np.pi * axis
    nearer = np.linalg.norm(other - reference, axis=-1, keepdims=True) < np.linalg.norm(
        rotation - reference, axis=-1, keepdims=True
    )
    return np.where(nearer, other, rotation).astype(np.float32)
