"""Clothes for the path tracer: cloth that hangs in folds, and what finishes its neckline."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.clothing import CUTS, ClothingRecipe, Cut, Garment, band_angles, collar_band
from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.fibres import DistanceField
from avatar.creation.forge.mesh import vertex_normals
from avatar.creation.forge.noise import gradient_noise, smoothstep
from avatar.creation.forge.pathtrace.scene import Fibres, Material, Mesh

__all__ = ["garment_objects"]

_STITCH_M, _ROW_M = 0.0036, 0.0029
_RADIUS_M = 0.16
"""Of the body, for counting stitches around it."""


def garment_objects(
    garment: Garment, marks: FaceMarks, recipe: ClothingRecipe, field: DistanceField, seed: int
) -> list[Mesh | Fibres]:
    """The cloth, its collar, buttons, and loose fibres if it is wool.

    Args:
        field: distance to body and cloth.
    """
    cut = CUTS[recipe.garment]
    knit = recipe.garment in ("jumper", "turtleneck")
    used, faces = np.unique(garment.faces[(garment.cover[garment.faces] > 0.35).all(1)], return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertices, faces = _halved(_hemmed(garment.vertices[used], faces), faces, 1 if knit else 2)
    normals = vertex_normals(vertices, faces)
    height = _folds(vertices, marks, knit, seed)
    if cut.fall_m:
        height = height + _placket(vertices, marks)
    vertices = vertices + normals * height[:, None]
    material = {"colour": list(recipe.colour), "fuzz": recipe.heather, "relief_m": 6e-4 if knit else 1.2e-4}
    attributes = {"rest": vertices, **_threads(vertices, marks)}
    cloth = Mesh(
        "cloth", Material("cloth", {**material, "pattern": "knit" if knit else "woven"}), vertices, faces, attributes
    )
    out: list[Mesh | Fibres] = [cloth]
    columns = 720
    rows = _denser(collar_band(garment, cut, columns), 2)
    r = len(rows)
    i, j = np.meshgrid(np.arange(r - 1), np.arange(columns), indexing="ij")
    here, beside = i * columns + j, i * columns + (j + 1) % columns
    quads = np.stack([here, here + columns, beside + columns, beside], -1).reshape(-1, 4)
    count = cut.ribs or 84
    turn = np.tile(np.arange(columns) / columns, r)
    band = rows.reshape(-1, 3)
    ribs = {"weave_x": turn * count, "weave_y": np.repeat(np.arange(r), columns) * 0.0011 / _ROW_M}
    pattern = "rib" if cut.ribs else "woven"
    if cut.ribs:
        normal = vertex_normals(band, np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]))
        band = band + normal * (0.23 * cut.thick_m * np.abs(np.cos(np.pi * turn * count)))[:, None] * np.sign(
            (normal * (band - band.mean(0))).sum(1, keepdims=True)
        )
    out.append(Mesh("collar", Material("cloth", {**material, "pattern": pattern}), band, quads, {"rest": band, **ribs}))
    if cut.fall_m:
        out.append(
            _fall(band.reshape(r, columns, 3), garment, cut, field, Material("cloth", {**material, "pattern": "woven"}))
        )
        out += _buttons(vertices, marks, recipe)
    if knit:
        out.append(_fuzz(vertices, faces, recipe, seed))
    return out


def _fall(stand: np.ndarray, garment: Garment, cut: Cut, field: DistanceField, material: Material) -> Mesh:
    """The part of a shirt's collar that is folded down over its stand, longest at its two points in front."""
    columns = stand.shape[1]
    angle = band_angles(columns)
    keep = np.roll(np.flatnonzero(np.abs(angle) > 0.24), int((angle < -0.24).sum()) * -1)
    angle = np.abs(angle[keep])[:, None]
    top = stand[np.argmax(stand[..., 1], 0), np.arange(columns)][keep]
    at = keep * len(garment.loop) // columns
    out, up = garment.loop_out[at], garment.loop_up[at]
    out = out * [1, 0.4, 1]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    point = np.exp(-0.5 * ((angle - 0.24) / 0.22) ** 2)
    length = cut.fall_m * (1 + 0.75 * point)
    aside = np.sign(top[:, :1]) * np.array([[1.0, 0, 0]]) * 0.010 * point
    rows = []
    for layer, share in [(0.0, s) for s in np.linspace(0, 1, 18)] + [(1.0, s) for s in np.linspace(1, 0, 18)]:
        roll = 0.0035 * np.sin(np.pi * min(1.0, share / 0.22) / 2)
        row = (
            top + out * (roll + 0.006 * share) + aside * share + up * (0.0025 * np.sin(np.pi * min(share / 0.15, 1.0)))
        )
        row = row + np.array([0.0, -1.0, 0.0]) * length * share * 0.75 - up * length * share * 0.25
        for _ in range(3):
            gap = np.clip(0.0042 - field.at(row), 0, None)
            row = row + field.gradient(row) * gap[:, None]
        rows.append(row - out * 0.0013 * layer)
    sheet = np.stack(rows)
    r, c = sheet.shape[:2]
    i, j = np.meshgrid(np.arange(r - 1), np.arange(c - 1), indexing="ij")
    here = (i * c + j).ravel()
    quads = np.stack([here, here + c, here + c + 1, here + 1], 1)
    points = sheet.reshape(-1, 3)
    weave = {"weave_x": points[:, 0] / _STITCH_M, "weave_y": points[:, 1] / _ROW_M}
    return Mesh("fall", material, points, quads, {"rest": points, **weave})


def _buttons(cloth: np.ndarray, marks: FaceMarks, recipe: ClothingRecipe) -> list[Mesh]:
    """Round and thin, down the middle of the front."""
    angle, ring = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.array([0.0, 0.35, 0.75, 0.95, 1.0])
    height = np.array([0.0009, 0.0009, 0.0013, 0.0010, 0.0])
    disc = np.stack(
        [
            0.0052 * ring[:, None] * np.cos(angle),
            0.0052 * ring[:, None] * np.sin(angle),
            np.broadcast_to(height[:, None], (5, 24)),
        ],
        -1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(4), np.arange(24), indexing="ij")
    here, beside = (i * 24 + j).ravel(), (i * 24 + (j + 1) % 24).ravel()
    quads = np.stack([here, here + 24, beside + 24, beside], 1)
    colour = [0.5 * c + 0.25 for c in recipe.colour]
    front = cloth[(np.abs(cloth[:, 0]) < 0.004) & (cloth[:, 2] > marks.ear[2] + 0.02)]
    out: list[Mesh] = []
    for k, y in enumerate(np.arange(front[:, 1].max() - 0.018, front[:, 1].min() + 0.01, -0.068)):
        near = front[np.abs(front[:, 1] - y) < 0.006]
        centre = np.array([0.0, y, near[:, 2].max() + 0.0012])
        points = disc @ np.array([[1, 0, 0], [0, 0.94, 0.34], [0, -0.34, 0.94]]) + centre
        out.append(Mesh(f"button_{k}", Material("horn", {"colour": colour}), points, quads, {"rest": points}))
    return out


def _threads(points: np.ndarray, marks: FaceMarks) -> dict[str, np.ndarray]:
    """Stitches around the body and rows from the top, counted."""
    angle = np.arctan2(points[:, 0], points[:, 2] - marks.ear[2] + 0.012)
    return {"weave_x": angle * _RADIUS_M / _STITCH_M, "weave_y": points[:, 1] / _ROW_M}


def _folds(points: np.ndarray, marks: FaceMarks, knit: bool, seed: int) -> Float[np.ndarray, " n"]:
    """Height of the folds: long ones that run down from the shoulders, and a slighter crumple."""
    below = smoothstep(marks.menton[1] - 0.075 - points[:, 1], 0.0, 0.08)
    aside = smoothstep(np.abs(points[:, 0]), 0.05, 0.14)
    # Cloth hangs from the shoulders: folds fan out from the neck and run down.
    angle = np.arctan2(points[:, 0], marks.menton[1] + 0.02 - points[:, 1])
    fan = np.stack([angle * 0.18, points[:, 1] * 0.25, points[:, 2] * 0.35], 1)
    long = gradient_noise(fan, 26, seed + 40) + 0.5 * gradient_noise(fan, 60, seed + 41)
    crumple = gradient_noise(points * [1, 0.6, 0.8], 42, seed + 42) + 0.4 * gradient_noise(points, 95, seed + 43)
    size = (0.0034, 0.0012) if knit else (0.0040, 0.0020)
    return (size[0] * long * (0.4 + 0.6 * aside) + size[1] * crumple) * below


def _hemmed(vertices: np.ndarray, faces: Int[np.ndarray, "f 3"], rounds: int = 24) -> np.ndarray:
    """Edges of cloth run smoothly, where they were cut along whole triangles."""
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    sides, times = np.unique(sides, axis=0, return_counts=True)
    i, j = sides[times == 1].T
    out, degree = vertices.copy(), np.bincount(np.concatenate([i, j]), minlength=len(vertices))
    edge = degree == 2
    for _ in range(rounds):
        sums = np.zeros_like(out)
        np.add.at(sums, i, out[j])
        np.add.at(sums, j, out[i])
        out[edge] = 0.5 * out[edge] + 0.25 * sums[edge]
    return out


def _placket(points: np.ndarray, marks: FaceMarks) -> Float[np.ndarray, " n"]:
    """Height of the strip in front that the buttons are on, with its two seams."""
    x = np.abs(points[:, 0] - 0.001)
    front = points[:, 2] > marks.ear[2] + 0.02
    seam = np.exp(-0.5 * ((x - 0.0125) / 0.0016) ** 2)
    return (0.0014 * (1 - smoothstep(x, 0.0150, 0.0172)) - 0.0006 * seam) * front


def _halved(vertices: np.ndarray, faces: Int[np.ndarray, "f 3"], rounds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Every triangle in four."""
    for _ in range(rounds):
        n = len(vertices)
        corners = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
        ends, index = np.unique(corners, axis=0, return_inverse=True)
        a, b, c = n + index.reshape(3, -1)
        vertices = np.concatenate([vertices, vertices[ends].mean(1)])
        f = faces
        faces = np.concatenate(
            [
                np.stack([f[:, 0], a, c], 1),
                np.stack([a, f[:, 1], b], 1),
                np.stack([c, b, f[:, 2]], 1),
                np.stack([a, b, c], 1),
            ]
        )
    return vertices, faces


def _denser(rows: np.ndarray, times: int) -> np.ndarray:
    """More rows between those of a sheet."""
    at = np.linspace(0, len(rows) - 1, times * (len(rows) - 1) + 1)
    low = np.minimum(at.astype(int), len(rows) - 2)
    f = (at - low)[:, None, None]
    return rows[low] * (1 - f) + rows[low + 1] * f


def _fuzz(vertices: np.ndarray, faces: np.ndarray, recipe: ClothingRecipe, seed: int) -> Fibres:
    """Loose fibres that stand off the wool: the soft rim of a real jumper."""
    rng = np.random.default_rng(seed)
    count = int(26_000 * recipe.heather)
    face = rng.integers(0, len(faces), count)
    root = vertices[faces[face]].mean(1)
    direction = vertex_normals(vertices, faces)[faces[face, 0]] * 0.8 + 0.9 * rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    bend = rng.normal(size=(count, 3))
    length = rng.uniform(0.0012, 0.0034, (count, 1, 1))
    t = np.linspace(0, 1, 5)[None, :, None]
    points = root[:, None] + length * (direction[:, None] * t + 0.5 * bend[:, None] * t**2)
    colour = [min(0.9, 1.4 * c + 0.02) for c in recipe.colour]
    return Fibres("fuzz", Material("fibre", {"colour": colour}), points, np.full(count, 9e-6), np.linspace(1, 0.5, 5))
