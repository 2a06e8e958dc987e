"""Rotations in numpy, for what runs pose by pose."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["axis_angle_to_matrix"]

_EYE = np.eye(3, dtype=np.float32)
_CROSS = np.zeros((3, 9), np.float32)
"""Axis-angle to the matrix of the cross product, flattened."""
for _axis, _plus, _minus in ((0, 7, 5), (1, 2, 6), (2, 3, 1)):
    _CROSS[_axis, _plus], _CROSS[_axis, _minus] = 1.0, -1.0


def axis_angle_to_matrix(axis_angle: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Rodrigues' formula, with the series of its factors near zero; in the type of its argument.

    The twin in torch is `avatar.flame.skinning.axis_angle_to_matrix`.
    """
    squared = np.square(axis_angle).sum(-1)[..., None, None]
    angle = np.sqrt(np.maximum(squared, 1e-12))
    cross = axis_angle @ _CROSS
    cross = cross.reshape(*axis_angle.shape[:-1], 3, 3)
    small = squared < 1e-6
    first = np.where(small, 1 - squared / 6, np.sin(angle) / angle)
    second = np.where(small, 0.5 - squared / 24, (1 - np.cos(angle)) / np.maximum(squared, 1e-12))
    return (_EYE + first * cross + second * (cross @ cross)).astype(axis_angle.dtype)
