"""A ball with the landmarks of a face: enough of a head to test what is painted and grown on heads."""

from __future__ import annotations

import numpy as np

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.mesh import triangulate
from avatar.creation.forge.surface import SkinSurface

__all__ = ["CENTRE", "RADIUS_M", "ball", "marks"]

RADIUS_M = 0.09
CENTRE = np.array([0.0, 0.03, -0.03])


def ball(n: int = 6) -> SkinSurface:
    """A cube of n x n quads a side, blown up to a ball and refined."""
    grid = np.linspace(-1, 1, n + 1)
    corners: dict[tuple[int, int, int], int] = {}
    points, quads = [], []

    def index(i: int, j: int, k: int) -> int:
        if (i, j, k) not in corners:
            corners[i, j, k] = len(points)
            points.append([grid[i], grid[j], grid[k]])
        return corners[i, j, k]

    for a in range(n):
        for b in range(n):
            for flip, end in ((False, n), (True, 0)):
                for axis in range(3):
                    cell = []
                    for u, v in ((a, b), (a + 1, b), (a + 1, b + 1), (a, b + 1)):
                        place = [u, v]
                        place.insert(axis, end)
                        cell.append(index(*place))
                    outward = flip if axis != 1 else not flip
                    quads.append(cell[::-1] if outward else cell)
    vertices = np.array(points)
    vertices = CENTRE + RADIUS_M * vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    q = np.array(quads)
    faces = triangulate(q)
    uv = np.full((len(vertices), 2), 0.02)  # a corner of the textures that belongs to no region
    return SkinSurface.from_head(vertices, faces, np.arange(len(q)), uv, faces)


def marks() -> FaceMarks:
    """Landmarks on the ball, as a face would have them."""
    return FaceMarks(
        eye=np.array([0.030, 0.020, 0.045]),
        nose_tip=np.array([0.0, -0.010, 0.06]),
        subnasale=np.array([0.0, -0.024, 0.048]),
        mouth=np.array([0.0, -0.038, 0.04]),
        menton=np.array([0.0, -0.055, 0.0]),
        mouth_half_width=0.022,
        ear=np.array([0.085, 0.0, -0.040]),
        brow_y=0.038,
        hairline_y=0.085,
        crown=np.array([0.0, 0.12, -0.03]),
        width=1.0,
    )
