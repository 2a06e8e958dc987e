"""A part of the head covered with one splat for each of its subdivided quads: flesh without fine detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from avatar.creation.forge.anatomy import Anatomy, extreme_poses
from avatar.creation.forge.mesh import catmull_clark, face_areas, triangulate, vertex_normals
from avatar.creation.forge.splats import Splats, frames_from_axes

__all__ = ["Cells", "part_cells"]


@dataclass(frozen=True)
class Cells:
    """The quads of a subdivided part, one splat each.

    Attributes:
        points, normals, tangents: metres.
        extents: along the tangent and across it.
        growth: how much longer an edge gets in the most stretching pose, beyond what the carrying triangle passes on.
        triangles: what carries them.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    tangents: Float[np.ndarray, "n 3"]
    extents: Float[np.ndarray, "n 2"]
    growth: Float[np.ndarray, " n"]
    triangles: np.ndarray

    def select(self, index: np.ndarray) -> Cells:
        return Cells(
            self.points[index],
            self.normals[index],
            self.tangents[index],
            self.extents[index],
            self.growth[index],
            self.triangles[index],
        )

    def splats(self, sh: np.ndarray, spread: float, opacity: float = 0.98) -> Splats:
        sigma = spread * self.extents * self.growth[:, None]
        return Splats(
            self.points,
            frames_from_axes(self.tangents, self.normals),
            np.column_stack([sigma, 0.12 * sigma.mean(1)]),
            np.full(len(sh), opacity),
            sh,
            self.triangles,
        )


def part_cells(anatomy: Anatomy, part: str, levels: int) -> Cells:
    """The quads of a part after so many levels of Catmull-Clark subdivision."""
    ids = np.flatnonzero(anatomy.quad_parts == part)
    quads = anatomy.quads[ids]
    refine = sp.identity(len(anatomy.v_template), format="csr")
    for _ in range(levels):
        step, quads = catmull_clark(quads, refine.shape[0])
        refine = step @ refine
    v = refine @ anatomy.v_template
    normals = vertex_normals(v, triangulate(quads))[quads].mean(1)
    corner = [v[quads[:, k]] for k in range(4)]
    along = (corner[1] + corner[2] - corner[0] - corner[3]) / 2
    across = (corner[2] + corner[3] - corner[0] - corner[1]) / 2
    points = v[quads].mean(1)

    faces = triangulate(anatomy.quads)
    parent = 2 * ids[np.arange(len(quads)) // 4**levels]
    centres = anatomy.v_template[faces].mean(1)
    second = ((points - centres[parent]) ** 2).sum(1) > ((points - centres[parent + 1]) ** 2).sum(1)
    triangles = parent + second

    def area(vertices: np.ndarray) -> np.ndarray:
        return np.maximum(face_areas(refine @ vertices, triangulate(quads)).reshape(-1, 2).sum(1), 1e-12)

    def carried(vertices: np.ndarray) -> np.ndarray:
        return np.maximum(_frame_scales(vertices, faces[triangles]), 1e-9)

    rest_area, rest_scale = area(anatomy.v_template), carried(anatomy.v_template)
    growth = np.ones(len(points))
    for vertices in extreme_poses(anatomy).values():
        grown = np.sqrt(area(vertices) / rest_area) / (carried(vertices) / rest_scale)
        growth = np.maximum(growth, grown)
    extents = np.stack([np.linalg.norm(along, axis=1), np.linalg.norm(across, axis=1)], 1)
    return Cells(points, normals, along, extents, np.clip(growth, 1, 2.0), triangles)


def _frame_scales(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The scale of each triangle's frame, as binding defines it: the mean of its first edge and its height."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    edge = np.linalg.norm(b - a, axis=1)
    return (edge + np.linalg.norm(np.cross(b - a, c - a), axis=1) / np.maximum(edge, 1e-12)) / 2
