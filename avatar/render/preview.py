"""Pictures without any compiled code: small, slow, and there at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.render.protocol import Background, DrawsInMemory, to_bgra
from avatar.render.reference import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN, Projection, project
from avatar.rig import Avatar

__all__ = ["PreviewRenderer"]

_MOST_PIXELS = 128 * 128
_MOST_FRAGMENTS = 2_500_000
_MOST_GAUSSIANS = 45_000


class PreviewRenderer(DrawsInMemory):
    """Draws with numpy alone, for as long as the CPU renderer is being compiled.

    All pixels of all Gaussians are listed at once, sorted by pixel, and composed by cumulated sums: the same picture as
    of the other backends, at a tenth of their speed, hence drawn small and enlarged.
    """

    name = "cpu"
    device = "numpy, as a preview"

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw a cloud in full size: premultiplied RGBA, opaque where a background is given."""
        return _composed(project(cloud, camera), camera, background)

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """See `Renderer.draw`."""
        scale = min(1.0, (_MOST_PIXELS / (camera.width * camera.height)) ** 0.5)
        cloud = avatar.pose(params, min(max_gaussians or _MOST_GAUSSIANS, _MOST_GAUSSIANS))
        while True:
            small = _smaller(camera, scale)
            seen = project(cloud, small)
            if _boxes(seen, small)[2].sum() <= _MOST_FRAGMENTS or min(small.width, small.height) < 32:
                break
            scale /= 2  # an avatar of a few huge Gaussians
        image = to_bgra(_composed(seen, small, background))
        if image.shape[:2] == (camera.height, camera.width):
            return image
        size = (camera.width, camera.height)
        return np.array(Image.fromarray(image, "RGBA").resize(size, Image.Resampling.BICUBIC))

    def close(self) -> None:
        """Nothing is held."""


def _smaller(camera: Camera, scale: float) -> Camera:
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    K = camera.K.copy()
    K[0] *= width / camera.width
    K[1] *= height / camera.height
    return replace(camera, K=K, width=width, height=height)


def _boxes(seen: Projection, camera: Camera) -> tuple[Int64[np.ndarray, "m 2"], Int64[np.ndarray, "m 2"], np.ndarray]:
    """The first pixel, the size, and the number of pixels of each Gaussian's box, within the image."""
    size = np.array([camera.width, camera.height])
    low = np.clip(np.floor(seen.means2d - seen.radii), 0, size).astype(np.int64)
    high = np.clip(np.ceil(seen.means2d + seen.radii) + 1, 0, size).astype(np.int64)
    extent = np.maximum(high - low, 0)
    return low, extent, extent.prod(1)


def _composed(seen: Projection, camera: Camera, background: Background) -> Float32[np.ndarray, "h w 4"]:
    """Front to back, all pixels at once."""
    low, extent, counts = _boxes(seen, camera)
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    y, x = np.divmod(place, np.maximum(extent[owner, 0], 1))
    x, y = x + low[owner, 0], y + low[owner, 1]
    dx = (x + 0.5 - seen.means2d[owner, 0]).astype(np.float32)
    dy = (y + 0.5 - seen.means2d[owner, 1]).astype(np.float32)
    a, b, c = seen.conics.astype(np.float32)[owner].T
    alpha = seen.opacities.astype(np.float32)[owner] * np.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    kept = np.flatnonzero(alpha >= ALPHA_MIN)
    pixel = (y * camera.width + x)[kept].astype(np.int32)
    order = np.argsort(pixel, kind="stable")  # the Gaussians come nearest first: within a pixel they stay so
    kept, pixel = kept[order], pixel[order]
    alpha = np.minimum(alpha[kept], ALPHA_MAX).astype(np.float64)

    passed = np.cumsum(np.log1p(-alpha))
    first = np.flatnonzero(np.diff(pixel, prepend=-1))
    before = np.repeat(passed[first] - np.log1p(-alpha[first]), np.diff(first, append=len(pixel)))
    after = np.exp(passed - before)  # transmittance behind each
    weight = np.where(after > TRANSMITTANCE_MIN, alpha * after / (1 - alpha), 0.0)

    image = np.zeros((camera.height * camera.width, 4))
    colors = seen.colors[owner[kept]]
    for channel in range(3):
        image[:, channel] = np.bincount(pixel, weight * colors[:, channel], len(image))
    image[:, 3] = np.bincount(pixel, weight, len(image))
    if background is not None:
        image[:, :3] += (1 - image[:, 3:]) * np.asarray(background)
        image[:, 3] = 1.0
    return image.reshape(camera.height, camera.width, 4).astype(np.float32)
