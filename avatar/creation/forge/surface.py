"""The skin as a dense surface, and points spread evenly over it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy import sparse

from avatar.creation.forge.mesh import catmull_clark, face_areas, linear_subdivision, triangulate, vertex_normals

__all__ = ["SkinSurface", "SurfacePoints", "poisson_disk"]

_LEVELS = 2
"""Dense triangles of one quad of the head."""


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a `SkinSurface`.

    Attributes:
        dense: the dense triangle of each point.
        barycentric: its coordinates in that triangle.
        positions, normals: in the sampling pose, metres.
        uv: texture coordinates.
        radius_m: distance to the nearest neighbour that the sampling kept.
        carrier: the triangle of the head.
    """

    dense: Int[np.ndarray, " n"]
    barycentric: Float[np.ndarray, "n 3"]
    positions: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n 2"]
    radius_m: Float[np.ndarray, " n"]
    carrier: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.dense)

    def select(self, index: np.ndarray) -> SurfacePoints:
        """The points at `index` (integers or a mask), in that order."""
        return SurfacePoints(
            self.dense[index],
            self.barycentric[index],
            self.positions[index],
            self.normals[index],
            self.uv[index],
            self.radius_m[index],
            self.carrier[index],
        )


@dataclass(frozen=True)
class SkinSurface:
    """The head's skin after two levels of Catmull-Clark; after one, to cast shadows or for a preview.

    Attributes:
        vertices, normals: the neutral pose, metres.
        triangles: dense triangles; those of quad q of the skin are `children` q .. `children` (q + 1) - 1.
        uv: texture coordinates of their corners.
        quad_ids: the head's quad for each quad of the skin; its triangles in the head are 2 q and 2 q + 1.
        refine: (n, b) matrix from the head's vertices to the dense ones.
        head_faces: the head's triangles.
    """

    vertices: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    triangles: Int[np.ndarray, "t 3"]
    uv: Float[np.ndarray, "t 3 2"]
    quad_ids: Int[np.ndarray, " q"]
    refine: sparse.csr_matrix
    head_vertices: Float[np.ndarray, "b 3"]
    head_faces: Int[np.ndarray, "f 3"]

    @staticmethod
    def from_head(
        head_vertices: Float[np.ndarray, "b 3"],
        head_faces: Int[np.ndarray, "f 3"],
        quad_ids: Int[np.ndarray, " q"],
        uv: Float[np.ndarray, "u 2"],
        faces_uv: Int[np.ndarray, "f 3"],
        levels: int = _LEVELS,
    ) -> SkinSurface:
        """Refine the quads `quad_ids` of a head whose triangles come in pairs (0 1 2)(0 2 3)."""
        quads = _quads(head_faces)[quad_ids]
        quads_uv = _quads(faces_uv)[quad_ids]
        n, n_uv = len(head_vertices), len(uv)
        refine, dense_uv = sparse.identity(n, format="csr"), uv
        for _ in range(levels):
            step, quads = catmull_clark(quads, n)
            n = step.shape[0]
            refine = step @ refine
            step_uv, quads_uv = linear_subdivision(quads_uv, n_uv)
            n_uv = step_uv.shape[0]
            dense_uv = step_uv @ dense_uv
        # Vertices of the eyes, teeth and so on pass through the subdivision untouched: drop what no skin quad uses.
        used = np.unique(quads)
        place = np.full(n, -1)
        place[used] = np.arange(len(used))
        refine = refine[used]
        triangles = triangulate(place[quads])
        vertices = refine @ head_vertices
        return SkinSurface(
            vertices,
            vertex_normals(vertices, triangles),
            triangles,
            dense_uv[triangulate(quads_uv)],
            np.asarray(quad_ids),
            refine,
            head_vertices,
            head_faces,
        )

    @property
    def children(self) -> int:
        """Dense triangles of a quad: 32 after two levels."""
        return len(self.triangles) // len(self.quad_ids)

    def posed(self, head_vertices: Float[np.ndarray, "b 3"]) -> SkinSurface:
        """The same surface on a posed head."""
        vertices = self.refine @ head_vertices
        return SkinSurface(
            vertices,
            vertex_normals(vertices, self.triangles),
            self.triangles,
            self.uv,
            self.quad_ids,
            self.refine,
            head_vertices,
            self.head_faces,
        )

    @cached_property
    def edges(self) -> Int[np.ndarray, "e 2"]:
        """The dense mesh's edges, each once."""
        t, n = self.triangles, len(self.vertices)
        pairs = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
        codes = np.unique(pairs[:, 0] * n + pairs[:, 1])
        return np.stack([codes // n, codes % n], 1)

    def sample(self, radius_m: Float[np.ndarray, " n"], rng: np.random.Generator, tries: float = 12.0) -> SurfacePoints:
        """Points about `radius_m` (per dense vertex; 0 or less: none) apart, in random order.

        Args:
            tries: candidates for each point that fits; more leave fewer gaps.
        """
        corner = radius_m[self.triangles]
        areas = face_areas(self.vertices, self.triangles)
        radius = corner.mean(1)
        wanted = np.where(corner.min(1) > 0, areas * 0.75 / np.maximum(radius, 1e-6) ** 2, 0.0)
        count = rng.poisson(wanted * tries)
        dense = np.repeat(np.arange(len(areas)), count)
        rng.shuffle(dense)
        a, b = np.sqrt(rng.random(len(dense))), rng.random(len(dense))
        barycentric = np.stack([1 - a, a * (1 - b), a * b], 1)
        points = self.points(dense, barycentric, np.einsum("nk,nk->n", barycentric, corner[dense]))
        return points.select(poisson_disk(points.positions, points.radius_m))

    def points(self, dense: np.ndarray, barycentric: np.ndarray, radius_m: np.ndarray) -> SurfacePoints:
        """Points given by triangle and barycentric coordinates."""
        corners = self.triangles[dense]
        positions = np.einsum("nk,nkc->nc", barycentric, self.vertices[corners])
        normals = np.einsum("nk,nkc->nc", barycentric, self.normals[corners])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        pair = 2 * self.quad_ids[dense // self.children][:, None] + np.array([0, 1])
        centroid = self.head_vertices[self.head_faces[pair]].mean(2)
        nearer = ((centroid - positions[:, None]) ** 2).sum(2).argmin(1)
        return SurfacePoints(
            dense,
            barycentric,
            positions,
            normals,
            np.einsum("nk,nkc->nc", barycentric, self.uv[dense]),
            radius_m,
            pair[np.arange(len(dense)), nearer],
        )

    def carry(self, values: np.ndarray, points: SurfacePoints) -> np.ndarray:
        """Interpolate per-vertex values (n, ...) at points."""
        corners = values[self.triangles[points.dense]]
        return np.einsum("nk,nk...->n...", points.barycentric.astype(corners.dtype), corners)


def _quads(faces: np.ndarray) -> np.ndarray:
    """Quads from their interleaved triangle pairs."""
    return np.concatenate([faces[0::2], faces[1::2, 2:]], axis=1)


@njit(cache=True, nogil=True)
def _accept(points: np.ndarray, radius: np.ndarray, cell: float, low: np.ndarray, shape: np.ndarray) -> np.ndarray:
    n = points.shape[0]
    head = np.full(shape[0] * shape[1] * shape[2], -1, np.int64)
    chain = np.full(n, -1, np.int64)
    kept = np.zeros(n, np.bool_)
    for i in range(n):
        cx = int((points[i, 0] - low[0]) / cell)
        cy = int((points[i, 1] - low[1]) / cell)
        cz = int((points[i, 2] - low[2]) / cell)
        free = True
        for x in range(max(0, cx - 1), min(shape[0], cx + 2)):
            for y in range(max(0, cy - 1), min(shape[1], cy + 2)):
                for z in range(max(0, cz - 1), min(shape[2], cz + 2)):
                    j = head[(x * shape[1] + y) * shape[2] + z]
                    while j >= 0 and free:
                        r = 0.5 * (radius[i] + radius[j])
                        dx, dy, dz = (
                            points[i, 0] - points[j, 0],
                            points[i, 1] - points[j, 1],
                            points[i, 2] - points[j, 2],
                        )
                        if dx * dx + dy * dy + dz * dz < r * r:
                            free = False
                        j = chain[j]
                    if not free:
                        break
                if not free:
                    break
            if not free:
                break
        if free:
            kept[i] = True
            c = (cx * shape[1] + cy) * shape[2] + cz
            chain[i] = head[c]
            head[c] = i
    return kept


def poisson_disk(points: Float[np.ndarray, "n 3"], radius_m: Float[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    """Indices of points that keep their distance, greedily in the given order.

    Reference: R. Cook, "Stochastic Sampling in Computer Graphics" (1986): dart throwing, here with a radius per point.
    """
    if len(points) == 0:
        return np.empty(0, np.int64)
    cell = float(radius_m.max())
    low = points.min(0)
    shape = ((points.max(0) - low) / cell).astype(np.int64) + 1
    kept = _accept(np.ascontiguousarray(points), np.ascontiguousarray(radius_m), cell, low, shape)
    return np.flatnonzero(kept)
