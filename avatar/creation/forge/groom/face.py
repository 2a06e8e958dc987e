"""Hairs of the face that are too fine for Gaussians of their own: lashes in tufts, down, stubble."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from avatar.binding import triangle_frames
from avatar.creation.forge.brows import BrowRecipe
from avatar.creation.forge.facemarks import region_mask
from avatar.creation.forge.fibres import Strands, concatenate_strands
from avatar.creation.forge.groom.curves import along, unit
from avatar.creation.forge.groom.scalp import Roots, Scalp

__all__ = ["grow_down", "grow_stubble", "tufted_lashes"]

_POINTS = 9
_UPPER_M, _LOWER_M = 0.0096, 0.0044


def tufted_lashes(
    vertices: np.ndarray,
    closed: np.ndarray,
    faces: np.ndarray,
    regions: Mapping[str, np.ndarray],
    recipe: BrowRecipe,
    seed: int,
) -> tuple[Strands, Strands]:
    """Upper and lower lashes of both eyes: two ragged rows whose hairs lean together in small tufts.

    Args:
        vertices, closed: the head's vertices, neutral and with closed lids.
        faces: of the head.
        regions: its vertex sets, for the lids.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Strands]] = {"upper": [], "lower": []}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        centre = vertices[regions[f"eye_{side}"]].mean(0)
        for row, strands in rows.items():
            margin = vertices[np.unique(regions[f"{row}_lid_margin_{side}"])]
            strands.append(_row(margin, centre, sign, row == "upper", recipe, rng))
            lid = np.flatnonzero(np.isin(faces, regions[f"{row}_lid_{side}"]).all(1))
            up = np.array([0.0, 0.0008 if row == "upper" else -0.0008, 0.001])
            roots = strands[-1].points[:, 0] + up
            strands[-1].carrier[:] = lid[_carriers(roots, vertices, closed, faces[lid])]
    return concatenate_strands(rows["upper"]), concatenate_strands(rows["lower"])


_CANDIDATES = 16
_ODD_M = 0.004
"""How much farther off a triangle may lie instead of one that turns the other way, radian by radian."""


def _carriers(roots: np.ndarray, vertices: np.ndarray, closed: np.ndarray, lid: np.ndarray) -> np.ndarray:
    """For each root the triangle of a lid that it hangs on: a near one that turns as most of the row does.

    Skin at the edge of a lid rolls up as it closes; a lash on a triangle that does would stand on end.
    """
    before, after = (triangle_frames(torch.from_numpy(v), torch.from_numpy(lid)).rotations for v in (vertices, closed))
    turn = (after @ before.mT).numpy()
    distance, near = cKDTree(vertices[lid].mean(1)).query(roots, min(_CANDIDATES, len(lid)))
    u, _, vt = np.linalg.svd(np.median(turn[near.ravel()], axis=0))
    usual = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    odd = np.arccos(np.clip((np.einsum("nij,ij->n", turn, usual) - 1) / 2, -1, 1))
    best = np.argmin(distance + _ODD_M * odd[near], axis=1)
    return near[np.arange(len(near)), best]


def _row(
    margin: np.ndarray, centre: np.ndarray, sign: float, upper: bool, recipe: BrowRecipe, rng: np.random.Generator
) -> Strands:
    margin = margin[np.argsort(sign * margin[:, 0])]
    run = np.append(0, np.cumsum(np.linalg.norm(np.diff(margin, axis=0), axis=1)))
    run, keep = np.unique(run, return_index=True)
    curve = CubicSpline(run / run[-1], margin[keep])
    tufts = int((46 if upper else 32) * recipe.lash_density)
    low, high = (0.05, 0.985) if upper else (0.16, 0.95)
    middle = np.sort(rng.uniform(low, high, tufts) * 0.3 + np.linspace(low, high, tufts) * 0.7)
    count = rng.integers(3, 7, tufts) if upper else rng.integers(2, 4, tufts)
    tuft = np.repeat(np.arange(tufts), count)
    n = len(tuft)
    u = np.clip(middle[tuft] + rng.normal(0, 0.011, n), 0.0, 1.0)
    roots = curve(u)
    out = unit(roots - centre)
    roots = roots + out * rng.uniform(0.0001, 0.0006, (n, 1))

    def direction(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fan = np.interp(at, [0.0, 0.35, 0.7, 1.0], [-0.62, -0.10, 0.38, 0.85])
        peak = np.interp(at, [0.0, 0.2, 0.6, 0.85, 1.0], [0.40, 0.72, 0.98, 1.0, 0.66])
        zero = np.zeros_like(at)
        if upper:
            return (
                np.stack([sign * fan, zero - 0.18, zero + 1.0], 1),
                np.stack([sign * fan * 1.3, zero + 1.05, zero + 0.55], 1),
                peak,
            )
        return (
            np.stack([sign * fan, zero - 0.55, zero + 0.9], 1),
            np.stack([sign * fan * 1.3, zero - 0.62, zero + 0.75], 1),
            peak,
        )

    # Hairs of a tuft end near one another, though their roots stand apart.
    lean = rng.normal(0, 0.13, (tufts, 3))[tuft] * [1, 0.5, 0.5]
    first, last, peak = direction(0.75 * middle[tuft] + 0.25 * u)
    first, last = unit(first + 0.4 * lean), unit(last + lean + 0.05 * rng.normal(size=(n, 3)))
    size = (_UPPER_M if upper else _LOWER_M) * recipe.lash_length
    length = size * peak * rng.uniform(0.62, 1.0, n)
    t = along(_POINTS)
    points = roots[:, None] + length[:, None, None] * (first[:, None] * (t - 0.52 * t**2) + last[:, None] * 0.52 * t**2)
    gather = (curve(middle)[tuft] - curve(u))[:, None] * (0.75 * t**0.8)
    colour = np.full((n, _POINTS - 1, 3), (0.010, 0.008, 0.007))
    return Strands(points + gather, np.full(n, 4e-5), colour, np.zeros(n, int))


def _short_curves(roots: Roots, direction: np.ndarray, length: np.ndarray, lift: float, k: int) -> np.ndarray:
    direction = direction - (direction * roots.normals).sum(1, keepdims=True) * roots.normals
    t = along(k)
    rise = lift * (t - 0.5 * t**2)
    return roots.points[:, None] + length[:, None, None] * (
        unit(direction)[:, None] * t + roots.normals[:, None] * rise
    )


def grow_down(scalp: Scalp, count: int, seed: int) -> Strands:
    """Peach fuzz on cheeks, jaw and brow: what catches the light along the outline of a face."""
    rng = np.random.default_rng(seed)
    surface, marks = scalp.surface, scalp.marks
    uv = np.zeros((len(surface.vertices), 2))
    uv[surface.triangles.ravel()] = surface.uv.reshape(-1, 2)
    bare = (
        (region_mask("lips", uv) < 0.05) & (region_mask("inside-mouth", uv) < 0.05) & (region_mask("eyelids", uv) < 0.2)
    )
    face = bare & (surface.vertices[:, 1] > marks.menton[1] - 0.05) & (surface.vertices[:, 2] > marks.ear[2])
    roots = scalp.scatter(face.astype(float), count, rng)
    side = np.sign(roots.points[:, :1])
    flow = np.concatenate([side * 0.5, np.full((count, 1), -0.8), np.full((count, 1), -0.4)], 1)
    flow = flow + 0.35 * rng.normal(size=flow.shape)
    curves = _short_curves(roots, flow, rng.uniform(0.0008, 0.0021, count), 0.9, 4)
    return Strands(curves, np.full(count, 8e-6), np.zeros((count, 3, 3)), roots.carrier)


def grow_stubble(scalp: Scalp, density: np.ndarray, count: int, length_m: float, seed: int) -> Strands:
    """A day or two of beard: short stiff hairs that stand off the skin, lying a little downwards.

    Args:
        density: per vertex of the scalp's surface, 0..1.
    """
    rng = np.random.default_rng(seed)
    roots = scalp.scatter(density, count, rng)
    flow = np.array([0.0, -1.0, 0.2]) + 0.5 * rng.normal(size=(count, 3))
    curves = _short_curves(roots, flow, length_m * rng.uniform(0.4, 1.0, count), 1.1, 3)
    return Strands(curves, np.full(count, 3e-5), np.zeros((count, 2, 3)), roots.carrier)
