"""Measures of talking faces on meshes, as the literature takes them, over named sets of vertices.

All take offsets from the neutral face in metres, (T, n, 3), and give millimetres.

Reference: Richard et al., "MeshTalk", 2021 (LVE); Xing et al., "CodeTalker", 2023 (FDD); Peng et al., "EmoTalk", 2023
(EVE).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["dynamics_deviation_mm2", "maximal_error_mm", "maximal_square_error_mm2", "rms_length_mm"]

_MM = 1e3


def maximal_error_mm(predicted: Float[np.ndarray, "t n 3"], truth: Float[np.ndarray, "t n 3"]) -> float:
    """Mean over poses of the largest distance over the vertices: LVE over the lips, EVE over eyes and forehead."""
    return float(np.linalg.norm(_checked(predicted, truth), axis=-1).max(-1).mean()) * _MM


def maximal_square_error_mm2(predicted: Float[np.ndarray, "t n 3"], truth: Float[np.ndarray, "t n 3"]) -> float:
    """The same with squared distances, as most papers' tables have it; square millimetres."""
    return float((_checked(predicted, truth) ** 2).sum(-1).max(-1).mean()) * _MM**2


def dynamics_deviation_mm2(
    predicted: Sequence[Float[np.ndarray, "t n 3"]], truth: Sequence[Float[np.ndarray, "t n 3"]]
) -> tuple[float, float]:
    """FDD, signed and absolute: how much less the vertices move over time than they should; square millimetres.

    Mean over sequences of (truth - prediction) of the mean over vertices of the standard deviation over time of the
    squared displacement.
    """
    if len(predicted) != len(truth) or not truth:
        raise ValueError(f"dynamics_deviation_mm2: expected equally many sequences, got {len(predicted)}, {len(truth)}")
    differences = [_dynamics(t) - _dynamics(p) for p, t in zip(predicted, truth, strict=True)]
    return float(np.mean(differences)) * _MM**2, float(np.mean(np.abs(differences))) * _MM**2


def rms_length_mm(offsets: Float[np.ndarray, "*t n 3"]) -> float:
    """Root mean square length over everything."""
    return float(np.sqrt((np.asarray(offsets, np.float64) ** 2).sum(-1).mean())) * _MM


def _dynamics(offsets: Float[np.ndarray, "t n 3"]) -> float:
    return float((np.asarray(offsets, np.float64) ** 2).sum(-1).std(0).mean())


def _checked(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if predicted.shape != truth.shape or predicted.ndim != 3 or not predicted.size:
        raise ValueError(f"expected two equal shapes (T, n, 3), got {predicted.shape} and {truth.shape}")
    return np.asarray(predicted, np.float64) - truth
