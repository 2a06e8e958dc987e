"""The shape of an eye: a ball with its cornea, and the iris behind it.

Everything is in the eye's own frame: the origin in the centre of rotation, +z along the optical axis, +y up, metres.

Reference: D. Atchison and G. Smith, "Optics of the Human Eye", 2000, chapter 1, for the dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.mesh import sheet_quads

__all__ = [
    "CORNEA_APEX_M",
    "CORNEA_CENTRE_M",
    "CORNEA_RADIUS_M",
    "FLESH_COLUMNS",
    "FLESH_ROWS",
    "IRIS_RADIUS_M",
    "IRIS_Z_M",
    "LIMBUS_DEG",
    "SCLERA_RADIUS_M",
    "EyeMesh",
    "ball",
    "fine_ball",
    "flesh",
    "iris",
    "surface_radius",
]

SCLERA_RADIUS_M = 0.0120
IRIS_RADIUS_M = 0.0059
"""Of the iris and of the limbus, where the cornea begins."""
CORNEA_RADIUS_M = 0.0078
IRIS_Z_M = 0.0099
"""Where the plane of the iris is; its rim meets the ball a little in front of it."""
_PUPIL_LIFT_M = 0.0004  # the lens behind the pupil pushes the inner edge of the iris forward

LIMBUS_DEG = float(np.degrees(np.arcsin(IRIS_RADIUS_M / SCLERA_RADIUS_M)))
CORNEA_CENTRE_M = float(np.sqrt(SCLERA_RADIUS_M**2 - IRIS_RADIUS_M**2) - np.sqrt(CORNEA_RADIUS_M**2 - IRIS_RADIUS_M**2))
CORNEA_APEX_M = CORNEA_CENTRE_M + CORNEA_RADIUS_M
_SULCUS_M = 0.00010  # how softly cornea and sclera flow into each other

# The ball of the head model: rings at these angles from the optical axis between a disc of quads at either pole.
_SIDE = 6
FLESH_COLUMNS, FLESH_ROWS = 7, 5
_FRONT_DEG = (13.0, 22.0, 29.5, 36.0, 50.0, 70.0, 100.0)
_N_BACK, _BACK_DEG = 5, 168.0


@dataclass(frozen=True)
class EyeMesh:
    """A surface in the eye's frame."""

    vertices: Float[np.ndarray, "v 3"]
    quads: Int[np.ndarray, "q 4"]
    uv: Float[np.ndarray, "v 2"]


def surface_radius(theta: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance of the eye's surface from its centre in directions `theta` radians from the optical axis."""
    theta = np.abs(np.asarray(theta, float))
    sine = np.minimum(CORNEA_CENTRE_M * np.sin(theta), CORNEA_RADIUS_M)
    cornea = CORNEA_CENTRE_M * np.cos(theta) + np.sqrt(CORNEA_RADIUS_M**2 - sine**2)
    cornea = np.where(theta < np.pi / 2, cornea, 0.0)
    return _SULCUS_M * np.logaddexp(SCLERA_RADIUS_M / _SULCUS_M, cornea / _SULCUS_M)


@lru_cache(maxsize=1)
def ball() -> EyeMesh:
    """The eyeball of the head model; the mean of its vertices is the centre of rotation."""
    least, most = 0.0, 1.0
    for _ in range(60):  # the back is drawn together as far as puts the mean of all vertices into the centre
        pull = (least + most) / 2
        back = np.linspace(0, 1, _N_BACK + 1)[1:] ** (1 - 0.9 * pull)
        mesh = _ball((*_FRONT_DEG, *(_FRONT_DEG[-1] + (_BACK_DEG - _FRONT_DEG[-1]) * back)))
        least, most = (pull, most) if mesh.vertices[:, 2].mean() > 0 else (least, pull)
    return mesh


def fine_ball(rings: int = 96, side: int = 24) -> EyeMesh:
    """The same surface as fine as wanted: `rings` between the discs at the poles, `4 side` vertices around."""
    return _ball(tuple(np.linspace(4.0, 172.0, rings)), side)


def iris(pupil: float = 0.36, rings: int = 24, segments: int = 96) -> EyeMesh:
    """The iris, from the edge of a pupil of `pupil` times its radius to the ball's inner wall."""
    r = np.linspace(pupil, 1.03, rings)
    angle = np.arange(segments) / segments * 2 * np.pi
    radius = np.repeat(r, segments) * IRIS_RADIUS_M
    lift = np.repeat((1 - (r - pupil) / (1.03 - pupil)) ** 2, segments) * _PUPIL_LIFT_M
    around = np.tile(angle, rings)
    vertices = np.stack([radius * np.cos(around), radius * np.sin(around), IRIS_Z_M + lift], 1)
    ring, k = (g.ravel() for g in np.mgrid[: rings - 1, :segments])
    a, b = ring * segments + k, ring * segments + (k + 1) % segments
    uv = np.stack([np.tile(angle / (2 * np.pi), rings), np.repeat(r, segments)], 1)
    return EyeMesh(vertices, np.stack([a, a + segments, b + segments, b], 1), uv)


def flesh() -> EyeMesh:
    """The flesh in the inner corner, a patch of `FLESH_COLUMNS` x `FLESH_ROWS` vertices from the corner outwards.

    Rows run from the lower lid up. Where the vertices lie depends on the lids; here they are the texture coordinates.
    """
    u, v = np.meshgrid(np.linspace(0, 1, FLESH_COLUMNS), np.linspace(0, 1, FLESH_ROWS), indexing="ij")
    uv = np.stack([u.ravel(), v.ravel()], 1)
    return EyeMesh(np.column_stack([uv, np.zeros(len(uv))]), sheet_quads(FLESH_COLUMNS, FLESH_ROWS), uv)


def _disc(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of side x side quads drawn out to the unit disc: (points, which of them lie on the rim in order)."""
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(-1, 1, side + 1), np.linspace(-1, 1, side + 1)))
    points = np.stack([x * np.sqrt(1 - y**2 / 2), y * np.sqrt(1 - x**2 / 2)], 1)
    index = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    rim = np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])
    return points, rim


def _ball(angles_deg: tuple[float, ...], side: int = _SIDE) -> EyeMesh:
    points, rim = _disc(side)
    around = 4 * side
    azimuth = np.arctan2(points[rim, 1], points[rim, 0])
    polar = np.hypot(*points.T)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel()
    disc = np.stack([corner, corner + 1, corner + side + 2, corner + side + 1], 1)
    theta: list[np.ndarray] = [np.radians(angles_deg[0]) * polar]
    phi = [np.arctan2(points[:, 1], points[:, 0])]
    rings = [rim]
    start = len(points)
    for angle in angles_deg[1:-1]:
        theta.append(np.full(around, np.radians(angle)))
        phi.append(azimuth)
        rings.append(start + np.arange(around))
        start += around
    theta.append(np.pi - (np.pi - np.radians(angles_deg[-1])) * polar)
    phi.append(np.arctan2(points[:, 1], points[:, 0]))
    rings.append(start + rim)
    quads = [disc, start + disc[:, ::-1]]
    for inner, outer in pairwise(rings):
        quads.append(np.stack([inner, outer, np.roll(outer, -1), np.roll(inner, -1)], 1))
    t, p = np.concatenate(theta), np.concatenate(phi)
    direction = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], 1)
    uv = 0.5 + 0.5 * (t / np.pi)[:, None] * np.stack([np.cos(p), np.sin(p)], 1)
    return EyeMesh(direction * surface_radius(t)[:, None], np.concatenate(quads), uv)
