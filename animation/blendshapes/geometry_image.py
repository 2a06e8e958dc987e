"""Geometry images: a face's deformation as a square picture, so that a CNN sees which parts of the face are neighbours.

The frontal face is flattened once per topology: its outline on the border of the unit square (forehead at the top, the
subject's right at the left, like a portrait), its interior by Tutte's equations, in which each vertex is a weighted
mean of its neighbours. Each pixel keeps the triangle it falls into and its barycentric weights,
D_ij = sum over 3 of w_ijk V[I_ijk] [stated]; pixels that fall into the eyes or the mouth are zero [checked].

Equal weights would crush the lips and the lids, which lie deep inside nested rings of edges, to a few pixels. The
weights are therefore adapted until every vertex has its fair share of the square, half by the skin's area and half by
the count of vertices; they stay positive, so that no triangle can fold over ("near-Tutte" [checked]; the rule is ours
[chosen]).

Deviation [chosen]: the paper registers its two data sets to one template before mapping them. They already share
FLAME's topology, and our heads share theirs, so that the square is built on the head model's own face region instead.

Reference: Mao et al., "Learning Disentangled Speech- and Expression-Driven Blendshapes for 3D Talking Face Animation",
2025, section on geometric mapping; Tutte, "How to draw a graph", 1963; Yoshizawa, Belyaev and Seidel, "A fast and
simple stretch-minimizing mesh parameterization", 2004, for adapting the weights.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve
from torch import Tensor

from avatar.errors import UserError
from avatar.flame.head import HeadModel

__all__ = ["GeometryImage", "face_vertices", "geometry_image"]

_CACHE_SIZE = 16
_cache: OrderedDict[str, GeometryImage] = OrderedDict()

_ADAPTATIONS, _ADAPTATION_RATE, _CAP_SHARE = 40, 0.3, 4.0

# The frontal face in FLAME's frame, for heads that name no 'face' region: metres.
_CENTRE_Y, _RADIUS_X, _RADIUS_Y, _BACK_Z, _LEAST_NORMAL_Z = -0.015, 0.078, 0.105, -0.02, -0.1


@dataclass(frozen=True, eq=False)
class GeometryImage:
    """The flattening of one topology's face at one resolution, and the sampling both ways."""

    size: int
    vertices: Int[np.ndarray, " n"]
    """The face's vertices in the head's numbering, ascending. Deformations below are over these."""
    faces: Int[np.ndarray, "f 3"]
    """The face's triangles, numbered within `vertices`."""
    uv: Float[np.ndarray, "n 2"]
    """Where each vertex lies in the unit square: column, row."""
    pixel_vertices: Int[np.ndarray, "h w 3"]
    pixel_weights: Float[np.ndarray, "h w 3"]
    """Barycentric weights of each pixel; all zero in the holes."""

    @property
    def n_vertices(self) -> int:
        return len(self.vertices)

    @cached_property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """True where the pixel shows skin, False in the holes."""
        return self.pixel_weights.sum(-1) > 0.5

    def to_image(self, deformation: Float[Tensor, "*batch n 3"]) -> Float[Tensor, "*batch 3 h w"]:
        """Sample a deformation of the face's vertices on the square.

        Raises:
            ValueError: if the deformation is not over this face's vertices.
        """
        if tuple(deformation.shape[-2:]) != (self.n_vertices, 3):
            raise ValueError(
                f"GeometryImage.to_image: expected (..., {self.n_vertices}, 3), got {tuple(deformation.shape)}"
            )
        lead = deformation.shape[:-2]
        columns = deformation.reshape(-1, self.n_vertices, 3).permute(1, 0, 2).flatten(1)
        pixels = torch.sparse.mm(self._sampling.to(columns), columns)
        return pixels.unflatten(1, (-1, 3)).permute(1, 2, 0).reshape(*lead, 3, self.size, self.size)

    @cached_property
    def _sampling(self) -> Tensor:
        """Vertices to pixels, (h w, n), sparse."""
        rows = np.repeat(np.arange(self.size**2), 3)
        index = torch.from_numpy(np.stack([rows, self.pixel_vertices.reshape(-1)]))
        values = torch.from_numpy(self.pixel_weights.reshape(-1))
        shape = (self.size**2, self.n_vertices)
        return torch.sparse_coo_tensor(index, values, shape, check_invariants=True).coalesce()

    def to_vertices(self, image: Float[Tensor, "*batch 3 h w"]) -> Float[Tensor, "*batch n 3"]:
        """Sample a picture at the face's vertices: bilinear, holes left out of the mean."""
        return self.sample(image, self.uv)

    def sample(self, image: Float[Tensor, "*batch 3 h w"], uv: Float[np.ndarray, "m 2"]) -> Float[Tensor, "*batch m 3"]:
        """Sample a picture at any points of the square: bilinear, holes left out of the mean."""
        where = np.clip(np.asarray(uv, np.float64) * self.size - 0.5, 0, self.size - 1)
        low = np.minimum(np.floor(where).astype(np.int64), self.size - 2)
        part = where - low
        index, weight = [], []
        for dx in (0, 1):
            for dy in (0, 1):
                column, row = low[:, 0] + dx, low[:, 1] + dy
                near = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
                index.append(row * self.size + column)
                weight.append(np.maximum(near, 1e-6) * self.mask[row, column])
        weights = np.stack(weight, -1)
        weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-12)
        flat = image.flatten(-2)
        taken = flat.index_select(-1, torch.from_numpy(np.stack(index, -1).reshape(-1)).to(flat.device))
        taken = taken.unflatten(-1, (-1, 4)) * torch.from_numpy(weights).to(flat)
        return taken.sum(-1).movedim(-2, -1)

    @cached_property
    def laplacian(self) -> csr_matrix:
        """The uniform (umbrella) Laplacian over the face's vertices, (n, n): the vertex less its neighbours' mean."""
        adjacency = _adjacency(self.faces, self.n_vertices)
        degree = np.asarray(adjacency.sum(1)).ravel()
        identity = coo_matrix((np.ones(self.n_vertices), (np.arange(self.n_vertices),) * 2))
        scaled = coo_matrix((1 / np.maximum(degree, 1), (np.arange(self.n_vertices),) * 2))
        return (identity - scaled @ adjacency).tocsr()


def face_vertices(head: HeadModel) -> Int[np.ndarray, " n"]:
    """The frontal face of a head: its 'face' region, or where FLAME's frame says that a face must be."""
    if "face" in head.regions:
        return np.unique(head.regions["face"].cpu().numpy())
    vertices, faces = head.v_template.cpu().numpy().astype(np.float64), head.faces.cpu().numpy()
    corners = vertices[faces]
    normals = np.zeros_like(vertices)
    area_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.add.at(normals, faces.ravel(), np.repeat(area_normals, 3, 0))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    x, y, z = vertices.T
    inside = (x / _RADIUS_X) ** 2 + ((y - _CENTRE_Y) / _RADIUS_Y) ** 2 < 1
    skin = _largest_component(faces, np.ones(len(vertices), bool))
    return np.flatnonzero(inside & (z > _BACK_Z) & (normals[:, 2] > _LEAST_NORMAL_Z) & skin)


def geometry_image(head: HeadModel, size: int = 64) -> GeometryImage:
    """The flattening of a head's face, built once per topology and size.

    Raises:
        ValueError: if `size` is below 8.
        UserError: if the head has no usable face region.
    """
    if size < 8:
        raise ValueError(f"geometry_image: expected a size of at least 8, got {size}")
    faces = head.faces.cpu().numpy().astype(np.int64)
    region = face_vertices(head)
    digest = hashlib.sha256(faces.tobytes() + region.tobytes() + f"{size}/{head.n_vertices}".encode()).hexdigest()
    if digest in _cache:
        _cache.move_to_end(digest)
        return _cache[digest]
    built = _build(head.v_template.cpu().numpy().astype(np.float64), faces, region, size)
    _cache[digest] = built
    if len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    return built


def _build(vertices: np.ndarray, faces: np.ndarray, region: np.ndarray, size: int) -> GeometryImage:
    inside = np.zeros(len(vertices), bool)
    inside[region] = True
    inside &= _largest_component(faces, inside)
    inside = _without_dangling(faces, inside)
    kept = np.flatnonzero(inside)
    if len(kept) < 16:
        raise UserError("the head's face region has no connected surface: name a 'face' region of its vertices")
    renumber = np.full(len(vertices), -1)
    renumber[kept] = np.arange(len(kept))
    local = renumber[faces[inside[faces].all(1)]]
    loops = _boundary_loops(local)
    if not loops:
        raise UserError("the head's face region is closed: it needs an outline, like a mask")
    points = vertices[kept]
    loops.sort(key=lambda loop: np.linalg.norm(np.roll(points[loop], 1, 0) - points[loop], axis=1).sum())
    outline, holes = loops[-1], loops[:-1]

    square = np.zeros((len(kept) + len(holes), 2))
    square[outline] = _on_square(points[outline])
    caps = [np.stack([loop, np.roll(loop, -1), np.full(len(loop), len(kept) + i)], 1) for i, loop in enumerate(holes)]
    surface = np.concatenate([local, *caps])
    share = _fair_share(points, local, len(square))
    _solve_tutte(square, surface, outline, share)
    pixel_vertices, pixel_weights = _rasterise(square, local, size)
    return GeometryImage(size, kept, local, square[: len(kept)], pixel_vertices, pixel_weights.astype(np.float32))


def _adjacency(faces: np.ndarray, n: int) -> csr_matrix:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    return coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n)).tocsr()


def _largest_component(faces: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Of the vertices `inside`, those of the largest connected piece of surface."""
    used = faces[inside[faces].all(1)]
    if not len(used):
        return np.zeros_like(inside)
    _, label = connected_components(_adjacency(used, len(inside)), directed=False)
    touched = np.zeros(len(inside), bool)
    touched[used] = True
    return touched & (label == np.bincount(label[touched]).argmax())


def _without_dangling(faces: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Drop vertices at which the surface pinches or hangs by one triangle, until its border is made of simple loops."""
    inside = inside.copy()
    while True:
        used = faces[inside[faces].all(1)]
        directed = np.concatenate([used[:, [0, 1]], used[:, [1, 2]], used[:, [2, 0]]])
        key = directed[:, 0] * len(inside) + directed[:, 1]
        border = directed[~np.isin(key, directed[:, 1] * len(inside) + directed[:, 0])]
        leaving = np.bincount(border[:, 0], minlength=len(inside))
        count = np.bincount(used.ravel(), minlength=len(inside))
        bad = inside & ((leaving > 1) | (count < 2))
        if not bad.any():
            return inside
        inside &= ~bad
        inside &= _largest_component(faces, inside)


def _boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    existing = {(int(a), int(b)) for a, b in directed}
    follow = {a: b for a, b in existing if (b, a) not in existing}
    loops = []
    while follow:
        start, at = next(iter(follow.items()))
        loop = [start]
        while at != start:
            loop.append(at)
            at = follow.pop(at)
        follow.pop(start)
        loops.append(np.array(loop))
    return loops


def _on_square(points: np.ndarray) -> np.ndarray:
    """An outline's places on the border of the unit square: by length, the corners towards the face's diagonals."""
    flat = points[:, :2] - (points[:, :2].max(0) + points[:, :2].min(0)) / 2
    flat = flat / np.abs(flat).max(0)
    angle = np.arctan2(flat[:, 1], flat[:, 0])
    aims = np.radians([135.0, 45.0, -45.0, -135.0])  # clockwise as seen: top left, top right, bottom right, bottom left
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    at = [int(np.abs((angle - aim + np.pi) % (2 * np.pi) - np.pi).argmin()) for aim in aims]
    n = len(points)
    if (at[1] - at[0]) % n > (at[3] - at[0]) % n:  # the outline runs the other way round
        at, corners = at[::-1], corners[::-1]
    steps = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    square = np.zeros((n, 2))
    for side in range(4):
        first, last = at[side], at[(side + 1) % 4]
        index = np.arange(first, first + (last - first) % n + 1) % n
        along = np.concatenate([[0.0], np.cumsum(steps[index[:-1]])])
        part = (along / along[-1])[:, None]
        square[index] = corners[side] * (1 - part) + corners[(side + 1) % 4] * part
    return square


def _fair_share(points: np.ndarray, faces: np.ndarray, n: int) -> np.ndarray:
    """The part of the square that each of `n` vertices ought to get; caps of holes, beyond `points`, get little."""
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    by_area = np.bincount(faces.ravel(), np.repeat(area, 3), minlength=len(points))
    share = by_area / by_area.sum() + 1 / len(points)
    caps = np.full(n - len(points), share.mean() * _CAP_SHARE)
    whole = np.concatenate([share, caps])
    return whole / whole.sum()


def _solve_tutte(square: np.ndarray, faces: np.ndarray, outline: np.ndarray, share: np.ndarray) -> None:
    """Place every vertex that is not on the outline at a weighted mean of its neighbours, in place."""
    n = len(square)
    weights = _adjacency(faces, n).tocoo()
    rows, columns, values = weights.row, weights.col, weights.data.astype(np.float64)
    inner = np.ones(n, bool)
    inner[outline] = False
    for _ in range(_ADAPTATIONS):
        total = np.bincount(rows, values, minlength=n)
        mean = coo_matrix((values / total[rows], (rows, columns)), shape=(n, n)).tocsr()
        system = (coo_matrix((np.ones(n), (np.arange(n),) * 2)) - mean).tocsr()[inner]
        square[inner] = spsolve(system[:, inner].tocsc(), -system[:, ~inner] @ square[~inner])
        corners = square[faces]
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
        got = np.bincount(faces.ravel(), np.repeat(area, 3), minlength=n)
        hunger = share / np.maximum(got / got.sum(), 1e-12)
        values *= np.clip(hunger[columns], 1e-3, 1e3) ** -_ADAPTATION_RATE
        values /= (np.bincount(rows, values, minlength=n) / np.bincount(rows, minlength=n))[rows]


def _rasterise(square: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The triangle under each pixel's centre."""
    index = np.zeros((size, size, 3), np.int64)
    weights = np.zeros((size, size, 3))
    for triangle in faces:
        p = square[triangle] * size - 0.5
        low = np.maximum(np.ceil(p.min(0) - 1e-9).astype(int), 0)
        high = np.minimum(np.floor(p.max(0) + 1e-9).astype(int), size - 1)
        if (high < low).any():
            continue
        edges = np.stack([p[1] - p[0], p[2] - p[0]], 1)
        if abs(np.linalg.det(edges)) < 1e-12:
            continue
        columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        b, c = np.linalg.solve(edges, np.stack([columns.ravel() - p[0, 0], rows.ravel() - p[0, 1]]))
        hit = (b >= -1e-9) & (c >= -1e-9) & (b + c <= 1 + 1e-9)
        where = rows.ravel()[hit], columns.ravel()[hit]
        index[where] = triangle
        weights[where] = np.stack([1 - b - c, b, c], 1)[hit]
    return index, np.clip(weights, 0, 1)
