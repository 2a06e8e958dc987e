"""Rigid motions between point sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

__all__ = ["align"]


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
