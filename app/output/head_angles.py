"""The head's direction as other programs state it: angles, quaternions, and the axes of Unity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["from_quaternions", "from_yaw_pitch_roll", "to_quaternions", "to_unity", "to_yaw_pitch_roll"]


def to_quaternions(axis_angle: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 4"]:
    """Unit quaternions, wxyz, of axis-angle rotations in radians."""
    rotation = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(rotation, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * rotation], -1)


def from_quaternions(quats: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3"]:
    """Axis-angle rotations, at most pi, of wxyz quaternions that are not zero."""
    q = np.asarray(quats, np.float64)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


def to_yaw_pitch_roll(axis_angle: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Angles in radians as ARKit's face anchor has them: yaw about +y (to the subject's left), then pitch about +x
    (nodding down), then roll about +z (towards the subject's right shoulder)."""
    w, x, y, z = np.moveaxis(to_quaternions(axis_angle), -1, 0)
    pitch = np.arcsin(np.clip(2 * (w * x - y * z), -1, 1))
    yaw = np.arctan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y))
    roll = np.arctan2(2 * (x * y + w * z), 1 - 2 * (x * x + z * z))
    return np.stack([yaw, pitch, roll], -1)


def from_yaw_pitch_roll(angles: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """The axis-angle rotation of `to_yaw_pitch_roll`'s angles."""
    half = np.asarray(angles, np.float64) / 2
    (cy, cp, cr), (sy, sp, sr) = np.moveaxis(np.cos(half), -1, 0), np.moveaxis(np.sin(half), -1, 0)
    quats = np.stack(
        [
            cy * cp * cr + sy * sp * sr,
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
            cy * cp * sr - sy * sp * cr,
        ],
        -1,
    )
    return from_quaternions(quats)


def to_unity(axis_angle: Float[np.ndarray, "3"]) -> tuple[float, float, float, float]:
    """A rotation in Unity's left-handed axes (+x the subject's right), xyzw: x mirrored."""
    w, x, y, z = to_quaternions(axis_angle).tolist()
    return x, -y, -z, w
