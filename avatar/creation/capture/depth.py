"""Depth pictures of meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from numba import njit

from avatar.camera import Camera

__all__ = ["DepthPicture", "depth_picture", "project"]


@dataclass(frozen=True, eq=False)
class DepthPicture:
    """What a mesh shows a camera at the pixels' centres."""

    depth: Float64[np.ndarray, "h w"]
    """Metres along the camera's axis; infinite where nothing is."""
    triangles: Int64[np.ndarray, "h w"]
    """-1 where nothing is."""


def project(
    points: Float[np.ndarray, "n 3"], camera: Camera
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, " n"]]:
    """Pixels and depths of points of the world."""
    seen = points @ camera.viewmat[:3, :3].T.astype(np.float64) + camera.viewmat[:3, 3]
    flat = seen @ camera.K.T.astype(np.float64)
    return flat[:, :2] / flat[:, 2:], seen[:, 2]


def depth_picture(
    vertices: Float[np.ndarray, "v 3"], triangles: Int64[np.ndarray, "f 3"], camera: Camera
) -> DepthPicture:
    """Draw the nearest surface, both sides of it."""
    pixels, depth = project(vertices, camera)
    found, ids = _draw(pixels, depth, np.ascontiguousarray(triangles), camera.width, camera.height)
    return DepthPicture(found, ids)


@njit(cache=True)
def _draw(pixels, depth, triangles, width, height):
    ids = np.full((height, width), -1, np.int64)
    near = np.full((height, width), np.inf)
    for f in range(len(triangles)):
        a, b, c = triangles[f]
        if min(depth[a], depth[b], depth[c]) <= 0:
            continue
        ax, ay = pixels[a]
        bx, by = pixels[b]
        cx, cy = pixels[c]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-12:
            continue
        left, right = max(0, int(np.floor(min(ax, bx, cx) - 0.5))), min(width - 1, int(np.ceil(max(ax, bx, cx))))
        top, bottom = max(0, int(np.floor(min(ay, by, cy) - 0.5))), min(height - 1, int(np.ceil(max(ay, by, cy))))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                u, v = x + 0.5, y + 0.5
                wb = ((u - ax) * (cy - ay) - (cx - ax) * (v - ay)) / area
                wc = ((bx - ax) * (v - ay) - (u - ax) * (by - ay)) / area
                wa = 1 - wb - wc
                if wa >= -1e-9 and wb >= -1e-9 and wc >= -1e-9:
                    z = 1 / (wa / depth[a] + wb / depth[b] + wc / depth[c])
                    if z < near[y, x]:
                        near[y, x] = z
                        ids[y, x] = f
    return near, ids
