"""Where hairs are rooted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.fibres import DistanceField
from avatar.creation.forge.mesh import face_areas
from avatar.creation.forge.surface import SkinSurface

__all__ = ["Roots", "Scalp"]


@dataclass(frozen=True, eq=False)
class Roots:
    """Places that hairs grow from.

    Attributes:
        points, normals: on the skin.
        uv: texture coordinates.
        carrier: the triangle of the head.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n 2"]
    carrier: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: np.ndarray) -> Roots:
        """Those at `index` (integers or a mask)."""
        return Roots(self.points[index], self.normals[index], self.uv[index], self.carrier[index])


@dataclass(frozen=True, eq=False)
class Scalp:
    """A head to grow hair on.

    Attributes:
        surface: the neutral skin.
        allowed: which of its dense triangles are outer skin.
        marks: its landmarks.
        field: distance to head and clothes.
    """

    surface: SkinSurface
    allowed: np.ndarray
    marks: FaceMarks
    field: DistanceField

    @property
    def centre(self) -> np.ndarray:
        """A point inside the skull, between the ears."""
        return np.array([0.0, self.marks.brow_y, self.marks.ear[2] - 0.012])

    def scatter(self, density: Float[np.ndarray, " v"], count: int, rng: np.random.Generator) -> Roots:
        """`count` random roots, as thick as `density` (per vertex of the surface) says."""
        surface = self.surface
        weight = face_areas(surface.vertices, surface.triangles) * density[surface.triangles].mean(1) * self.allowed
        if weight.sum() <= 0:
            raise ValueError("scatter: expected some place where hair grows")
        dense = rng.choice(len(weight), count, p=weight / weight.sum())
        a, b = np.sqrt(rng.random(count)), rng.random(count)
        barycentric = np.stack([1 - a, a * (1 - b), a * b], 1)
        found = surface.points(dense, barycentric, np.zeros(count))
        return Roots(found.positions, found.normals, found.uv, found.carrier)

    def skin_behind(self, x: float, y: float) -> np.ndarray:
        """The point of the back of the head at a height, found along the z axis."""
        z = np.linspace(self.centre[2] - 0.14, self.centre[2], 400)
        line = np.stack([np.full(400, x), np.full(400, y), z], 1)
        return line[int(np.argmax(self.field.at(line) < 0))]
