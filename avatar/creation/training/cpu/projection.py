"""Raw Gaussians to what the projection reads, and ten sums for each back to the gradients of raw Gaussians.

Everything is in the frame of the Gaussian's triangle: that is where an avatar is trained. The triangle's own frame, the
camera's turn and its intrinsics get gradients too, where they are asked for.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.creation.training.cpu.harmonics import basis_of, slope_of
from avatar.render.compilation import inline, parallel_kernel
from avatar.render.cpu.projection import HIDDEN

__all__ = ["CAMERA", "pack", "project_backward"]

CAMERA = 13
"""Numbers of a camera that have gradients: its turn (3 x 3, camera to world, rows), fx, fy, cx, cy."""

f32 = np.float32
_LN2 = f32(0.6931471805599453)
_LOG2E = f32(1.4426950408889634)
_LN255 = f32(5.541263545158426)
_MAX_EXTENT2 = f32(3.33 * 3.33)
_MARGIN = f32(0.15)
_TWO = f32(2)
_ONE = f32(1)
_ZERO = f32(0)
_INVERSE_TAU = f32(0.15915494309189535)


@parallel_kernel
def pack(n, means, quats, log_scales, logit_opacities, sh, tint, fade, local, tinted, workers):
    """Raw parameters of the first `n` to `avatar.render.cpu.projection.LOCAL`; twin of `PackedGaussians.from_bound`.

    Args:
        tint, fade: (N, 3) and (N,), added to the harmonics of degree 0 and to the logit opacities; each may be empty.
        tinted: (N, 3 K) out: the harmonics with their tint; left alone if there is none.
    """
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            w = quats[i, 0]
            x = quats[i, 1]
            y = quats[i, 2]
            z = quats[i, 3]
            inverse = _ONE / np.sqrt(w * w + x * x + y * y + z * z)
            w *= inverse
            x *= inverse
            y *= inverse
            z *= inverse
            sx = np.exp(log_scales[i, 0])
            sy = np.exp(log_scales[i, 1])
            sz = np.exp(log_scales[i, 2])
            row = local[i]
            row[0] = means[i, 0]
            row[1] = means[i, 1]
            row[2] = means[i, 2]
            row[3] = (_ONE - _TWO * (y * y + z * z)) * sx
            row[4] = _TWO * (x * y - w * z) * sy
            row[5] = _TWO * (x * z + w * y) * sz
            row[6] = _TWO * (x * y + w * z) * sx
            row[7] = (_ONE - _TWO * (x * x + z * z)) * sy
            row[8] = _TWO * (y * z - w * x) * sz
            row[9] = _TWO * (x * z - w * y) * sx
            row[10] = _TWO * (y * z + w * x) * sy
            row[11] = (_ONE - _TWO * (x * x + y * y)) * sz
            logit = logit_opacities[i]
            if fade.size > 0:
                logit += fade[i]
            ln_opacity = -np.log1p(np.exp(-logit))
            row[12] = ln_opacity * _LOG2E
            row[13] = min(_MAX_EXTENT2, _TWO * (ln_opacity + _LN255))  # under 0: never drawn
            row[14] = _ZERO
            row[15] = _ZERO
            if tint.size > 0:
                for k in range(3):
                    tinted[i, k] = sh[i, k] + tint[i, k]
                for k in range(3, sh.shape[1]):
                    tinted[i, k] = sh[i, k]


@inline
def _turn_gradient(quats, i, g, out):
    """Gradient of a raw quaternion, from that of its rotation matrix `g`."""
    w = quats[i, 0]
    x = quats[i, 1]
    y = quats[i, 2]
    z = quats[i, 3]
    inverse = _ONE / np.sqrt(w * w + x * x + y * y + z * z)
    w *= inverse
    x *= inverse
    y *= inverse
    z *= inverse
    gw = _TWO * (x * (g[2, 1] - g[1, 2]) + y * (g[0, 2] - g[2, 0]) + z * (g[1, 0] - g[0, 1]))
    gx = y * (g[0, 1] + g[1, 0]) + z * (g[0, 2] + g[2, 0]) + w * (g[2, 1] - g[1, 2])
    gx = _TWO * (gx - _TWO * x * (g[1, 1] + g[2, 2]))
    gy = x * (g[0, 1] + g[1, 0]) + z * (g[1, 2] + g[2, 1]) + w * (g[0, 2] - g[2, 0])
    gy = _TWO * (gy - _TWO * y * (g[0, 0] + g[2, 2]))
    gz = x * (g[0, 2] + g[2, 0]) + y * (g[1, 2] + g[2, 1]) + w * (g[1, 0] - g[0, 1])
    gz = _TWO * (gz - _TWO * z * (g[0, 0] + g[1, 1]))
    along = gw * w + gx * x + gy * y + gz * z  # what would only change its length
    out[i, 0] = (gw - along * w) * inverse
    out[i, 1] = (gx - along * x) * inverse
    out[i, 2] = (gy - along * y) * inverse
    out[i, 3] = (gz - along * z) * inverse


@parallel_kernel
def project_backward(
    n, local, quats, triangles, frames, sh, world, fx, fy, cx, cy, width, height, keys, splats, sums, with_frames,
    d_means, d_quats, d_log_scales, d_logit_opacities, d_sh, d_frames, d_camera, weights, peaks, pulls,
):  # fmt: skip
    """Gradients of the first `n` Gaussians; clears the sums for the next picture.

    Args:
        local, triangles, frames, sh, world, fx to height, keys, splats: as given to and left by `project`.
        quats: (N, 4), raw.
        sums: (threads, N, SUMS), see `avatar.creation.training.cpu.blending.SUMS`.
        with_frames: whether to add to `d_frames` and `d_camera`.
        d_means, d_quats, d_log_scales, d_logit_opacities, d_sh: out, in the shapes of the parameters.
        d_frames: (threads, F, 12), added to.
        d_camera: (threads, CAMERA) float64, added to.
        weights: (N,) out: the sum over pixels of opacity times transmittance, 0 for what was not seen.
        peaks: (N,) out: that sum over the area of the ellipse: about the greatest share in a pixel.
        pulls: (N,) out: the length of the gradient by the mean in the picture, per pixel.
    """
    workers = sums.shape[0]
    count = sh.shape[1] // 3
    w = f32(width)
    h = f32(height)
    right = (w - cx) / fx + _MARGIN * w / fx
    left = -(cx / fx + _MARGIN * w / fx)
    bottom = (h - cy) / fy + _MARGIN * h / fy
    top = -(cy / fy + _MARGIN * h / fy)
    for worker in prange(workers):
        total = np.empty(10, np.float32)
        basis = np.zeros(16, np.float32)
        tone = np.empty(3, np.float32)
        mixed = np.zeros(16, np.float32)
        gm = np.empty((3, 3), np.float32)
        mine = d_frames[worker]
        camera = d_camera[worker]
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            d_means[i, :] = _ZERO
            d_quats[i, :] = _ZERO
            d_log_scales[i, :] = _ZERO
            d_logit_opacities[i] = _ZERO
            d_sh[i, :] = _ZERO
            weights[i] = _ZERO
            peaks[i] = _ZERO
            pulls[i] = _ZERO
            if keys[i] == HIDDEN:
                continue
            total[:] = _ZERO
            for j in range(workers):
                for k in range(10):
                    total[k] += sums[j, i, k]
                sums[j, i, :] = _ZERO
            if not total[9] > _ZERO:
                continue
            weights[i] = total[9]

            # The forward pass once more
            t = np.int64(triangles[i])
            f = frames[t]
            q = local[i]
            x = f[0] * q[0] + f[1] * q[1] + f[2] * q[2] + f[3]
            y = f[4] * q[0] + f[5] * q[1] + f[6] * q[2] + f[7]
            z = f[8] * q[0] + f[9] * q[1] + f[10] * q[2] + f[11]
            rz = _ONE / z
            u = x * rz
            v = y * rz
            uc = min(max(u, left), right)
            vc = min(max(v, top), bottom)
            j00 = fx * rz
            j11 = fy * rz
            j02 = -j00 * uc
            j12 = -j11 * vc
            a00 = j00 * f[0] + j02 * f[8]
            a01 = j00 * f[1] + j02 * f[9]
            a02 = j00 * f[2] + j02 * f[10]
            a10 = j11 * f[4] + j12 * f[8]
            a11 = j11 * f[5] + j12 * f[9]
            a12 = j11 * f[6] + j12 * f[10]
            b00 = a00 * q[3] + a01 * q[6] + a02 * q[9]
            b01 = a00 * q[4] + a01 * q[7] + a02 * q[10]
            b02 = a00 * q[5] + a01 * q[8] + a02 * q[11]
            b10 = a10 * q[3] + a11 * q[6] + a12 * q[9]
            b11 = a10 * q[4] + a11 * q[7] + a12 * q[10]
            b12 = a10 * q[5] + a11 * q[8] + a12 * q[11]

            # ln alpha = ln opacity - (a u^2 + k dy^2) / 2: to the mean in the picture and twice the 2D covariance
            slope = splats[i, 2]
            a = -_TWO * _LN2 * splats[i, 3]
            k = -_TWO * _LN2 * splats[i, 4]
            g_px = a * total[1]
            g_py = k * total[4] - slope * g_px
            pulls[i] = np.sqrt(g_px * g_px + g_py * g_py)
            peaks[i] = total[9] * np.sqrt(a * k) * _INVERSE_TAU
            gxx = a * a * total[2]
            cross = a * k * total[3]
            gxy = cross - slope * gxx
            gyy = k * k * total[5] - _TWO * slope * cross + slope * slope * gxx
            # covariance = B B' + blur, B = (J F) (R S)
            g00 = gxx * b00 + gxy * b10
            g01 = gxx * b01 + gxy * b11
            g02 = gxx * b02 + gxy * b12
            g10 = gxy * b00 + gyy * b10
            g11 = gxy * b01 + gyy * b11
            g12 = gxy * b02 + gyy * b12
            gm[0, 0] = a00 * g00 + a10 * g10
            gm[0, 1] = a00 * g01 + a10 * g11
            gm[0, 2] = a00 * g02 + a10 * g12
            gm[1, 0] = a01 * g00 + a11 * g10
            gm[1, 1] = a01 * g01 + a11 * g11
            gm[1, 2] = a01 * g02 + a11 * g12
            gm[2, 0] = a02 * g00 + a12 * g10
            gm[2, 1] = a02 * g01 + a12 * g11
            gm[2, 2] = a02 * g02 + a12 * g12
            e00 = g00 * q[3] + g01 * q[4] + g02 * q[5]
            e01 = g00 * q[6] + g01 * q[7] + g02 * q[8]
            e02 = g00 * q[9] + g01 * q[10] + g02 * q[11]
            e10 = g10 * q[3] + g11 * q[4] + g12 * q[5]
            e11 = g10 * q[6] + g11 * q[7] + g12 * q[8]
            e12 = g10 * q[9] + g11 * q[10] + g12 * q[11]
            # J, and with it the mean in the camera
            g_j00 = e00 * f[0] + e01 * f[1] + e02 * f[2]
            g_j02 = e00 * f[8] + e01 * f[9] + e02 * f[10]
            g_j11 = e10 * f[4] + e11 * f[5] + e12 * f[6]
            g_j12 = e10 * f[8] + e11 * f[9] + e12 * f[10]
            g_uc = -j00 * g_j02
            g_vc = -j11 * g_j12
            g_u = fx * g_px
            g_v = fy * g_py
            if uc == u:
                g_u += g_uc
            if vc == v:
                g_v += g_vc
            g_rz = fx * (g_j00 - uc * g_j02) + fy * (g_j11 - vc * g_j12) + g_u * x + g_v * y
            g_x = g_u * rz
            g_y = g_v * rz
            g_z = -g_rz * rz * rz

            # Color, and through its direction the mean
            length = _ONE / np.sqrt(x * x + y * y + z * z)
            nx = x * length
            ny = y * length
            nz = z * length
            dx = world[0, 0] * nx + world[0, 1] * ny + world[0, 2] * nz
            dy = world[1, 0] * nx + world[1, 1] * ny + world[1, 2] * nz
            dz = world[2, 0] * nx + world[2, 1] * ny + world[2, 2] * nz
            for c in range(3):
                tone[c] = total[6 + c] if splats[i, 6 + c] > _ZERO else _ZERO
            basis_of(count, dx, dy, dz, basis)
            for m in range(count):
                for c in range(3):
                    d_sh[i, 3 * m + c] = basis[m] * tone[c]
            vx = _ZERO
            vy = _ZERO
            vz = _ZERO
            if count > 1:
                for m in range(1, count):
                    mixed[m] = tone[0] * sh[i, 3 * m] + tone[1] * sh[i, 3 * m + 1] + tone[2] * sh[i, 3 * m + 2]
                vx, vy, vz = slope_of(count, dx, dy, dz, mixed)
                px = world[0, 0] * vx + world[1, 0] * vy + world[2, 0] * vz
                py = world[0, 1] * vx + world[1, 1] * vy + world[2, 1] * vz
                pz = world[0, 2] * vx + world[1, 2] * vy + world[2, 2] * vz
                along = px * nx + py * ny + pz * nz
                g_x += (px - along * nx) * length
                g_y += (py - along * ny) * length
                g_z += (pz - along * nz) * length
            for j in range(3):
                d_means[i, j] = f[j] * g_x + f[4 + j] * g_y + f[8 + j] * g_z
            if with_frames:
                g = mine[t]
                g[0] += g_x * q[0] + j00 * e00
                g[1] += g_x * q[1] + j00 * e01
                g[2] += g_x * q[2] + j00 * e02
                g[3] += g_x
                g[4] += g_y * q[0] + j11 * e10
                g[5] += g_y * q[1] + j11 * e11
                g[6] += g_y * q[2] + j11 * e12
                g[7] += g_y
                g[8] += g_z * q[0] + j02 * e00 + j12 * e10
                g[9] += g_z * q[1] + j02 * e01 + j12 * e11
                g[10] += g_z * q[2] + j02 * e02 + j12 * e12
                g[11] += g_z
                camera[0] += vx * nx
                camera[1] += vx * ny
                camera[2] += vx * nz
                camera[3] += vy * nx
                camera[4] += vy * ny
                camera[5] += vy * nz
                camera[6] += vz * nx
                camera[7] += vz * ny
                camera[8] += vz * nz
                camera[9] += g_px * u + rz * (g_j00 - uc * g_j02)
                camera[10] += g_py * v + rz * (g_j11 - vc * g_j12)
                camera[11] += g_px
                camera[12] += g_py
                if uc != u:  # the limit is (width - cx) / fx and the like
                    camera[9] -= g_uc * uc / fx
                    camera[11] -= g_uc / fx
                if vc != v:
                    camera[10] -= g_vc * vc / fy
                    camera[12] -= g_vc / fy

            # R S
            for m in range(3):
                d_log_scales[i, m] = gm[0, m] * q[3 + m] + gm[1, m] * q[6 + m] + gm[2, m] * q[9 + m]
                s = np.sqrt(q[3 + m] * q[3 + m] + q[6 + m] * q[6 + m] + q[9 + m] * q[9 + m])
                gm[0, m] *= s
                gm[1, m] *= s
                gm[2, m] *= s
            _turn_gradient(quats, i, gm, d_quats)
            d_logit_opacities[i] = total[0] * (_ONE - np.exp2(q[12]))
