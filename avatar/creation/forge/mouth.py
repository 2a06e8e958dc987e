"""What is inside the mouth: teeth with their gums, the tongue, and the dark behind them.

Light inside the mouth depends on the pose, and a closed mouth has none; the parts are therefore lit as if the lips
stood a little open, by directions from the front only, fading with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.creation.forge.anatomy import Anatomy
from avatar.creation.forge.cells import part_cells
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.mesh import triangulate
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.creation.forge.shading import shade_surface
from avatar.creation.forge.splats import Splats, concatenate, frames_from_axes
from avatar.creation.forge.teeth import Arch

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
    upper, lower = anatomy.arches
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


def _tongue(anatomy: Anatomy, light: _MouthLight, seed: int) -> Splats:
    cells = part_cells(anatomy, "tongue", 1)
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
    levels = [(part_cells(anatomy, "mouth", level), spread) for level, spread in ((2, 0.52), (1, 0.62), (0, 0.74))]
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
