"""The CPU backend."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.render.compilation import KERNELS
from avatar.render.cpu.gaussians import PackedGaussians, aligned
from avatar.render.cpu.rasterizer import Rasterizer
from avatar.render.expression import ExpressedColors
from avatar.render.posing import FastHead
from avatar.render.protocol import BUFFERS, Background, DrawsInMemory
from avatar.rig import Avatar

__all__ = ["CpuRenderer"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Prepared:
    head: FastHead
    gaussians: PackedGaussians
    colors: ExpressedColors | None
    plain: np.ndarray
    """Spherical harmonics of degree 0 without expression, (n, 3)."""


class CpuRenderer(DrawsInMemory):
    """Tile-based splatting on all cores (numba). Works everywhere; any thread may call it, one at a time."""

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        """Compile, or load what an earlier run compiled: seconds the first time, a fraction of one later.

        Args:
            threads: how many to use; all cores by default.
        """
        super().__init__()
        self._rasterizer = Rasterizer(threads)
        self.device = f"{self.threads} threads"
        self._prepared: WeakKeyDictionary[Avatar, _Prepared] = WeakKeyDictionary()
        self._ring: list[np.ndarray] = []
        self._next = 0
        started = time.perf_counter()
        one = torch.ones(1, 3)
        cloud = GaussianCloud(one, torch.ones(1, 4), 0.01 * one, torch.ones(1), torch.ones(1, 1, 3))
        self.render(cloud, Camera.orbit(16, 16))
        _log.info("CPU renderer ready on %d threads in %.1f s", self.threads, time.perf_counter() - started)

    @property
    def threads(self) -> int:
        return self._rasterizer.threads

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw a cloud: premultiplied RGBA, opaque where a background is given. A new array each time."""
        image = np.empty((camera.height, camera.width, 4), np.float32)
        pixels = aligned((camera.height, camera.width, 4), np.uint8)
        view = np.ascontiguousarray(camera.viewmat[:3]).reshape(1, 12)
        packed = PackedGaussians.from_cloud(cloud)
        self._rasterizer.rasterize(packed, len(packed), view, camera, background, pixels, image)
        return image

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Pose an avatar and draw it: premultiplied BGRA. See `Renderer.draw` for how long the array is yours."""
        with KERNELS:
            started = time.perf_counter()
            prepared = self._prepare(avatar)
            frames = prepared.head.frames(params, camera.viewmat[:3])
            total = len(prepared.gaussians)
            count = total if max_gaussians is None else max(0, min(max_gaussians, total))
            if prepared.colors is not None and prepared.colors.express(params, count):
                prepared.gaussians.recolor(prepared.plain, prepared.colors, count)
            pixels = self._buffer(camera.height, camera.width)
            posed = time.perf_counter()
            self._rasterizer.rasterize(prepared.gaussians, count, frames, camera, background, pixels)
            self.stages_ms = {"posing": (posed - started) * 1e3, **self._rasterizer.stages_ms}
            return pixels

    def close(self) -> None:
        self._ring.clear()
        self._prepared.clear()

    def _prepare(self, avatar: Avatar) -> _Prepared:
        prepared = self._prepared.get(avatar)
        if prepared is None:
            offset = None if avatar.static_offset is None else avatar.static_offset.cpu().numpy()
            packed = PackedGaussians.from_bound(avatar.gaussians)
            colors = None if avatar.appearance is None else ExpressedColors(avatar)
            prepared = _Prepared(FastHead(avatar.head, offset), packed, colors, packed.sh[:, :3].copy())
            self._prepared[avatar] = prepared
        return prepared

    def _buffer(self, height: int, width: int) -> np.ndarray:
        """The next picture of the ring. Those of another size stay with whoever still holds them."""
        if not self._ring or self._ring[0].shape[:2] != (height, width):
            self._ring = [aligned((height, width, 4), np.uint8) for _ in range(BUFFERS)]
        self._next = (self._next + 1) % BUFFERS
        return self._ring[self._next]
