"""Spherical harmonics and their slopes, degree 0 to 3, in the order and with the signs of 3D Gaussian splatting."""

from __future__ import annotations

import numpy as np

from avatar.render.compilation import inline

__all__ = ["basis_of", "slope_of"]

f32 = np.float32
_C0 = f32(0.28209479177387814)
_C1 = f32(0.4886025119029199)
_C2 = (f32(1.0925484305920792), f32(0.31539156525252005), f32(0.5462742152960396))
_C3 = (
    f32(0.5900435899266435), f32(2.890611442640554), f32(0.4570457994644658), f32(0.3731763325901154),
    f32(1.445305721320277),
)  # fmt: skip


@inline
def basis_of(count, x, y, z, out):
    """The first `count` harmonics in the unit direction (x, y, z) into `out`."""
    out[0] = _C0
    if count > 1:
        out[1] = -_C1 * y
        out[2] = _C1 * z
        out[3] = -_C1 * x
    if count > 4:
        xx = x * x
        yy = y * y
        zz = z * z
        out[4] = _C2[0] * x * y
        out[5] = -_C2[0] * y * z
        out[6] = _C2[1] * (f32(2) * zz - xx - yy)
        out[7] = -_C2[0] * x * z
        out[8] = _C2[2] * (xx - yy)
        if count > 9:
            far = f32(4) * zz - xx - yy
            out[9] = -_C3[0] * y * (f32(3) * xx - yy)
            out[10] = _C3[1] * x * y * z
            out[11] = -_C3[2] * y * far
            out[12] = _C3[3] * z * (f32(2) * zz - f32(3) * xx - f32(3) * yy)
            out[13] = -_C3[2] * x * far
            out[14] = _C3[4] * z * (xx - yy)
            out[15] = -_C3[0] * x * (xx - f32(3) * yy)


@inline
def slope_of(count, x, y, z, s):
    """The slope, by x, y and z, of the sum of harmonics weighted by `s`; harmonic 0 has none."""
    gx = f32(0)
    gy = f32(0)
    gz = f32(0)
    if count > 1:
        gx = -_C1 * s[3]
        gy = -_C1 * s[1]
        gz = _C1 * s[2]
    if count > 4:
        a = _C2[0] * s[4]
        b = _C2[0] * s[5]
        c = f32(2) * _C2[1] * s[6]
        d = _C2[0] * s[7]
        e = f32(2) * _C2[2] * s[8]
        gx += a * y - c * x - d * z + e * x
        gy += a * x - b * z - c * y - e * y
        gz += f32(2) * c * z - b * y - d * x
        if count > 9:
            xx = x * x
            yy = y * y
            zz = z * z
            a = _C3[0] * s[9]
            b = _C3[1] * s[10]
            c = _C3[2] * s[11]
            d = f32(3) * _C3[3] * s[12]
            e = _C3[2] * s[13]
            f = _C3[4] * s[14]
            g = _C3[0] * s[15]
            square = f32(3) * (xx - yy)
            gx += b * y * z + f32(2) * (c * x * y - d * x * z + f * x * z) - f32(6) * a * x * y
            gx -= e * (f32(4) * zz - f32(3) * xx - yy) + g * square
            gy += b * x * z + f32(2) * (e * x * y - d * y * z - f * y * z) + f32(6) * g * x * y
            gy -= c * (f32(4) * zz - xx - f32(3) * yy) + a * square
            gz += b * x * y + d * (f32(2) * zz - xx - yy) + f * (xx - yy) - f32(8) * z * (c * y + e * x)
    return gx, gy, gz
