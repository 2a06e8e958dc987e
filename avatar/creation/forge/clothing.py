"""Clothes: a fabric over the shoulders and a collar, smooth where cloth would be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.lighting import MeshOccluder, Studio, irradiance
from avatar.creation.forge.mesh import vertex_normals
from avatar.creation.forge.noise import bumped, fbm, gradient_noise, smoothstep
from avatar.creation.forge.shading import shade_surface
from avatar.creation.forge.splats import Splats, frames_from_axes
from avatar.creation.forge.surface import SkinSurface
from avatar.errors import UserError

__all__ = [
    "CUTS",
    "GARMENTS",
    "ClothingRecipe",
    "Cut",
    "Garment",
    "band_angles",
    "collar_band",
    "cut_garment",
    "garment_splats",
]

GARMENTS = ("jumper", "tshirt", "turtleneck", "shirt")

_CORNER_M = 0.030
"""How far from the corner between neck and shoulder a neckline begins to round it."""
_FADE_M = 0.030
"""The lowest edge of the cloth fades out over this height."""


@dataclass(frozen=True)
class ClothingRecipe:
    """Sliders of the clothes.

    Attributes:
        garment: one of `GARMENTS`.
        colour: linear RGB of the fabric.
        heather: how much single fibres vary in brightness, 0..1.
    """

    garment: str = "jumper"
    colour: tuple[float, float, float] = (0.06, 0.10, 0.16)
    heather: float = 0.4

    def __post_init__(self) -> None:
        if self.garment not in GARMENTS:
            raise UserError(f"unknown garment {self.garment!r}: choose one of {', '.join(GARMENTS)}")


@dataclass(frozen=True)
class Cut:
    """Front and back height of the neckline below the chin, height and thickness of the band, and its ribs.

    `vee_m` is how far the neckline is open in front, `fall_m` the height of a collar that is folded down over the band.
    """

    front_m: float
    back_rise_m: float
    band_m: float
    thick_m: float
    ribs: int
    loose_m: float
    vee_m: float = 0.0
    fall_m: float = 0.0


CUTS = {
    "jumper": Cut(0.086, 0.050, 0.017, 0.0030, 96, 0.0050),
    "tshirt": Cut(0.080, 0.047, 0.014, 0.0018, 120, 0.0030),
    "turtleneck": Cut(0.056, 0.030, 0.046, 0.0036, 84, 0.0045),
    "shirt": Cut(0.060, 0.034, 0.027, 0.0017, 0, 0.0045, vee_m=0.034, fall_m=0.037),
}


@dataclass(frozen=True)
class Garment:
    """A cut garment, before light.

    Attributes:
        vertices, faces: the cloth's surface (over the whole dense skin; only where `cover` > 0 it is cloth).
        cover: 1 inside the garment, falling to 0 at the neckline, per vertex.
        hidden: 1 where the skin below is out of sight for good, per vertex.
        loop: the neckline, closed, resampled evenly.
        loop_up, loop_out: along the skin away from the garment, and away from the skin, per point of the loop.
        carriers: (centroids, triangle numbers) that the cloth may hang on: those that hardly turn with the neck.
    """

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "t 3"]
    cover: Float[np.ndarray, " n"]
    hidden: Float[np.ndarray, " n"]
    loop: Float[np.ndarray, "m 3"]
    loop_up: Float[np.ndarray, "m 3"]
    loop_out: Float[np.ndarray, "m 3"]
    carriers: tuple[Float[np.ndarray, "c 3"], Int[np.ndarray, " c"]]

    def occluder(self) -> MeshOccluder:
        """What of the cloth casts shadows."""
        solid = (self.cover[self.faces] > 0.5).all(1)
        return MeshOccluder(self.vertices, self.faces[solid])


def _below_neckline(points: np.ndarray, marks: FaceMarks, cut: Cut) -> np.ndarray:
    """Metres below the neckline (negative: above it, bare skin)."""
    axis_z = marks.ear[2] - 0.012
    angle = np.arctan2(np.abs(points[:, 0]), points[:, 2] - axis_z)
    front = marks.menton[1] - cut.front_m
    line = front + cut.back_rise_m * (1 - np.cos(angle)) / 2 - cut.vee_m * np.clip(1 - angle / 0.46, 0, 1)
    # Sloping shoulders can rise above that line: beyond the neck everything near it is covered.
    aside = np.minimum(np.abs(points[:, 0]) - 0.95 * marks.ear[0], line + 0.035 - points[:, 1])
    below = line - points[:, 1]
    # Where the two meet cloth runs in a round corner.
    corner = np.clip(1 - np.abs(below - aside) / _CORNER_M, 0, 1)
    return np.maximum(below, aside) + 0.25 * _CORNER_M * corner**2


def cut_garment(
    surface: SkinSurface, marks: FaceMarks, lbs_weights: Float[np.ndarray, "v 5"], recipe: ClothingRecipe
) -> Garment:
    """Lay a garment over the shoulders of the neutral head."""
    cut = CUTS[recipe.garment]
    v, edges = surface.vertices, surface.edges
    depth = _below_neckline(v, marks, cut)
    torso = depth > -0.03
    # Cloth bridges hollows: smooth the body where it is covered, more so away from the neckline.
    smooth = v.copy()
    i, j = edges[torso[edges].any(1)].T
    degree = np.maximum(np.bincount(i, minlength=len(v)) + np.bincount(j, minlength=len(v)), 1)[:, None]
    free = np.clip(depth / 0.03, 0, 1)[:, None] * 0.6
    for _ in range(40):
        mean = np.zeros_like(v)
        np.add.at(mean, i, smooth[j])
        np.add.at(mean, j, smooth[i])
        smooth = smooth + free * (mean / degree - smooth)
    normals = vertex_normals(smooth, surface.triangles)
    lift = cut.loose_m * smoothstep(depth, -0.004, 0.010)
    under_original = np.clip(((v - smooth) * normals).sum(1), 0, None)
    cloth = smooth + normals * (lift + under_original)[:, None]

    crossing = depth[edges[:, 0]] * depth[edges[:, 1]] < 0
    e = edges[crossing]
    t = depth[e[:, 0]] / (depth[e[:, 0]] - depth[e[:, 1]])
    points = v[e[:, 0]] * (1 - t)[:, None] + v[e[:, 1]] * t[:, None]
    out = surface.normals[e[:, 0]] * (1 - t)[:, None] + surface.normals[e[:, 1]] * t[:, None]
    axis_z = marks.ear[2] - 0.012
    keep = (np.hypot(points[:, 0], points[:, 2] - axis_z) < 0.11) & (points[:, 1] > marks.menton[1] - 0.16)
    points, out = points[keep], out[keep]
    angle = np.arctan2(points[:, 0], points[:, 2] - axis_z)
    order = np.argsort(angle)
    grid = np.linspace(-np.pi, np.pi, 361)[:-1]

    def around(values: np.ndarray) -> np.ndarray:
        column = [np.interp(grid, angle[order], values[order, c], period=2 * np.pi) for c in range(3)]
        return gaussian_filter1d(np.stack(column, 1), 4.0, axis=0, mode="wrap")

    loop, loop_out = around(points), around(out)
    loop_out /= np.linalg.norm(loop_out, axis=1, keepdims=True)
    along = np.roll(loop, -1, 0) - np.roll(loop, 1, 0)
    loop_up = np.cross(loop_out, along)
    loop_up *= np.sign(loop_up[:, 1:2])
    loop_up /= np.linalg.norm(loop_up, axis=1, keepdims=True)

    still = (lbs_weights[surface.head_faces, 1:].sum(2).max(1) < 0.12) & np.isin(
        np.arange(len(surface.head_faces)) // 2, surface.quad_ids
    )
    ids = np.flatnonzero(still)
    return Garment(
        cloth,
        surface.triangles,
        smoothstep(depth, -0.001, 0.001),
        smoothstep(depth, 0.009, 0.012),
        loop,
        loop_up,
        loop_out,
        (surface.head_vertices[surface.head_faces[ids]].mean(1), ids),
    )


def _sheet(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centres, normals, spacing (rows, columns) of a closed-loop sheet of points (r, m, 3)."""
    across = np.gradient(rows, axis=0)
    along = 0.5 * (np.roll(rows, -1, 1) - np.roll(rows, 1, 1))
    normal = np.cross(along, across)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-12
    return (
        rows.reshape(-1, 3),
        normal.reshape(-1, 3),
        np.linalg.norm(along, axis=2).reshape(-1),
        np.linalg.norm(across, axis=2).reshape(-1),
    )


def band_angles(columns: int) -> Float[np.ndarray, " m"]:
    """Where the columns of a collar are around the neck: 0 in front, positive on the subject's left, radians."""
    return np.linspace(-np.pi, np.pi, columns + 1)[:-1]


def collar_band(garment: Garment, cut: Cut, columns: int) -> np.ndarray:
    """Rows of points of the collar band, from the seam on the cloth over the top edge down to the skin: (r, m, 3)."""
    m = len(garment.loop)
    where = np.arange(columns) * m / columns
    low = np.floor(where).astype(int)
    f = (where - low)[:, None]

    def pick(values: np.ndarray) -> np.ndarray:
        return values[low] * (1 - f) + values[(low + 1) % m] * f

    loop, up, out = pick(garment.loop), pick(garment.loop_up), pick(garment.loop_out)
    # The band stands straighter than the neck: blend its direction with the vertical.
    up = up + np.array([0.0, 0.35, 0.0])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    if cut.vee_m:  # an open collar ends on either side of the opening
        up = up * (0.05 + 0.95 * smoothstep(np.abs(band_angles(columns)), 0.14, 0.42))[:, None]
    rows = []
    for s in np.linspace(-0.42, 0.92, max(7, int(cut.band_m / 0.0012))):
        bulge = np.sqrt(max(0.0, 1 - (2 * max(s, 0.0) - 1) ** 4))
        height = cut.thick_m * (0.55 + 0.75 * bulge) + 0.0012
        if s < 0:
            height = cut.thick_m * 0.55 + cut.loose_m * 0.9 * min(1.0, -s / 0.42 + 0.25)
        rows.append(loop + up * (cut.band_m * s) + out * height)
    for s, height in ((1.0, 0.75), (1.02, 0.45), (0.96, 0.20), (0.80, 0.15)):
        rows.append(loop + up * (cut.band_m * s) + out * (cut.thick_m * height))
    return np.stack(rows)


def _placket(points: np.ndarray, albedo: np.ndarray, marks: FaceMarks) -> np.ndarray:
    """The overlap down the front of a shirt: its stitched edge, and buttons."""
    front = points[:, 2] > marks.ear[2] + 0.02
    edge = np.exp(-0.5 * ((points[:, 0] - 0.013) / 0.0011) ** 2) * front
    albedo = albedo * (1 - 0.55 * edge)[:, None]
    top = marks.menton[1] - 0.050
    for k in range(4):
        across = np.hypot(points[:, 0], points[:, 1] - (top - 0.062 * k))
        button = smoothstep(0.0052 - across, 0.0, 0.0012) * front
        rim = np.exp(-0.5 * ((across - 0.0056) / 0.0008) ** 2) * front
        albedo = albedo * (1 - 0.5 * rim)[:, None]
        albedo = albedo * (1 - button[:, None]) + (0.55 * albedo.mean(0) + 0.08) * button[:, None]
    return albedo


def _hang(points: np.ndarray, garment: Garment) -> np.ndarray:
    return garment.carriers[1][cKDTree(garment.carriers[0]).query(points)[1]]


def garment_splats(
    surface: SkinSurface,
    garment: Garment,
    marks: FaceMarks,
    recipe: ClothingRecipe,
    studio: Studio,
    occluder: MeshOccluder,
    transmittance,
    spacing_m: float,
    seed: int,
) -> tuple[Splats, Splats, Splats]:
    """The cloth and its collar, lit.

    Args:
        occluder: head, eyes and cloth.
        transmittance: (points, directions) -> (n, d), the shadow of the hair.
        spacing_m: distance between the splats of the cloth.

    Returns:
        (coarse layer that closes the surface, fine layer with the weave, collar)
    """
    cut = CUTS[recipe.garment]
    rng = np.random.default_rng(seed)
    cloth = SkinSurface(
        garment.vertices,
        vertex_normals(garment.vertices, garment.faces),
        surface.triangles,
        surface.uv,
        surface.quad_ids,
        surface.refine,
        surface.head_vertices,
        surface.head_faces,
    )
    bottom = garment.vertices[:, 1].min()
    front = smoothstep(garment.vertices[:, 2], -0.10, -0.03)
    radius = np.where(garment.cover > 0.5, spacing_m * (1.5 - 0.5 * front), 0.0)

    def folds(p: np.ndarray) -> np.ndarray:
        drape = p * np.array([1.0, 0.45, 0.7])
        return 1.9e-3 * fbm(drape, 14, seed + 1, 2) + 3e-4 * gradient_noise(p, 110, seed + 2)

    def weave(p: np.ndarray) -> np.ndarray:
        return folds(p) + 1.5e-4 * gradient_noise(p, 420, seed + 3)

    def lit(points, normals, axis, scales, opacity, height, specular):
        n = bumped(normals, points, height)
        visibility = occluder.visibility(points, normals, studio.directions, bias_m=0.003)
        visibility *= transmittance(points, studio.directions)
        light = irradiance(studio, n, visibility, wrap=(0.18, 0.18, 0.18)) + 0.02
        fuzz = 1 + recipe.heather * (0.35 * rng.normal(size=len(points)) + 0.3 * gradient_noise(points, 500, seed + 5))
        albedo = np.array(recipe.colour) * np.clip(fuzz, 0.3, 2.0)[:, None]
        if recipe.garment == "shirt":
            albedo = _placket(points, albedo, marks)
        albedo = np.clip(albedo, 0.002, 0.9)
        sh = shade_surface(studio, albedo, n, visibility, light, specular, 0.72)
        frames = frames_from_axes(axis - (axis * normals).sum(1, keepdims=True) * normals, normals)
        return Splats(points, frames, scales, opacity, sh, _hang(points, garment))

    layers = []
    for factor, spread, sink in ((2.6, 0.80, 0.0014), (1.0, 0.74, 0.0)):
        points = cloth.sample(radius * factor, rng)
        sigma = points.radius_m * spread
        fade = 0.97 * smoothstep(points.positions[:, 1], bottom, bottom + _FADE_M)
        layers.append(
            lit(
                points.positions - sink * points.normals,
                points.normals,
                np.cross(points.normals, np.array([0.31, 0.27, 0.91])),
                np.stack([sigma, sigma, 0.15 * sigma], 1),
                fade,
                folds if factor > 1 else weave,
                0.25,
            )
        )
    columns = int(2 * np.pi * 0.068 / 0.00125)
    sheet = collar_band(garment, cut, columns)
    centres, normals, along, across = _sheet(sheet)
    outward = centres - np.array([0.0, 0.0, marks.ear[2] - 0.012])
    outward[:, 1] = 0.02
    normals = normals * np.sign((normals * outward).sum(1, keepdims=True) + 1e-9)
    ring = (np.roll(sheet, -1, 1) - np.roll(sheet, 1, 1)).reshape(-1, 3)
    ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    rounded = normals
    if cut.ribs:
        rib = np.tile(np.arange(columns) / columns, len(sheet)) * 2 * np.pi * cut.ribs
        rounded = normals + 0.75 * np.sin(rib)[:, None] * ring
        rounded /= np.linalg.norm(rounded, axis=1, keepdims=True)
    scales = np.stack([along * 0.70, across * 0.75, np.full(len(centres), 2.5e-4)], 1)
    opacity = np.full(len(centres), 0.97)
    band = lit(centres, rounded, ring, scales, opacity, lambda p: 1e-4 * gradient_noise(p, 420, seed + 3), 0.25)
    return layers[0], layers[1], band
