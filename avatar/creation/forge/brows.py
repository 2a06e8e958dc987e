"""Brows, lashes and beard: where they grow and how each hair lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from avatar.creation.forge.facemarks import FaceMarks, region_mask
from avatar.creation.forge.fibres import Strands, concatenate_strands
from avatar.creation.forge.noise import gradient_noise, smoothstep
from avatar.creation.forge.surface import SkinSurface, SurfacePoints
from avatar.errors import UserError

__all__ = [
    "BEARDS",
    "BeardRecipe",
    "BrowRecipe",
    "beard_density",
    "brow_density",
    "grow_beard",
    "grow_brows",
    "grow_lashes",
]

BEARDS = ("none", "stubble", "short", "full", "moustache", "goatee")


@dataclass(frozen=True)
class BrowRecipe:
    """Sliders of brows and lashes.

    Attributes:
        thickness: factor on the height of the brow.
        density: factor on the number of hairs.
        arch: -1 flat .. 1 arched.
        colour: linear RGB of the brow's hairs.
        grey: share of grey hairs.
        lash_length: factor; the upper lashes are 8 mm long at 1.
        lash_density: factor on the number of lashes.
    """

    thickness: float = 1.0
    density: float = 1.0
    arch: float = 0.0
    colour: tuple[float, float, float] = (0.030, 0.018, 0.011)
    grey: float = 0.0
    lash_length: float = 1.0
    lash_density: float = 1.0


@dataclass(frozen=True)
class BeardRecipe:
    """Sliders of the beard.

    Attributes:
        style: one of `BEARDS`.
        colour: linear RGB.
        grey: share of grey hairs.
        length: factor on the style's own length.
    """

    style: str = "none"
    colour: tuple[float, float, float] = (0.030, 0.018, 0.011)
    grey: float = 0.0
    length: float = 1.0

    def __post_init__(self) -> None:
        if self.style not in BEARDS:
            raise UserError(f"unknown beard {self.style!r}: choose one of {', '.join(BEARDS)}")


def _brow_line(x: np.ndarray, marks: FaceMarks, recipe: BrowRecipe) -> tuple[np.ndarray, np.ndarray]:
    """Height of the brow's middle and its half thickness at a distance from the midline."""
    u = x / marks.width
    knots = [0.009, 0.016, 0.024, 0.033, 0.041, 0.047, 0.053]
    rise = np.interp(u, knots, np.array([-3.2, -1.6, 0.4, 2.2, 2.4, 0.6, -2.4]) * 1e-3)
    rise += recipe.arch * np.interp(u, knots, np.array([-0.6, -0.4, 0.2, 1.2, 1.4, 0.4, -0.6]) * 1e-3)
    half = np.interp(u, knots, np.array([2.6, 3.6, 3.5, 3.0, 2.2, 1.4, 0.5]) * 1e-3) * recipe.thickness
    return marks.brow_y + rise, half


def brow_density(points: Float[np.ndarray, "n 3"], marks: FaceMarks, recipe: BrowRecipe) -> Float[np.ndarray, " n"]:
    """How thickly the brow grows at points of the skin, 0..1."""
    x = np.abs(points[:, 0])
    middle, half = _brow_line(x, marks, recipe)
    u = x / marks.width
    across = np.exp(-0.5 * ((points[:, 1] - middle) / (0.62 * half)) ** 2)
    ends = smoothstep(u, 0.0075, 0.0135) * (1 - smoothstep(u, 0.047, 0.0545))
    return across * ends * (points[:, 2] > marks.eye[2] - 0.01)


def _colours(
    rng: np.random.Generator, count: int, segments: int, colour: tuple[float, float, float], grey: float
) -> np.ndarray:
    shade = np.exp(rng.normal(0, 0.22, (count, 1)))
    silver = np.array([0.20, 0.198, 0.196]) * np.exp(rng.normal(0, 0.2, (count, 1)))
    plain = np.where(rng.random((count, 1)) < grey, silver, np.array(colour) * shade)
    return np.repeat(plain[:, None], segments, 1)


def _curves(
    roots: np.ndarray, normals: np.ndarray, direction: np.ndarray, length: np.ndarray, lift: float, curl: float, k: int
) -> np.ndarray:
    """Hairs that leave the skin at `lift` and bend back towards it: (n, k, 3)."""
    t = np.linspace(0, 1, k)[None, :, None]
    direction = direction - (direction * normals).sum(1, keepdims=True) * normals
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    height = lift * (t - curl * t**2)
    return roots[:, None] + length[:, None, None] * (direction[:, None] * t + normals[:, None] * height)


def grow_brows(points: SurfacePoints, marks: FaceMarks, recipe: BrowRecipe, seed: int) -> Strands:
    """Both brows, rooted at samples of the skin."""
    rng = np.random.default_rng(seed)
    density = brow_density(points.positions, marks, recipe)
    patchy = np.clip(1 + 0.5 * gradient_noise(points.positions, 420, seed), 0.3, 1.6)
    weight = np.where(density > 0.14, density, 0.0) ** 0.8 * patchy * points.radius_m**2
    count = int(1000 * recipe.density * (0.6 + 0.4 * recipe.thickness))
    index = rng.choice(len(points), count, p=weight / weight.sum())
    roots = points.positions[index] + rng.normal(0, 1, (count, 3)) * points.radius_m[index, None] * 0.45
    roots += ((points.positions[index] - roots) * points.normals[index]).sum(1, keepdims=True) * points.normals[index]
    x, side = np.abs(roots[:, 0]) / marks.width, np.sign(roots[:, 0])
    middle, half = _brow_line(np.abs(roots[:, 0]), marks, recipe)
    off = np.clip((roots[:, 1] - middle) / half, -1.2, 1.2)
    angle = np.interp(x, [0.008, 0.013, 0.020, 0.030, 0.040, 0.052], [1.10, 0.85, 0.50, 0.22, -0.12, -0.45])
    angle = angle - 0.38 * off * smoothstep(x, 0.012, 0.022) + rng.normal(0, 0.08, count)
    direction = np.stack([side * np.cos(angle), np.sin(angle), np.zeros(count)], 1)
    length = rng.uniform(0.0050, 0.0082, count) * np.interp(x, [0.008, 0.016, 0.03, 0.052], [0.62, 0.95, 1.0, 0.66])
    curves = _curves(roots, points.normals[index], direction, length, 0.22, 0.75, 4)
    return Strands(
        curves,
        rng.uniform(4.5e-5, 7.5e-5, count),
        _colours(rng, count, 3, recipe.colour, recipe.grey),
        points.carrier[index],
    )


def grow_lashes(
    surface: SkinSurface,
    regions: Mapping[str, np.ndarray],
    marks: FaceMarks,
    recipe: BrowRecipe,
    seed: int,
) -> tuple[Strands, Strands]:
    """Upper and lower lashes of both eyes, in soft rows along the lid margins.

    Args:
        surface: the neutral skin.
        regions: the head's vertex sets, for the lid margins.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Strands]] = {"upper": [], "lower": []}
    head, faces = surface.head_vertices, surface.head_faces
    for side, sign in (("left", 1.0), ("right", -1.0)):
        centre = marks.eye * np.array([sign, 1, 1])
        for row in ("upper", "lower"):
            margin = head[np.unique(regions[f"{row}_lid_margin_{side}"])]
            margin = margin[np.argsort(sign * margin[:, 0])]
            run = np.r_[0, np.cumsum(np.linalg.norm(np.diff(margin, axis=0), axis=1))]
            run, keep = np.unique(run, return_index=True)
            curve = CubicSpline(run / run[-1], margin[keep])
            upper = row == "upper"
            count = max(4, int((64 if upper else 26) * recipe.lash_density))
            u = np.clip((np.arange(count) + 0.5) / count + rng.normal(0, 0.25 / count, count), 0.0, 1.0)
            u = 0.045 + 0.94 * u if upper else 0.20 + 0.74 * u
            roots = curve(u)
            out = roots - centre
            out /= np.linalg.norm(out, axis=1, keepdims=True)
            roots = roots + out * (0.0004 if upper else 0.0003)
            fan = np.interp(u, [0.0, 0.35, 0.7, 1.0], [-0.55, -0.12, 0.32, 0.75]) + rng.normal(0, 0.07, count)
            peak = np.interp(u, [0.0, 0.25, 0.6, 0.85, 1.0], [0.45, 0.82, 1.0, 0.98, 0.68])
            length = peak * recipe.lash_length * rng.uniform(0.78, 1.1, count) * (0.0070 if upper else 0.0034)
            rise = 1.0 if upper else -1.0
            start = np.stack([sign * fan, np.full(count, 0.02 if upper else -0.55), np.full(count, 1.0)], 1)
            end = np.stack([sign * fan * 1.15, np.full(count, 1.05 * rise), np.full(count, 0.50)], 1)
            start /= np.linalg.norm(start, axis=1, keepdims=True)
            end /= np.linalg.norm(end, axis=1, keepdims=True)
            # Neighbours lean together in small tufts, as wet or painted lashes do.
            tuft = 0.10 * np.sin(np.arange(count) * 2 * np.pi / 4.3 + rng.uniform(0, 6)) * sign
            end[:, 0] += tuft
            t = np.linspace(0, 1, 6 if upper else 4)[None, :, None]
            bend = t - 0.5 * t**2
            curves = roots[:, None] + length[:, None, None] * (start[:, None] * bend + end[:, None] * 0.5 * t**2)
            lid = np.isin(faces, regions[f"{row}_lid_{side}"]).all(1)
            ids = np.flatnonzero(lid)
            near = cKDTree(head[faces[ids]].mean(1)).query(roots + out * 0.001 + [0, 0.0008 * rise, 0])[1]
            k = t.shape[1] - 1
            rows[row].append(
                Strands(
                    curves,
                    np.full(count, 5.5e-5 if upper else 4e-5),
                    np.repeat(np.full((count, 1, 3), (0.010, 0.008, 0.007)), k, 1),
                    ids[near],
                )
            )
    return concatenate_strands(rows["upper"]), concatenate_strands(rows["lower"])


def beard_density(
    points: Float[np.ndarray, "n 3"], uv: Float[np.ndarray, "n 2"], marks: FaceMarks, style: str, seed: int
) -> Float[np.ndarray, " n"]:
    """How thickly a beard of a style grows at points of the skin, 0..1."""
    x, y, z = np.abs(points[:, 0]) / marks.width, points[:, 1], points[:, 2]
    ragged = 0.0025 * gradient_noise(points, 120, seed) + 0.0015 * gradient_noise(points, 420, seed + 1)
    m, e = marks.mouth[1], marks.ear[1]
    cheek = np.interp(
        x,
        [0.0, 0.021, 0.030, 0.044, 0.056, 0.066, 0.073],
        [m + 0.004, m + 0.006, m + 0.001, m - 0.002, m + 0.010, e - 0.010, e + 0.016],
    )
    below = smoothstep(cheek - y + ragged, -0.003, 0.006)
    back = np.clip(marks.menton[2] - 0.010 - z, 0.0, 0.08)
    low = marks.menton[1] - 0.017 + 0.30 * back
    jaw = (
        below * smoothstep(y - low + ragged, -0.004, 0.007) * smoothstep(z, marks.ear[2] + 0.010, marks.ear[2] + 0.018)
    )
    # Before the ear it runs up into the hair of the temple.
    burn = smoothstep(z, marks.ear[2] + 0.009, marks.ear[2] + 0.016) * (
        1 - smoothstep(z, marks.ear[2] + 0.026, marks.ear[2] + 0.034)
    )
    burn = burn * smoothstep(y - e + 0.030 + ragged, 0.0, 0.010) * (1 - smoothstep(y - e - ragged, 0.040, 0.060))
    jaw = np.maximum(jaw, burn * (x > 0.045))
    top = marks.subnasale[1] - 0.0015 - 0.10 * np.clip(x - 0.010, 0, 1)
    lip = (1 - smoothstep(x, 0.024, 0.029)) * smoothstep(top - y + 0.5 * ragged, -0.001, 0.003) * (y > m) * (z > 0.02)
    lip = 0.8 * lip * (1 - 0.45 * np.exp(-0.5 * (x / 0.0025) ** 2))
    bare = np.exp(-0.5 * ((x - 0.014) / 0.006) ** 2 - 0.5 * ((y - m + 0.015) / 0.005) ** 2) * (z > 0.03)
    density = np.maximum(jaw * (1 - 0.8 * bare), lip)
    if style == "moustache":
        density = lip
    if style == "goatee":
        density = np.maximum(lip, jaw * (1 - smoothstep(x, 0.026, 0.032)))
    lips = region_mask("lips", uv) + region_mask("inside-mouth", uv) + region_mask("ears", uv)
    return density * np.clip(1 - 1.5 * lips, 0, 1)


def grow_beard(
    points: SurfacePoints, marks: FaceMarks, recipe: BeardRecipe, seed: int, count: int = 4000
) -> Strands | None:
    """The hairs of a beard, rooted at samples of the skin; None for a shaved one."""
    if recipe.style in ("none", "stubble"):
        return None
    rng = np.random.default_rng(seed)
    density = beard_density(points.positions, points.uv, marks, recipe.style, seed)
    weight = density * points.radius_m**2
    index = rng.choice(len(points), count, p=weight / weight.sum())
    roots = points.positions[index] + rng.normal(0, 1, (count, 3)) * points.radius_m[index, None] * 0.5
    normals = points.normals[index]
    roots += ((points.positions[index] - roots) * normals).sum(1, keepdims=True) * normals
    moustache = (roots[:, 1] > marks.mouth[1]) & (np.abs(roots[:, 0]) < 0.028 * marks.width)
    side = np.sign(roots[:, 0])
    swirl = np.stack([gradient_noise(roots, 220, seed + k) for k in range(3)], 1)
    direction = np.stack([0.25 * side, np.full(count, -1.0), np.full(count, 0.15)], 1)
    direction = np.where(moustache[:, None], np.stack([side * 0.75, np.full(count, -0.75), 0 * side], 1), direction)
    direction = direction + 0.55 * swirl + 0.15 * rng.normal(size=(count, 3))
    long = {"short": 0.0070, "full": 0.0150, "moustache": 0.0085, "goatee": 0.0090}[recipe.style]
    length = long * recipe.length * rng.uniform(0.65, 1.1, count) * np.where(moustache, 0.85, 1.0)
    length = length * (0.5 + 0.5 * density[index])
    curves = _curves(roots, normals, direction, length, 0.60, 0.45, 4)
    return Strands(
        curves,
        rng.uniform(5.5e-5, 9e-5, count),
        _colours(rng, count, 3, recipe.colour, recipe.grey),
        points.carrier[index],
    )
