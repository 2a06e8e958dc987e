"""Bound Gaussians to ellipses in the image: binding, spherical harmonics and projection in one pass."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.render.compilation import inline, parallel_kernel
from avatar.render.cpu.simd import TILE, fetch_add

__all__ = ["HIDDEN", "LOCAL", "SPLAT", "project"]

LOCAL = 16
"""Floats of a Gaussian before projection: mean 3, rotation times scale 9 (rows), log2 opacity, extent squared."""
SPLAT = 16
"""Floats of a Gaussian in the image: mx, my, slope, na, nk, log2 opacity, red, green, blue, rx, ry, y_right, middle,
high2, fall.

log2 alpha at (dx, dy) from the mean is lo + na (dx - slope dy)^2 + nk dy^2: completing the square keeps long thin
Gaussians exact in float32, where dx^2, dx dy and dy^2 would cancel. rx and ry are the half sides of the bounding box,
y_right the height (from the mean) at which the ellipse reaches furthest right. In a column x from the mean it reaches
from middle x - sqrt(high2 - fall x^2) to middle x + sqrt(high2 - fall x^2).
"""
HIDDEN = np.uint32(0xFFFFFFFF)
"""Depth key of a Gaussian that is not in the image."""

_CHUNK = 1024
f32 = np.float32
_NEAR = f32(0.01)
_BLUR = f32(0.3)
_MARGIN = f32(0.3)
_HALF_LOG2E = f32(-0.5 * 1.4426950408889634)


@inline
def _sh_channel(sh, i, c, count, x, y, z):
    """One color channel: spherical harmonics `sh[i, 3 k + c]` in the direction (x, y, z)."""
    value = f32(0.5) + f32(0.28209479177387814) * sh[i, c]
    if count > 1:
        value += f32(0.4886025119029199) * (z * sh[i, 6 + c] - y * sh[i, 3 + c] - x * sh[i, 9 + c])
    if count > 4:
        xx = x * x
        yy = y * y
        zz = z * z
        value += f32(1.0925484305920792) * (x * y * sh[i, 12 + c] - y * z * sh[i, 15 + c] - x * z * sh[i, 21 + c])
        value += f32(0.31539156525252005) * (f32(2) * zz - xx - yy) * sh[i, 18 + c]
        value += f32(0.5462742152960396) * (xx - yy) * sh[i, 24 + c]
        if count > 9:
            fz = f32(4) * zz - xx - yy
            value -= f32(0.5900435899266435) * y * (f32(3) * xx - yy) * sh[i, 27 + c]
            value += f32(2.890611442640554) * x * y * z * sh[i, 30 + c]
            value -= f32(0.4570457994644658) * y * fz * sh[i, 33 + c]
            value += f32(0.3731763325901154) * z * (f32(2) * zz - f32(3) * xx - f32(3) * yy) * sh[i, 36 + c]
            value -= f32(0.4570457994644658) * x * fz * sh[i, 39 + c]
            value += f32(1.445305721320277) * z * (xx - yy) * sh[i, 42 + c]
            value -= f32(0.5900435899266435) * x * (xx - f32(3) * yy) * sh[i, 45 + c]
    return max(value, f32(0))


@parallel_kernel
def project(
    n, local, triangles, frames, sh, world, fx, fy, cx, cy, width, height, counter, splats, tiles, keys, ranges
):
    """Fill `splats`, `tiles` and `keys` for the first `n` Gaussians.

    Args:
        local: (N, LOCAL), in the frames of the triangles.
        triangles: (N,) int32.
        frames: (F, 12): triangle to camera, 3 x 4, rows.
        sh: (N, 3 K), coefficient by coefficient.
        world: (3, 3): rotates camera directions into the world, where spherical harmonics are meant.
        counter: (1,) int64 of scratch.
        tiles: (N, 4) int16 out: first and last + 1 tile, across, then down.
        keys: (N,) uint32 out: the depth's bits, which sort like depths; `HIDDEN` if not in the image.
        ranges: (threads, 2) uint32 out: least and greatest key that a thread saw.
    """
    counter[0] = 0
    count = sh.shape[1] // 3
    w = f32(width)
    h = f32(height)
    right = (w - cx) / fx + _MARGIN * f32(0.5) * w / fx
    left = -(cx / fx + _MARGIN * f32(0.5) * w / fx)
    bottom = (h - cy) / fy + _MARGIN * f32(0.5) * h / fy
    top = -(cy / fy + _MARGIN * f32(0.5) * h / fy)
    for worker in prange(ranges.shape[0]):
        least = HIDDEN
        greatest = np.uint32(0)
        while True:
            begin = fetch_add(counter, _CHUNK)
            if begin >= n:
                break
            for j in range(begin, min(begin + _CHUNK, n)):
                i = np.uintp(j)
                keys[i] = HIDDEN
                t = np.uintp(triangles[i])
                mx = local[i, 0]
                my = local[i, 1]
                mz = local[i, 2]
                z = frames[t, 8] * mx + frames[t, 9] * my + frames[t, 10] * mz + frames[t, 11]
                extent2 = local[i, 13]
                if not (z >= _NEAR) or not (extent2 >= f32(0)):
                    continue
                x = frames[t, 0] * mx + frames[t, 1] * my + frames[t, 2] * mz + frames[t, 3]
                y = frames[t, 4] * mx + frames[t, 5] * my + frames[t, 6] * mz + frames[t, 7]
                rz = f32(1) / z
                u = x * rz
                v = y * rz
                j00 = fx * rz
                j11 = fy * rz
                j02 = -j00 * min(max(u, left), right)
                j12 = -j11 * min(max(v, top), bottom)
                a00 = j00 * frames[t, 0] + j02 * frames[t, 8]
                a01 = j00 * frames[t, 1] + j02 * frames[t, 9]
                a02 = j00 * frames[t, 2] + j02 * frames[t, 10]
                a10 = j11 * frames[t, 4] + j12 * frames[t, 8]
                a11 = j11 * frames[t, 5] + j12 * frames[t, 9]
                a12 = j11 * frames[t, 6] + j12 * frames[t, 10]
                b00 = a00 * local[i, 3] + a01 * local[i, 6] + a02 * local[i, 9]
                b01 = a00 * local[i, 4] + a01 * local[i, 7] + a02 * local[i, 10]
                b02 = a00 * local[i, 5] + a01 * local[i, 8] + a02 * local[i, 11]
                b10 = a10 * local[i, 3] + a11 * local[i, 6] + a12 * local[i, 9]
                b11 = a10 * local[i, 4] + a11 * local[i, 7] + a12 * local[i, 10]
                b12 = a10 * local[i, 5] + a11 * local[i, 8] + a12 * local[i, 11]
                plain_xx = b00 * b00 + b01 * b01 + b02 * b02
                plain_yy = b10 * b10 + b11 * b11 + b12 * b12
                xx = plain_xx + _BLUR
                yy = plain_yy + _BLUR
                xy = b00 * b10 + b01 * b11 + b02 * b12
                rx = np.sqrt(extent2 * xx)
                ry = np.sqrt(extent2 * yy)
                px = fx * u + cx
                py = fy * v + cy
                x0 = max(np.ceil(px - rx - f32(0.5)), f32(0))
                x1 = min(np.floor(px + rx - f32(0.5)), w - f32(1))
                y0 = max(np.ceil(py - ry - f32(0.5)), f32(0))
                y1 = min(np.floor(py + ry - f32(0.5)), h - f32(1))
                if not (x0 <= x1) or not (y0 <= y1):  # between pixels, outside the image, or not a number
                    continue
                # Lagrange: det(B B') = |b0 x b1|^2, without the cancellation of xx yy - xy^2
                n0 = b01 * b12 - b02 * b11
                n1 = b02 * b10 - b00 * b12
                n2 = b00 * b11 - b01 * b10
                det = n0 * n0 + n1 * n1 + n2 * n2 + _BLUR * (plain_xx + plain_yy) + _BLUR * _BLUR
                inverse = f32(1) / (det * yy)
                tiles[i, 0] = np.int16(np.int32(x0) // TILE)
                tiles[i, 1] = np.int16(np.int32(x1) // TILE + 1)
                tiles[i, 2] = np.int16(np.int32(y0) // TILE)
                tiles[i, 3] = np.int16(np.int32(y1) // TILE + 1)
                splats[i, 0] = px
                splats[i, 1] = py
                splats[i, 2] = xy * (inverse * det)
                splats[i, 3] = _HALF_LOG2E * yy * (inverse * yy)
                splats[i, 4] = _HALF_LOG2E * (inverse * det)
                splats[i, 5] = local[i, 12]
                length = f32(1) / np.sqrt(x * x + y * y + z * z)
                dx = (world[0, 0] * x + world[0, 1] * y + world[0, 2] * z) * length
                dy = (world[1, 0] * x + world[1, 1] * y + world[1, 2] * z) * length
                dz = (world[2, 0] * x + world[2, 1] * y + world[2, 2] * z) * length
                splats[i, 6] = _sh_channel(sh, i, 0, count, dx, dy, dz)
                splats[i, 7] = _sh_channel(sh, i, 1, count, dx, dy, dz)
                splats[i, 8] = _sh_channel(sh, i, 2, count, dx, dy, dz)
                splats[i, 9] = rx
                splats[i, 10] = ry
                splats[i, 11] = rx * xy / xx
                narrow = f32(1) / xx
                splats[i, 12] = xy * narrow
                splats[i, 13] = extent2 * det * narrow
                splats[i, 14] = det * (narrow * narrow)
                key = f32(z).view(np.uint32)
                keys[i] = key
                least = min(least, key)
                greatest = max(greatest, key)
        ranges[worker, 0] = least
        ranges[worker, 1] = greatest
