"""The exact renderer: float64, one Gaussian after another. Slow; every other backend is tested against it.

Reference: Kerbl et al., "3D Gaussian Splatting", 2023, section 4; projection and constants as in gsplat 1.5.3
(`rasterization(..., rasterize_mode="classic")`), which all backends share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.render.protocol import Background, DrawsInMemory, to_bgra
from avatar.rig import Avatar

__all__ = [
    "ALPHA_MAX",
    "ALPHA_MIN",
    "BLUR",
    "MAX_EXTENT",
    "NEAR_M",
    "TRANSMITTANCE_MIN",
    "Projection",
    "ReferenceRenderer",
    "project",
    "sh_basis",
]

BLUR = 0.3
"""Added to both variances in the image, pixels squared: no Gaussian is thinner than a pixel or so."""
NEAR_M = 0.01
"""Gaussians nearer than this to the camera's plane are not drawn."""
ALPHA_MIN = 1 / 255
"""Contributions below this are skipped."""
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4
"""A pixel is finished before the Gaussian that would take its transmittance to this or below."""
MAX_EXTENT = 3.33
"""Gaussians end at this many standard deviations at most."""
_FRUSTUM_MARGIN = 0.3
"""The projection is linearised no further out than this share of the half field of view beyond the image's edge."""


@dataclass(frozen=True, eq=False)
class Projection:
    """What the camera sees of each visible Gaussian, nearest first."""

    index: Int[np.ndarray, " m"]
    """Which Gaussian of the cloud."""
    means2d: Float[np.ndarray, "m 2"]
    """Pixels."""
    depths: Float[np.ndarray, " m"]
    """Metres along the optical axis."""
    conics: Float[np.ndarray, "m 3"]
    """Inverse 2D covariance: xx, xy, yy."""
    radii: Float[np.ndarray, "m 2"]
    """Half size of the bounding box, pixels."""
    opacities: Float[np.ndarray, " m"]
    colors: Float[np.ndarray, "m 3"]


def sh_basis(directions: Float[np.ndarray, "n 3"], count: int) -> Float[np.ndarray, "n count"]:
    """Real spherical harmonics of unit directions, with the signs and order of 3D Gaussian splatting.

    Args:
        count: how many: 1, 4, 9 or 16 (degree 0 to 3).
    """
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        np.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return np.stack(basis[:count], -1)


def _rotations(quats: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 3 3"]:
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def project(cloud: GaussianCloud, camera: Camera) -> Projection:
    """Project a cloud into an image, in float64."""
    means, quats, scales, opacities, sh = (
        getattr(cloud, name).detach().cpu().numpy().astype(np.float64)
        for name in ("means", "quats", "scales", "opacities", "sh")
    )
    rotation, translation = camera.viewmat[:3, :3].astype(np.float64), camera.viewmat[:3, 3].astype(np.float64)
    in_camera = means @ rotation.T + translation
    kept = np.flatnonzero((in_camera[:, 2] >= NEAR_M) & (opacities >= ALPHA_MIN))
    x, y, z = in_camera[kept].T
    (fx, _, cx), (_, fy, cy), _ = camera.K.astype(np.float64)

    margin_x = _FRUSTUM_MARGIN * 0.5 * camera.width / fx
    margin_y = _FRUSTUM_MARGIN * 0.5 * camera.height / fy
    u = np.clip(x / z, -cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
    v = np.clip(y / z, -cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
    jacobian = np.zeros((len(kept), 2, 3))
    jacobian[:, 0, 0], jacobian[:, 0, 2] = fx / z, -fx * u / z
    jacobian[:, 1, 1], jacobian[:, 1, 2] = fy / z, -fy * v / z
    half = jacobian @ rotation @ (_rotations(quats[kept]) * scales[kept, None, :])
    covariance = half @ half.transpose(0, 2, 1) + BLUR * np.eye(2)
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    determinant = xx * yy - xy * xy

    means2d = np.stack([fx * x / z + cx, fy * y / z + cy], -1)
    extent = np.minimum(MAX_EXTENT, np.sqrt(2 * np.log(opacities[kept] / ALPHA_MIN)))
    radii = np.ceil(extent[:, None] * np.sqrt(np.stack([xx, yy], -1)))
    inside = ((means2d + radii > 0) & (means2d - radii < (camera.width, camera.height))).all(1)
    directions = means[kept] + rotation.T @ translation  # mean minus the camera's centre
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colors = np.maximum(np.einsum("nkc,nk->nc", sh[kept], sh_basis(directions, sh.shape[1])) + 0.5, 0)
    order = np.argsort(z, kind="stable")
    order = order[inside[order] & (determinant[order] > 0)]
    return Projection(
        kept[order],
        means2d[order],
        z[order],
        (np.stack([yy, -xy, xx], -1) / determinant[:, None])[order],
        radii[order],
        opacities[kept][order],
        colors[order],
    )


class ReferenceRenderer(DrawsInMemory):
    """Front-to-back compositing in float64, the definition of what every backend draws."""

    name = "reference"
    device = "numpy, float64"

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        return self.render_exact(cloud, camera, background).astype(np.float32)

    def render_exact(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float[np.ndarray, "h w 4"]:
        """Premultiplied RGBA in float64; opaque where a background is given."""
        seen = project(cloud, camera)
        color = np.zeros((camera.height, camera.width, 3))
        transmittance = np.ones((camera.height, camera.width))
        finished = np.zeros((camera.height, camera.width), bool)
        low = np.maximum(np.floor(seen.means2d - seen.radii), 0).astype(int)
        high = np.ceil(seen.means2d + seen.radii).astype(int) + 1
        for (x0, y0), (x1, y1), (mx, my), (a, b, c), opacity, rgb in zip(
            low, high, seen.means2d, seen.conics, seen.opacities, seen.colors, strict=True
        ):
            box = np.s_[y0:y1, x0:x1]
            t = transmittance[box]
            dx = np.arange(x0, x0 + t.shape[1]) + 0.5 - mx
            dy = (np.arange(y0, y0 + t.shape[0]) + 0.5 - my)[:, None]
            alpha = np.minimum(ALPHA_MAX, opacity * np.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy))
            alpha[alpha < ALPHA_MIN] = 0
            finished[box] |= (alpha > 0) & (t * (1 - alpha) <= TRANSMITTANCE_MIN)
            weight = np.where(finished[box], 0, alpha * t)
            color[box] += weight[..., None] * rgb
            transmittance[box] = t - weight
        if background is None:
            return np.dstack([color, 1 - transmittance])
        color += transmittance[..., None] * np.asarray(background, np.float64)
        return np.dstack([color, np.ones_like(transmittance)])

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        return to_bgra(self.render_exact(avatar.pose(params, max_gaussians), camera, background))

    def close(self) -> None:
        """Nothing is held."""
