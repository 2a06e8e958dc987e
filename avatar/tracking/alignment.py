"""Rigid motions between point sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

__all__ = ["align", "rotation_matrix"]


def align(
    source: Float[np.ndarray, "n 3"], target: Float[np.ndarray, "n 3"]
) -> tuple[Float64[np.ndarray, "3 3"], float, Float64[np.ndarray, "3"]]:
    """Rotation, scale and shift that take `source` nearest to `target`.

    Reference: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    a, b = source.mean(0), target.mean(0)
    u, s, vt = np.linalg.svd((target - b).T @ (source - a))
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(d) @ vt
    scale = float((s * d).sum() / np.square(source - a).sum())
    return rotation, scale, b - scale * rotation @ a


def rotation_matrix(axis_angle: Float[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Rodrigues' formula in double precision."""
    angle = float(np.linalg.norm(axis_angle))
    x, y, z = axis_angle
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-8:
        return np.eye(3) + k
    return np.eye(3) + np.sin(angle) / angle * k + (1 - np.cos(angle)) / angle**2 * (k @ k)
