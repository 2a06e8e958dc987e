"""Which point of one head's surface belongs to each vertex of another head.

The two meshes share nothing but being human: the target is moved onto the source by its eyes, then by its lips,
then drawn onto the surface by a few rounds of closest points with smoothing, and finally each of its vertices is
projected to the nearest triangle that faces the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from avatar.flame.head import HeadModel

__all__ = ["Correspondence", "match_surfaces", "with_tongue"]

_REACH_M = 0.015
_ROUNDS = 8
_RING = 15
_CANDIDATES = 48
_JAW = 2
_JAW_SLACK, _JAW_COST_M = 0.15, 0.03


@dataclass(frozen=True, eq=False)
class Correspondence:
    """For each target vertex a point on the source, as three source vertices and their barycentric weights."""

    corners: Int64[np.ndarray, "v 3"]
    weights: Float64[np.ndarray, "v 3"]
    matched: Bool[np.ndarray, " v"]
    """False where the source has no such place (teeth, eyeballs, what lies further away than 15 mm)."""
    scale: float
    """Target size over source size."""
    distance_m: Float64[np.ndarray, " v"]
    """How far the projection had to go after alignment, in the source's scale."""

    def carry(self, field: np.ndarray) -> Float64[np.ndarray, "v 3"]:
        """A displacement field of the source, (V, 3) metres, on the target's vertices; 0 where not matched."""
        carried = self.scale * np.einsum("vk,vkc->vc", self.weights, field[self.corners])
        carried[~self.matched] = 0
        return carried


def match_surfaces(
    source: HeadModel, target: HeadModel, follows_jaw: Float64[np.ndarray, " v"] | None = None
) -> Correspondence:
    """Match the skin of two heads.

    Args:
        source: a head with the regions `skin`, `eyes`, `upper_lip_inner` and `lower_lip_inner`.
        target: a head with paired `upper_lip_inner` and `lower_lip_inner`; its eyes come from its joints.
        follows_jaw: how far each vertex of the target follows the jaw, 0..1; its skinning weights if None.

    Raises:
        ValueError: if a head lacks these regions.
    """
    for name, head in (("source", source), ("target", target)):
        for region in ("upper_lip_inner", "lower_lip_inner", *(("skin",) if head is source else ())):
            if region not in head.regions:
                raise ValueError(f"match_surfaces: the {name} head has no region {region!r}")
    points = source.v_template.double().numpy()
    triangles = _skin_triangles(source)
    vertices = target.v_template.double().numpy()
    normals = _vertex_normals(vertices, target.faces.numpy())

    here, there = _landmarks(source), _landmarks(target)
    rotation, scale, origin = _similarity(there, here)
    moved = scale * vertices @ rotation.T + origin
    residual = here - (scale * there @ rotation.T + origin)
    warp = RBFInterpolator(scale * there @ rotation.T + origin, residual, kernel="thin_plate_spline", smoothing=1e-6)
    near = np.linalg.norm(moved[:, None] - here[None, ::4], axis=-1).min(1)
    fade = np.clip(1 - near / 0.10, 0, 1)[:, None]  # a spline of a few points must not bend the back of the head
    moved = moved + fade * warp(moved)
    normals = normals @ rotation.T

    surface = _Surface(points, triangles, source.lbs_weights[:, _JAW].double().numpy())
    jaw = target.lbs_weights[:, _JAW].double().numpy() if follows_jaw is None else follows_jaw
    tree = cKDTree(moved)
    skin = _outside_the_eyes(target)
    for step in range(_ROUNDS):
        closest, _, _, distance, agrees = surface.project(moved, normals, jaw)
        usable = agrees & (distance < 2 * _REACH_M) & skin
        pull = np.where(usable[:, None], closest - moved, 0)
        neighbours = tree.query(moved if step == 0 else tree.data, k=40 if step < _ROUNDS // 2 else 12)[1]
        share = usable[neighbours].mean(1, keepdims=True)
        moved = moved + pull[neighbours].mean(1) / np.maximum(share, 0.2)
    _, corners, weights, distance, agrees = surface.project(moved, normals, jaw)
    matched = agrees & (distance < _REACH_M) & skin
    for name in ("upper_lip_inner", "lower_lip_inner"):
        rows, ring, share = _paired_line(source, target, name)
        corners[rows], weights[rows], matched[rows] = ring, share, True
    return Correspondence(corners, weights, matched, 1 / scale, distance)


def with_tongue(match: Correspondence, source: HeadModel, target: HeadModel) -> Correspondence:
    """The same with the tongues matched too, each place to the nearest in the other's bounding box.

    Raises:
        ValueError: if a head has no region `tongue`.
    """
    boxes = []
    for head in (source, target):
        if "tongue" not in head.regions:
            raise ValueError("with_tongue: expected heads with a region 'tongue'")
        points = head.v_template[head.regions["tongue"]].double().numpy()
        low, high = points.min(0), points.max(0)
        boxes.append((points - low) / np.maximum(high - low, 1e-9))
    nearest = source.regions["tongue"].numpy()[cKDTree(boxes[0]).query(boxes[1])[1]]
    rows = target.regions["tongue"].numpy()
    corners, weights, matched = match.corners.copy(), match.weights.copy(), match.matched.copy()
    corners[rows], weights[rows], matched[rows] = nearest[:, None], (1.0, 0.0, 0.0), True
    return replace(match, corners=corners, weights=weights, matched=matched)


def _landmarks(head: HeadModel) -> np.ndarray:
    """Eyeball centres and both inner edges of the lips, each resampled from the right corner to the left."""
    vertices = head.v_template.double()
    eyes = (head.J_regressor.double() @ vertices)[3:].numpy()
    rings = []
    for name in ("upper_lip_inner", "lower_lip_inner"):
        ring = vertices[head.regions[name]].numpy()
        rings.append(_resampled(ring[np.argsort(ring[:, 0])]))
    return np.concatenate([eyes, *rings])


def _paired_line(source: HeadModel, target: HeadModel, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where closed lips touch, normals tell nothing: match that line by length along it.

    Returns:
        Target vertices, the two source vertices that each lies between (the first twice), and their weights.
    """
    lines = []
    for head in (source, target):
        line = head.regions[name].numpy()
        line = line[np.argsort(head.v_template[line, 0].numpy(), kind="stable")]
        lines.append((line, _along(head.v_template[line].double().numpy())))
    (ring, here), (rows, there) = lines
    at = np.interp(there / there[-1], here / here[-1], np.arange(len(ring)))
    low = np.minimum(at.astype(np.intp), len(ring) - 2)
    share = np.stack([1 - (at - low), at - low, np.zeros(len(at))], 1)
    return rows, np.stack([ring[low], ring[low + 1], ring[low]], 1), share


def _along(line: np.ndarray) -> np.ndarray:
    """Length along a line at each of its points, from 0."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return np.concatenate([[0], np.cumsum(np.maximum(steps, 1e-9))])


def _resampled(line: np.ndarray) -> np.ndarray:
    along = _along(line)
    where = np.linspace(0, along[-1], _RING)
    return np.stack([np.interp(where, along, line[:, c]) for c in range(3)], 1)


def _similarity(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Rotation, scale and translation that take `a` nearest to `b`; eyes weigh as much as the lips together.

    Reference: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    w = np.ones(len(a))
    w[:2] = len(a) / 2
    w /= w.sum()
    ca, cb = w @ a, w @ b
    u, s, vt = np.linalg.svd((b - cb).T @ ((a - ca) * w[:, None]))
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(d) @ vt
    scale = float((s * d).sum() / (w @ np.square(a - ca).sum(1)))
    return rotation, scale, cb - scale * rotation @ ca


def _skin_triangles(head: HeadModel) -> np.ndarray:
    inside = np.zeros(head.n_vertices, bool)
    inside[head.regions["skin"].numpy()] = True
    faces = head.faces.numpy()
    return faces[inside[faces].all(1)]


def _outside_the_eyes(head: HeadModel) -> np.ndarray:
    """Vertices that are neither eyeball nor tooth."""
    skin = np.ones(head.n_vertices, bool)
    for name in ("eye_left", "eye_right", "eyes", "upper_teeth", "lower_teeth", "tongue"):
        if name in head.regions:
            skin[head.regions[name].numpy()] = False
    return skin


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


class _Surface:
    """Triangles that points can be projected to."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray, jaw: np.ndarray) -> None:
        self._triangles = triangles
        self._jaw = jaw[triangles].mean(1)
        self._a, self._b, self._c = (points[triangles[:, i]] for i in range(3))
        normal = np.cross(self._b - self._a, self._c - self._a)
        self._normals = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        self._tree = cKDTree((self._a + self._b + self._c) / 3)

    def project(
        self, points: np.ndarray, normals: np.ndarray, jaw: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Nearest points on triangles that face the same way.

        Args:
            jaw: how far each point follows the jaw (skinning weight): closed lips touch, and this tells them apart.

        Returns:
            The points, the triangles' vertices, barycentric weights, distances, and whether the triangle faces the
            same way and follows the jaw alike (else the nearest of any kind is given).
        """
        candidates = self._tree.query(points, k=_CANDIDATES)[1]
        weights = _closest_barycentric(points[:, None], self._a[candidates], self._b[candidates], self._c[candidates])
        corners = np.stack([self._a[candidates], self._b[candidates], self._c[candidates]], -2)
        found = np.einsum("nmk,nmkc->nmc", weights, corners)
        distance = np.linalg.norm(found - points[:, None], axis=-1)
        facing = np.einsum("nmc,nc->nm", self._normals[candidates], normals) > 0.3
        apart = np.maximum(np.abs(self._jaw[candidates] - jaw[:, None]) - _JAW_SLACK, 0)
        clash = apart > _JAW_SLACK
        pick = np.argmin(distance + _JAW_COST_M * apart + np.where(facing, 0, 1.0) + 2.0 * clash, 1)
        rows = np.arange(len(points))
        return (
            found[rows, pick],
            self._triangles[candidates[rows, pick]],
            weights[rows, pick],
            distance[rows, pick],
            (facing & ~clash)[rows, pick],
        )


def _closest_barycentric(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Barycentric weights of the points of triangles nearest to `p`; all (..., 3)."""
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], -1)
    # Outside, the nearest point lies on one of the edges.
    edges = []
    for i, (x, y) in enumerate(((a, b), (b, c), (c, a))):
        xy = y - x
        t = np.clip(((p - x) * xy).sum(-1) / np.maximum((xy * xy).sum(-1), 1e-30), 0, 1)
        at = np.zeros_like(inside)
        at[..., i], at[..., (i + 1) % 3] = 1 - t, t
        edges.append((at, np.linalg.norm(x + t[..., None] * xy - p, axis=-1)))
    best = np.argmin(np.stack([d for _, d in edges]), 0)
    on_edge = np.choose(best[..., None], [at for at, _ in edges])
    return np.where((inside >= 0).all(-1, keepdims=True), inside, on_edge)
