"""Gaussians for training to begin with: disks on everything that has a surface, rods along everything that is hair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from avatar.binding import BoundGaussians
from avatar.creation.forge.mesh import vertex_normals
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.pathtrace.portrait import Portrait
from avatar.creation.forge.pathtrace.scene import Fibres, Mesh
from avatar.creation.forge.splats import SH_COEFFICIENTS, Splats, concatenate, frames_from_axes

__all__ = ["beginning"]

_DISK, _THIN = 0.62, 0.2
_OPACITY = 0.7

# Shares of all Gaussians by what they draw; hair takes what is left.
_SHARES = {
    "skin": 0.34,
    "eye_left": 0.018,
    "eye_right": 0.018,
    "upper_teeth": 0.016,
    "lower_teeth": 0.012,
    "upper_gum": 0.006,
    "lower_gum": 0.005,
    "tongue": 0.010,
    "caruncle_left": 0.0015,
    "caruncle_right": 0.0015,
    "cloth": 0.075,
    "collar": 0.045,
    "fall": 0.035,
    "brows": 0.030,
    "lashes_upper": 0.014,
    "lashes_lower": 0.005,
    "beard": 0.100,
}
_ROD_M = {"brows": 0.0022, "lashes_upper": 0.0022, "lashes_lower": 0.0016, "beard": 0.0030}
_HAIR_ROD_M = 0.011
_HAIR_WIDTH_M, _FACE_WIDTH_M = 5.0e-4, 1.3e-4
_HAIR = ("hair", "stray", "baby", "tendrils")


def beginning(person: Portrait, count: int, seed: int = 0) -> BoundGaussians:
    """`count` Gaussians on the neutral head, in random order: any first part covers all of it thinly."""
    rng = np.random.default_rng(seed)
    objects = {o.name: o for o in person.objects}
    parts: list[Splats] = []
    left = count
    for name, share in _SHARES.items():
        thing = objects.get(name)
        if thing is None:
            continue
        n = int(share * count)
        left -= n
        if isinstance(thing, Mesh):
            parts.append(_disks(thing, n, _carriers(person, name), rng, _density(person, thing)))
        else:
            parts.append(_rods([thing], n, _ROD_M[name], _FACE_WIDTH_M, person.carriers[name], rng))
    hair = [thing for name in _HAIR if isinstance(thing := objects.get(name), Fibres)]
    if hair:
        parts.append(_rods(hair, left, _HAIR_ROD_M, _HAIR_WIDTH_M, person.anatomy.skull(person.rest), rng))
    whole = concatenate(parts)
    return whole.select(rng.permutation(len(whole))).to_bound(person.rest, person.faces)


Carriers = tuple[Float[np.ndarray, "c 3"], Int[np.ndarray, " c"]]


def _carriers(person: Portrait, name: str) -> Carriers:
    """(centroids, numbers) of the triangles that an object may hang on."""
    anatomy = person.anatomy
    if name in ("cloth", "collar", "fall"):
        return person.garment.carriers
    part = np.repeat(anatomy.quad_parts, 2)
    ids = np.flatnonzero(np.isin(part, ["skin", "mouth", "socket"]) if name == "skin" else part == name)
    return person.rest[person.faces[ids]].mean(1), ids


def _density(person: Portrait, mesh: Mesh) -> Float[np.ndarray, " v"]:
    """How many more disks there are to be, per vertex: many on features, few where hair hides the skin."""
    v = mesh.vertices
    if mesh.name.startswith("eye"):
        return np.where(v[:, 2] > v[:, 2].max() - 0.0045, 4.0, 1.0) * (v[:, 2] > v[:, 2].max() - 0.011)
    if mesh.name != "skin":
        return np.ones(len(v))
    a: Mapping[str, np.ndarray] = mesh.attributes
    marks = person.marks
    face = smoothstep(v[:, 2], marks.ear[2] + 0.02, marks.ear[2] + 0.06) * smoothstep(
        v[:, 1], marks.menton[1] - 0.01, marks.menton[1] + 0.004
    )
    eye = np.exp(-0.5 * (((np.abs(v[:, 0]) - marks.eye[0]) / 0.017) ** 2 + ((v[:, 1] - marks.eye[1]) / 0.012) ** 2)) * (
        v[:, 2] > 0
    )
    density = 0.35 + 1.0 * face + 2.2 * eye + 2.2 * np.clip(a["lips"], 0, 1) + 1.0 * a["nose"] + 0.6 * a["ears"]
    density = density * (1 - 0.8 * a["scalp"]) * (1 - 0.6 * a["behind"])
    return density + 1.0 * np.clip(a["inside"], 0, 1)


def _disks(mesh: Mesh, count: int, carriers: Carriers, rng: np.random.Generator, density: np.ndarray) -> Splats:
    f = mesh.faces if mesh.faces.shape[1] == 3 else np.concatenate([mesh.faces[:, :3], mesh.faces[:, [0, 2, 3]]])
    v = mesh.vertices
    a, b, c = (v[f[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    weight = area * density[f].mean(1)
    face = rng.choice(len(f), count, p=weight / weight.sum())
    inside = rng.dirichlet(np.ones(3), count)
    means = np.einsum("nk,nkc->nc", inside, v[f[face]])
    normals = np.einsum("nk,nkc->nc", inside, vertex_normals(v, f)[f[face]])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    # As wide as its share of the surface asks for.
    own = np.sqrt(area[face] / np.maximum(count * weight[face] / weight.sum(), 1e-9))
    radius = _DISK * own
    frames = frames_from_axes(np.cross(normals, rng.normal(size=(count, 3))), normals)
    scales = np.stack([radius, radius, _THIN * radius], 1)
    return _grey(means, frames, scales, carriers[1][cKDTree(carriers[0]).query(means)[1]])


def _rods(
    hairs: list[Fibres],
    count: int,
    length_m: float,
    width_m: float,
    carriers: Carriers | np.ndarray,
    rng: np.random.Generator,
) -> Splats:
    """Rods of about `length_m` along hairs drawn at random, from everywhere along them.

    Args:
        carriers: what they hang on, or the triangle of each hair.
    """
    run = [np.linalg.norm(np.diff(h.points, axis=1), axis=2) for h in hairs]
    share = np.array([r.sum() for r in run])
    parts = []
    for h, lengths, n in zip(hairs, run, np.floor(count * share / share.sum()).astype(int), strict=True):
        whole = lengths.sum(1)
        which = rng.choice(len(h.points), n, p=whole / whole.sum())
        half = np.minimum(0.5 * length_m * rng.uniform(0.7, 1.3, n), 0.5 * whole[which])
        middle = rng.uniform(half, np.maximum(whole[which] - half, half + 1e-9))
        start, end = (_at(h.points[which], lengths[which], m) for m in (middle - half, middle + half))
        along = end - start
        length = np.maximum(np.linalg.norm(along, axis=1), 1e-6)
        along /= length[:, None]
        side = np.cross(along, rng.normal(size=(n, 3)))
        thick = width_m * rng.uniform(0.7, 1.4, n)
        own = (
            carriers[which]
            if isinstance(carriers, np.ndarray)
            else carriers[1][cKDTree(carriers[0]).query(h.points[which, 0])[1]]
        )
        parts.append(
            _grey(0.5 * (start + end), frames_from_axes(along, side), np.stack([0.36 * length, thick, thick], 1), own)
        )
    return concatenate(parts)


def _grey(positions: np.ndarray, frames: np.ndarray, scales: np.ndarray, triangles: np.ndarray) -> Splats:
    n = len(positions)
    return Splats(positions, frames, scales, np.full(n, _OPACITY), np.zeros((n, SH_COEFFICIENTS, 3)), triangles)


def _at(points: np.ndarray, lengths: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Places along polylines at arc lengths."""
    run = np.concatenate([np.zeros((len(points), 1)), np.cumsum(lengths, 1)], 1)
    low = np.clip((run <= where[:, None]).sum(1) - 1, 0, lengths.shape[1] - 1)
    rows = np.arange(len(points))
    f = np.clip((where - run[rows, low]) / np.maximum(lengths[rows, low], 1e-12), 0, 1)[:, None]
    return points[rows, low] * (1 - f) + points[rows, low + 1] * f
