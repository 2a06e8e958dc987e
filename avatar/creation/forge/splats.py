"""The common product of every part of the forge: a set of splats in the neutral head's world space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from avatar.binding import BoundGaussians

__all__ = ["SH_COEFFICIENTS", "SH_DC", "Splats", "concatenate", "frames_from_axes"]

SH_COEFFICIENTS = 9
"""Spherical harmonics of degree 2."""

SH_DC = 0.28209479177387814
"""The constant basis function: a colour `c` alone is stored as `(c - 0.5) / SH_DC` in coefficient 0."""

_MIN_SCALE_M = 1e-6


@dataclass(frozen=True)
class Splats:
    """Gaussians of one part, posed on the neutral head, not yet bound.

    Attributes:
        positions: centres, metres, in the head's frame.
        frames: the axes of each Gaussian as columns (right-handed, orthonormal); for a surface splat the third
            column is the outward normal.
        scales: standard deviations along those axes, metres.
        opacities: 0..1.
        sh: SH coefficients of degree 2 for display colours (already tone mapped): colour = max(0, SH(direction) + 0.5).
        triangles: the triangle of the head's mesh that carries each Gaussian.
    """

    positions: Float[np.ndarray, "n 3"]
    frames: Float[np.ndarray, "n 3 3"]
    scales: Float[np.ndarray, "n 3"]
    opacities: Float[np.ndarray, " n"]
    sh: Float[np.ndarray, "n 9 3"]
    triangles: Int[np.ndarray, " n"]

    def __post_init__(self) -> None:
        n = len(self.positions)
        expected = {
            "positions": (n, 3),
            "frames": (n, 3, 3),
            "scales": (n, 3),
            "opacities": (n,),
            "sh": (n, SH_COEFFICIENTS, 3),
            "triangles": (n,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"Splats.{name}: expected shape {shape}, got {found}")

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, index: np.ndarray) -> Splats:
        """The splats at `index` (integers or a mask), in that order."""
        return Splats(
            self.positions[index],
            self.frames[index],
            self.scales[index],
            self.opacities[index],
            self.sh[index],
            self.triangles[index],
        )

    def to_bound(self, vertices: np.ndarray, faces: np.ndarray) -> BoundGaussians:
        """Bind to the triangles of the neutral head, keeping the order.

        Args:
            vertices: (V, 3) the neutral head, metres.
            faces: (F, 3) its triangles.
        """
        from avatar.binding import triangle_frames, unbind
        from avatar.cloud import GaussianCloud
        from avatar.flame.skinning import matrix_to_quaternion

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))

        cloud = GaussianCloud(
            means=tensor(self.positions),
            quats=matrix_to_quaternion(tensor(self.frames)),
            scales=tensor(np.maximum(self.scales, _MIN_SCALE_M)),
            opacities=tensor(self.opacities),
            sh=tensor(self.sh),
        )
        triangles = torch.as_tensor(self.triangles, dtype=torch.int64)
        frames = triangle_frames(tensor(vertices), torch.as_tensor(faces, dtype=torch.int64))
        return unbind(cloud, frames, triangles)


def concatenate(parts: Sequence[Splats]) -> Splats:
    """Several parts as one, in the given order."""
    if not parts:
        raise ValueError("concatenate: expected at least one part, got none")
    return Splats(
        np.concatenate([p.positions for p in parts]),
        np.concatenate([p.frames for p in parts]),
        np.concatenate([p.scales for p in parts]),
        np.concatenate([p.opacities for p in parts]),
        np.concatenate([p.sh for p in parts]),
        np.concatenate([p.triangles for p in parts]),
    )


def frames_from_axes(first: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Right-handed orthonormal frames with the first axis along `first` and the third as near `normal` as that allows.

    Args:
        first: (N, 3) directions, any length but zero.
        normal: (N, 3) directions, not parallel to `first`.

    Returns:
        (N, 3, 3) with the axes as columns.
    """
    a = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    c = normal - (normal * a).sum(1, keepdims=True) * a
    c = c / np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-12)
    return np.stack([a, np.cross(c, a), c], axis=2)
