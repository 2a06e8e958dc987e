"""Quad meshes: subdivision, normals, areas, rasterised visibility."""

from __future__ import annotations

from collections.abc import Iterable

import numba
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

__all__ = [
    "catmull_clark",
    "compact",
    "face_areas",
    "largest_face_areas",
    "linear_subdivision",
    "rasterise",
    "sheet_quads",
    "triangulate",
    "vertex_normals",
    "visible",
]


def triangulate(quads: Int[np.ndarray, "q 4"]) -> Int[np.ndarray, "t 3"]:
    """Two triangles a quad, interleaved: quad i becomes triangles 2i (corners 0 1 2) and 2i + 1 (corners 0 2 3)."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)


def sheet_quads(columns: int, rows: int) -> Int[np.ndarray, "q 4"]:
    """Quads of an open grid whose vertices are numbered column by column."""
    a = (np.arange(columns - 1)[:, None] * rows + np.arange(rows - 1)).ravel()
    return np.stack([a, a + rows, a + rows + 1, a + 1], 1)


def compact(quads: Int[np.ndarray, "q 4"]) -> tuple[Int[np.ndarray, " u"], Int[np.ndarray, "q 4"]]:
    """Drop unused vertices: (the used ones' old indices, quads into them)."""
    used, inverse = np.unique(quads, return_inverse=True)
    return used, inverse.reshape(quads.shape)


def vertex_normals(vertices: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "t 3"]) -> Float[np.ndarray, "v 3"]:
    """Unit normals, area weighted; zero for a vertex of no triangle."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], cross)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def face_areas(vertices: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "t 3"]) -> Float[np.ndarray, " t"]:
    """Areas of triangles, in squared units of the vertices."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def largest_face_areas(
    poses: Iterable[Float[np.ndarray, "v 3"]], triangles: Int[np.ndarray, "t 3"]
) -> Float[np.ndarray, " t"]:
    """The largest area that each triangle has in any of the poses: what a covering by splats must suffice for."""
    areas = [face_areas(vertices, triangles) for vertices in poses]
    if not areas:
        raise ValueError("largest_face_areas: expected at least one pose, got none")
    return np.max(areas, axis=0)


class _Edges:
    """The edges of a quad mesh and the sparse averages that subdivision is made of."""

    def __init__(self, quads: np.ndarray, n_vertices: int) -> None:
        m = len(quads)
        corners = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
        self.ends, inverse, self.count = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
        self.of_quad = inverse.reshape(m, 4)
        n_edges = len(self.ends)
        face_of_corner = np.repeat(np.arange(m), 4)
        self.face_point = sp.csr_matrix((np.full(4 * m, 0.25), (face_of_corner, quads.ravel())), shape=(m, n_vertices))
        self.edge_faces = sp.csr_matrix((np.ones(4 * m), (inverse.ravel(), face_of_corner)), shape=(n_edges, m))
        rows = np.repeat(np.arange(n_edges), 2)
        self.midpoint = sp.csr_matrix(
            (np.full(2 * n_edges, 0.5), (rows, self.ends.ravel())), shape=(n_edges, n_vertices)
        )
        self.vertex_faces = sp.csr_matrix((np.ones(4 * m), (quads.ravel(), face_of_corner)), shape=(n_vertices, m))
        self.vertex_edges = sp.csr_matrix(
            (np.ones(2 * n_edges), (self.ends.ravel(), rows)), shape=(n_vertices, n_edges)
        )

    def children(self, quads: np.ndarray, n_vertices: int) -> np.ndarray:
        """Four quads for each quad: quad i gives 4i..4i+3, each starting at corner 0..3 of its parent."""
        edge = self.of_quad + n_vertices
        centre = np.arange(len(quads)) + n_vertices + len(self.ends)
        return np.stack([np.stack([quads[:, i], edge[:, i], centre, edge[:, i - 1]], 1) for i in range(4)], 1).reshape(
            -1, 4
        )


def catmull_clark(quads: Int[np.ndarray, "q 4"], n_vertices: int) -> tuple[sp.csr_matrix, Int[np.ndarray, "q4 4"]]:
    """One level of Catmull-Clark subdivision; boundaries are creases (cubic B-splines).

    Returns:
        (n', n) matrix that maps old vertices to new, and the new quads: quad i becomes quads 4i .. 4i+3.

    Reference: Catmull and Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978.
    """
    edges = _Edges(quads, n_vertices)
    interior = edges.count == 2
    edge_points = sp.diags(np.where(interior, 0.5, 1.0)) @ edges.midpoint
    edge_points = edge_points + sp.diags(np.where(interior, 0.25, 0.0)) @ (edges.edge_faces @ edges.face_point)

    used = np.zeros(n_vertices, bool)
    used[quads.ravel()] = True
    on_boundary = np.zeros(n_vertices, bool)
    on_boundary[edges.ends[~interior].ravel()] = True
    faces = np.maximum(np.asarray(edges.vertex_faces.sum(1)).ravel(), 1)
    valence = np.maximum(np.asarray(edges.vertex_edges.sum(1)).ravel(), 1)
    inner = used & ~on_boundary
    vertex_points = (
        sp.diags(inner / faces**2) @ (edges.vertex_faces @ edges.face_point)
        + sp.diags(2 * inner / faces / valence) @ (edges.vertex_edges @ edges.midpoint)
        + sp.diags(inner * (faces - 3) / faces)
    )
    rim = edges.ends[edges.count == 1]
    neighbours = sp.csr_matrix(
        (np.ones(2 * len(rim)), (rim.ravel(), rim[:, ::-1].ravel())), shape=(n_vertices, n_vertices)
    )
    n_neighbours = np.asarray(neighbours.sum(1)).ravel()
    crease = used & on_boundary & (n_neighbours > 0)
    fixed = ~inner & ~crease
    vertex_points = (
        vertex_points
        + sp.diags(np.where(crease, 0.75, 0.0))
        + sp.diags(np.where(crease, 0.25 / np.maximum(n_neighbours, 1), 0.0)) @ neighbours
        + sp.diags(fixed.astype(float))
    )
    matrix = sp.vstack([vertex_points, edge_points, edges.face_point]).tocsr()
    return matrix, edges.children(quads, n_vertices)


def linear_subdivision(quads: Int[np.ndarray, "q 4"], n_vertices: int) -> tuple[sp.csr_matrix, Int[np.ndarray, "q4 4"]]:
    """One level of bilinear subdivision, for texture coordinates and for masks; ordered as `catmull_clark` orders."""
    edges = _Edges(quads, n_vertices)
    return sp.vstack([sp.identity(n_vertices), edges.midpoint, edges.face_point]).tocsr(), edges.children(
        quads, n_vertices
    )


@numba.njit(cache=True, nogil=True)
def rasterise(
    points: np.ndarray, triangles: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest triangle in every pixel (both sides drawn, pixel centres at .5).

    Args:
        points: (V, 3) pixel x, pixel y, depth (smaller is nearer).
        triangles: (T, 3) int64.
        width, height: pixels.

    Returns:
        triangle index (h, w), -1 for none; barycentric coordinates of corners 1 and 2 (h, w, 2); depth (h, w), 1e30
        for none.
    """
    depth = np.full((height, width), 1e30)
    index = np.full((height, width), -1, np.int64)
    barycentric = np.zeros((height, width, 2))
    for t in range(triangles.shape[0]):
        a, b, c = points[triangles[t, 0]], points[triangles[t, 1]], points[triangles[t, 2]]
        det = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if det == 0.0:
            continue
        x0 = max(0, int(np.floor(min(a[0], b[0], c[0]))))
        x1 = min(width - 1, int(np.ceil(max(a[0], b[0], c[0]))))
        y0 = max(0, int(np.floor(min(a[1], b[1], c[1]))))
        y1 = min(height - 1, int(np.ceil(max(a[1], b[1], c[1]))))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((px - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (py - a[1])) / det
                v = ((b[0] - a[0]) * (py - a[1]) - (px - a[0]) * (b[1] - a[1])) / det
                if u < -1e-6 or v < -1e-6 or u + v > 1 + 1e-6:
                    continue
                z = a[2] * (1 - u - v) + b[2] * u + c[2] * v
                if z < depth[y, x]:
                    depth[y, x] = z
                    index[y, x] = t
                    barycentric[y, x, 0] = u
                    barycentric[y, x, 1] = v
    return index, barycentric, depth


def visible(
    points: Float[np.ndarray, "n 3"],
    direction: Float[np.ndarray, " 3"],
    vertices: Float[np.ndarray, "v 3"],
    triangles: Int[np.ndarray, "t 3"],
    bias: float = 0.0025,
    resolution: int = 420,
) -> Bool[np.ndarray, " n"]:
    """Which points a distant light from `direction` reaches past a mesh, by one depth map.

    Args:
        points: where to ask, already lifted a little off the surface.
        direction: unit vector towards the light.
        vertices, triangles: the occluder.
        bias: how far behind the occluder a point still counts as lit, in the vertices' unit.
        resolution: side of the depth map, pixels.
    """
    up = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(direction, up)
    right /= np.linalg.norm(right)
    above = np.cross(right, direction)
    centre = (vertices.max(0) + vertices.min(0)) / 2
    extent = np.linalg.norm(vertices - centre, axis=1).max() * 1.01

    def project(x: np.ndarray) -> np.ndarray:
        y = x - centre
        return np.stack(
            [
                (y @ right / extent + 1) * resolution / 2,
                (y @ above / extent + 1) * resolution / 2,
                -y @ direction,
            ],
            1,
        )

    _, _, depth = rasterise(project(vertices), np.ascontiguousarray(triangles, np.int64), resolution, resolution)
    p = project(points)
    column = np.clip(p[:, 0].astype(int), 0, resolution - 1)
    row = np.clip(p[:, 1].astype(int), 0, resolution - 1)
    return p[:, 2] < depth[row, column] + bias
