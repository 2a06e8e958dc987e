"""Fibres of any kind (hair, brows, lashes, beard) as polylines, and the long thin splats that draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter, label, map_coordinates
from scipy.spatial import cKDTree

from avatar.creation.forge.lighting import DensityGrid, MeshOccluder, Studio
from avatar.creation.forge.shading import shade_fibres
from avatar.creation.forge.splats import Splats, frames_from_axes

__all__ = ["DistanceField", "Strands", "concatenate_strands", "fibre_splats"]


_REACH_M = 0.035

_GLOW = 0.035
"""Light that reaches even the innermost strands by many bounces, as a share of the open studio."""


@dataclass(frozen=True)
class DistanceField:
    """Signed distance to a closed-enough surface on a grid, smoothed: positive outside.

    Attributes:
        origin: position of cell (0, 0, 0), metres.
        cell_m: distance between cells.
        distance: metres.
    """

    origin: Float[np.ndarray, " 3"]
    cell_m: float
    distance: Float[np.ndarray, "x y z"]

    @staticmethod
    def of(
        vertices: Float[np.ndarray, "v 3"],
        normals: Float[np.ndarray, "v 3"],
        low: Sequence[float],
        high: Sequence[float],
        cell_m: float = 0.005,
        smooth_cells: float = 0.8,
    ) -> DistanceField:
        """The field of a surface given by dense vertices and outward normals, in the box `low`..`high`.

        Exact within a few centimetres of the surface and constant farther away, which is all that hair asks for.
        """
        origin = np.asarray(low, float)
        shape = np.ceil((np.asarray(high) - origin) / cell_m).astype(int) + 1
        cells = np.stack(np.meshgrid(*(np.arange(s) for s in shape), indexing="ij"), -1).reshape(-1, 3)
        points = origin + cells * cell_m
        near, index = cKDTree(vertices).query(points, distance_upper_bound=_REACH_M)
        found = np.isfinite(near)
        value = np.full(len(points), _REACH_M)
        hit = index[found]
        value[found] = np.copysign(near[found], np.einsum("nc,nc->n", points[found] - vertices[hit], normals[hit]))
        far = label(~found.reshape(shape))[0]
        outside = far == far[0, -1, -1]
        value = value.reshape(shape)
        value[~found.reshape(shape) & ~outside] = -_REACH_M
        return DistanceField(origin, cell_m, gaussian_filter(value, smooth_cells))

    def at(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Distances at points, trilinear."""
        return map_coordinates(self.distance, ((points - self.origin) / self.cell_m).T, order=1, mode="nearest")

    def gradient(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit directions away from the surface."""
        h = self.cell_m
        g = np.stack([self.at(points + h * np.eye(3)[k]) - self.at(points - h * np.eye(3)[k]) for k in range(3)], 1)
        return g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class Strands:
    """Polylines of equal length in points.

    Attributes:
        points: metres, root first.
        width_m: standard deviation across each strand at its thickest.
        albedo: linear colour of each segment.
        carrier: triangle of the head that carries each strand.
        flatness: thickness over width (1: round).
    """

    points: Float[np.ndarray, "n k 3"]
    width_m: Float[np.ndarray, " n"]
    albedo: Float[np.ndarray, "n k-1 3"]
    carrier: Int[np.ndarray, " n"]
    flatness: float = 1.0

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: np.ndarray) -> Strands:
        """The strands at `index`, in that order."""
        return Strands(self.points[index], self.width_m[index], self.albedo[index], self.carrier[index], self.flatness)

    @property
    def centres(self) -> Float[np.ndarray, "m 3"]:
        """Middles of all segments, strand by strand."""
        return (0.5 * (self.points[:, 1:] + self.points[:, :-1])).reshape(-1, 3)

    def thinned(self, step: int) -> Strands:
        """Every `step`-th point only."""
        points = self.points[:, ::step]
        return Strands(
            points, self.width_m, self.albedo[:, ::step][:, : points.shape[1] - 1], self.carrier, self.flatness
        )

    def shadow_area_m2(self) -> Float[np.ndarray, " m"]:
        """The area that each segment blocks, seen from its side."""
        length = np.linalg.norm(np.diff(self.points, axis=1), axis=2)
        return (length * self.width_m[:, None] * 2.5).reshape(-1)


def concatenate_strands(parts: Sequence[Strands]) -> Strands:
    """Several sets of strands with equal numbers of points as one."""
    return Strands(
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.width_m for p in parts]),
        np.concatenate([p.albedo for p in parts]),
        np.concatenate([p.carrier for p in parts]),
        parts[0].flatness,
    )


def fibre_splats(
    strands: Strands,
    studio: Studio,
    outward: Float[np.ndarray, "m 3"],
    head: MeshOccluder | None,
    density: DensityGrid | None,
    opacity: float | np.ndarray = 0.85,
    gloss: float | np.ndarray = 1.0,
    taper: float = 0.6,
    overlap: float = 0.46,
    scattered: float = 0.6,
) -> Splats:
    """One splat for each segment, in the order of the strands.

    Args:
        outward: unit, away from the skin, per segment.
        head: what casts shadows on the fibres.
        density: the fibres' own shadow.
        opacity: per segment or for all.
        taper: how much thinner the tip is than the root, 0..1.
        overlap: standard deviation along a segment in units of its length.
        scattered: how hair passes light on from strand to strand: its own shadow is softer than that of a black fog,
            by this power.
    """
    edges = np.diff(strands.points, axis=1)
    n, k, _ = edges.shape
    length = np.linalg.norm(edges, axis=2)
    tangents = (edges / np.maximum(length, 1e-9)[..., None]).reshape(-1, 3)
    centres = strands.centres
    visibility = np.ones((n * k, len(studio)), np.float32)
    if head is not None:
        visibility *= head.visibility(centres, outward, studio.directions, bias_m=0.004)
    if density is not None:
        visibility *= density.transmittance(centres, studio.directions) ** scattered
    visibility = _GLOW + (1 - _GLOW) * visibility
    sh = shade_fibres(studio, strands.albedo.reshape(-1, 3), tangents, outward, visibility, gloss)
    t = np.linspace(0, 1, k)
    profile = 1 - taper * t**1.6
    width = (strands.width_m[:, None] * profile).reshape(-1)
    along = np.maximum(length.reshape(-1) * overlap, 0.6 * width)
    frames = frames_from_axes(tangents, outward)
    scales = np.stack([along, width, width * strands.flatness], 1)
    return Splats(
        centres,
        frames,
        scales,
        np.broadcast_to(np.asarray(opacity, float), (n * k,)).copy(),
        sh,
        np.repeat(strands.carrier, k),
    )
