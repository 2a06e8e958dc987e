"""Ridge regression on the strongest principal directions of the inputs.

Landmarks move together: what lies outside of these directions is noise.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

__all__ = ["affine_ridge", "ridge"]


def ridge(
    inputs: Float[np.ndarray, "t n"], wanted: Float[np.ndarray, "t m"], components: int, penalty: float
) -> Float64[np.ndarray, "n m"]:
    """A linear map that takes nothing to nothing.

    Args:
        components: how many directions count, at most.
        penalty: on the squares of what each does, in the inputs' own units.
    """
    u, s, vt = np.linalg.svd(inputs, full_matrices=False)
    u, s, vt = u[:, :components], s[:components], vt[:components]
    return np.asarray(vt.T @ ((s / (s**2 + penalty))[:, None] * (u.T @ wanted)))


def affine_ridge(
    inputs: Float[np.ndarray, "t n"], wanted: Float[np.ndarray, "t m"], components: int, penalty: float
) -> tuple[Float64[np.ndarray, "n m"], Float64[np.ndarray, " m"]]:
    """A linear map and what is added to it, which take the mean of the inputs to the mean of what is wanted."""
    mean, centre = inputs.mean(0), wanted.mean(0)
    matrix = ridge(inputs - mean, wanted - centre, components, penalty)
    return matrix, centre - mean @ matrix
