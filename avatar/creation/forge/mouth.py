"""What is inside the mouth: teeth with their gums, the tongue, and the dark behind them.

Light inside the mouth depends on the pose, and a closed mouth has none; the parts are therefore lit as if the lips
stood a little open, by directions from the front only, fading with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from avatar.creation.forge.anatomy import Anatomy, extreme_poses
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.mesh import catmull_clark, face_areas, triangulate, vertex_normals
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.creation.forge.shading import shade_surface
from avatar.creation.forge.splats import Splats, concatenate, frames_from_axes
from avatar.creation.forge.teeth import Arch, arches

__all__ = ["MouthRecipe", "mouth_splats"]

_GUM = np.array([0.40, 0.135, 0.125])
_TONGUE = np.array([0.46, 0.165, 0.155])
_MUCOSA = np.array([0.33, 0.10, 0.092])
_DEEP = np.array([0.085, 0.020, 0.018])
_SCATTERED = 0.13  # of the light in front, anywhere in the mouth
_LIT_DEPTH_M = 0.030  # light has all but gone this far behind the front teeth


@dataclass(frozen=True)
class MouthRecipe:
    """Attributes:
    tooth_shade: 0 bright .. 1 yellowed.
    """

    tooth_shade: float = 0.35


def mouth_splats(anatomy: Anatomy, recipe: MouthRecipe, studio: Studio, seed: int = 0) -> Splats:
    """Teeth, gums, tongue and the lining of the mouth of a neutral head."""
    upper, lower = arches(anatomy)
    light = _MouthLight(studio, upper.front_z)
    triangles = triangulate(anatomy.quads)
    parts = [_tongue(anatomy, light, seed), _lining(anatomy, light)]
    for arch, part in ((upper, "upper_teeth"), (lower, "lower_teeth")):
        carrier = np.flatnonzero(np.isin(triangles, anatomy.regions[part]).all(1))
        centres = anatomy.v_template[triangles[carrier]].mean(1)
        parts.append(_teeth(arch, recipe, light, carrier, centres, seed))
        parts.append(_gums(arch, light, carrier, centres, seed))
    return concatenate(parts)


class _MouthLight:
    """The studio as it reaches into a mouth that is a little open."""

    def __init__(self, studio: Studio, front_z: float) -> None:
        self.studio = studio
        self.front_z = front_z
        d = studio.directions
        self.enters = smoothstep(d[:, 2], 0.05, 0.45) * (1 - 0.75 * smoothstep(np.abs(d[:, 1]), 0.35, 0.85))

    def fade(self, points: np.ndarray, front_z: float | None = None) -> np.ndarray:
        """What is left of the light at a depth: 1 at the front teeth (or at `front_z`)."""
        front_z = self.front_z if front_z is None else front_z
        depth = np.clip((front_z - points[:, 2]) / _LIT_DEPTH_M, 0, 1.6)
        return _SCATTERED + (1 - _SCATTERED) * np.exp(-2.1 * depth**1.2)

    def shade(
        self,
        albedo: np.ndarray,
        normals: np.ndarray,
        points: np.ndarray,
        specular: float | np.ndarray,
        roughness: float,
        factor: float | np.ndarray = 1.0,
        wrap: tuple[float, float, float] = (0.35, 0.22, 0.20),
        front_z: float | None = None,
    ) -> np.ndarray:
        """Display colours as SH."""
        fade = self.fade(points, front_z) * factor
        visibility = self.enters[None] * fade[:, None]
        return shade_surface(
            self.studio, albedo, normals, visibility, specular=specular, roughness=roughness, wrap=wrap
        )


def _nearest(points: np.ndarray, carrier: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return carrier[((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)]


def _teeth(
    arch: Arch, recipe: MouthRecipe, light: _MouthLight, carrier: np.ndarray, centres: np.ndarray, seed: int
) -> Splats:
    surface = arch.crowns()
    v, u = surface.height, surface.across
    fresh, worn = np.array([0.80, 0.765, 0.70]), np.array([0.70, 0.62, 0.47])
    ivory = fresh * (1 - recipe.tooth_shade) + worn * recipe.tooth_shade
    albedo = np.tile(ivory, (len(v), 1))
    neck = smoothstep(v, 0.45, 1.0)[:, None]
    albedo = albedo * (1 - neck * np.array([0.10, 0.17, 0.30]))
    edge = ((1 - smoothstep(v, 0.02, 0.20)) * surface.incisor * ~surface.lingual)[:, None]
    albedo = albedo * (1 - edge * np.array([0.16, 0.11, 0.04]))  # thin enamel lets the dark mouth through
    between = smoothstep(np.abs(u), 0.72, 1.0)[:, None]
    albedo = albedo * (1 - between * np.array([0.50, 0.58, 0.64]))
    albedo = albedo * (1 + 0.03 * fbm(surface.points, 500, seed + 1, 3)[:, None])
    inside = np.where(surface.lingual, 0.45, 1.0)
    sh = light.shade(albedo, surface.normals, surface.points, 0.8, 0.28, inside)
    sigma = np.stack([surface.size[:, 0], surface.size[:, 1], np.full(len(v), 0.00012)], 1)
    return Splats(
        surface.points,
        frames_from_axes(surface.tangents, surface.normals),
        sigma,
        np.full(len(v), 0.97),
        sh,
        _nearest(surface.points, carrier, centres),
    )


def _gums(arch: Arch, light: _MouthLight, carrier: np.ndarray, centres: np.ndarray, seed: int) -> Splats:
    surface = arch.gums()
    albedo = _GUM * (1 + 0.16 * fbm(surface.points, 350, seed + 2, 3))[:, None]
    sh = light.shade(albedo, surface.normals, surface.points, 0.9, 0.36, 0.85)
    n = len(surface.points)
    return Splats(
        surface.points,
        frames_from_axes(surface.tangents, surface.normals),
        np.stack([surface.size[:, 0], surface.size[:, 1], np.full(n, 0.0002)], 1),
        np.full(n, 0.97),
        sh,
        _nearest(surface.points, carrier, centres),
    )


@dataclass(frozen=True)
class _Cells:
    """The quads of a subdivided part, one splat each."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    tangents: Float[np.ndarray, "n 3"]
    extents: Float[np.ndarray, "n 2"]
    growth: Float[np.ndarray, " n"]
    """How much longer an edge gets in the most stretching pose, beyond what the carrying triangle passes on."""
    triangles: np.ndarray

    def select(self, index: np.ndarray) -> _Cells:
        return _Cells(
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


def _cells(anatomy: Anatomy, part: str, levels: int) -> _Cells:
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
    return _Cells(points, normals, along, extents, np.clip(growth, 1, 2.0), triangles)


def _frame_scales(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The scale of each triangle's frame, as binding defines it: the mean of its first edge and its height."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    edge = np.linalg.norm(b - a, axis=1)
    return (edge + np.linalg.norm(np.cross(b - a, c - a), axis=1) / np.maximum(edge, 1e-12)) / 2


def _tongue(anatomy: Anatomy, light: _MouthLight, seed: int) -> Splats:
    cells = _cells(anatomy, "tongue", 1)
    p = cells.points
    upper = smoothstep(cells.normals[:, 1], -0.2, 0.5)
    papillae = 1 + 0.13 * gradient_noise(p, 700, seed + 4) * upper + 0.10 * fbm(p, 220, seed + 5, 3)
    groove = 1 - 0.22 * np.exp(-0.5 * (p[:, 0] / 0.0014) ** 2) * upper
    coated = np.array([1.0, 1.12, 1.10]) * upper[:, None] + np.array([0.92, 0.80, 0.84]) * (1 - upper[:, None])
    albedo = _TONGUE * coated * (papillae * groove)[:, None]
    gloss = 0.75 * np.clip(papillae, 0.4, 1.5)
    sh = light.shade(albedo, cells.normals, p, gloss, 0.36, 0.9, front_z=float(p[:, 2].max()))
    return cells.splats(sh, 0.62)


def _lining(anatomy: Anatomy, light: _MouthLight) -> Splats:
    """The inside of lips and cheeks, palate and throat: opaque, wet and soon black."""
    # Behind the lips the cells are small, for what sticks out of the lining there would stick out of the mouth.
    levels = [(_cells(anatomy, "mouth", level), spread) for level, spread in ((2, 0.52), (1, 0.62), (0, 0.74))]
    limits = (-np.inf, 0.0025, 0.014, np.inf)
    parts = []
    for (cells, spread), low, high in zip(levels, limits, limits[1:], strict=False):
        depth = light.front_z - cells.points[:, 2]
        cells = cells.select((depth >= low) & (depth < high))
        deep = smoothstep(light.front_z - cells.points[:, 2], 0.001, 0.022)[:, None]
        albedo = _MUCOSA * (1 - deep) + _DEEP * deep
        # Most light arrives here from the other walls: behind the lips it comes from no lamp, yet they glow red.
        scattered = cells.normals + np.array([0.0, 0.0, 1.4])
        scattered /= np.linalg.norm(scattered, axis=1, keepdims=True)
        sh = light.shade(albedo, scattered, cells.points, 0.35 * (1 - deep[:, 0]), 0.4, 0.8)
        parts.append(cells.splats(sh, spread))
    return concatenate(parts)
