"""The OpenGL backend without a window."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.render.cpu.gaussians import PackedGaussians
from avatar.render.opengl.context import OffscreenContext, is_software
from avatar.render.opengl.painter import SplatPainter
from avatar.render.protocol import BUFFERS, Background, DrawsInMemory, RendererUnavailableError
from avatar.rig import Avatar
from shaders import ShaderError

__all__ = ["OpenGLRenderer"]


class OpenGLRenderer(DrawsInMemory):
    """Draws off screen and reads the picture back, on a thread of its own. Any thread may call it.

    To draw in a window without reading back, see `WindowPainter`.
    What the driver complains of while drawing is raised as RendererUnavailableError.
    """

    name = "opengl"

    def __init__(self) -> None:
        """
        Raises:
            RendererUnavailableError: if there is no OpenGL 3.3, or the driver refuses the shaders.
        """
        super().__init__()
        self._context = OffscreenContext()
        self.device = self._context.device
        """Who made the driver, and what it draws with."""
        self.is_software = is_software(self.device)
        """Whether it runs on the CPU after all."""
        self._lock = threading.Lock()
        self._closed = False
        self._ring: list[np.ndarray] = []
        self._next = 0
        self._texture: Any = None
        self._target: Any = None
        try:
            self._painter = self._context.run(lambda: SplatPainter(self._context.gl))
        except ShaderError as error:
            self._context.close()
            raise RendererUnavailableError(str(error)) from error

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw a cloud: premultiplied RGBA, opaque where a background is given. A new array each time."""
        with self._lock:
            image = self._context.run(lambda: self._rendered(cloud, camera))
        if background is not None:
            image += (1 - image[..., 3:]) * np.array([*background, 1], np.float32)
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
        with self._lock:
            return self._context.run(lambda: self._drawn(avatar, params, camera, background, max_gaussians))

    def _rendered(self, cloud: GaussianCloud, camera: Camera) -> Float32[np.ndarray, "h w 4"]:
        image = self._painter.render_cloud(PackedGaussians.from_cloud(cloud), camera)
        self._context.check()
        return image

    def _drawn(
        self, avatar: Avatar, params: FlameParams, camera: Camera, background: Background, max_gaussians: int | None
    ) -> UInt8[np.ndarray, "h w 4"]:
        size = (camera.width, camera.height)
        if self._texture is None or self._texture.size != size:
            self._release_target()
            self._texture = self._context.gl.texture(size, 4)
            self._target = self._context.gl.framebuffer([self._texture])
            self._ring = [np.empty((camera.height, camera.width, 4), np.uint8) for _ in range(BUFFERS)]
        with self._context.timer:
            self._painter.paint(self._target, avatar, params, camera, background, max_gaussians, bgra=True)
        self._next = (self._next + 1) % BUFFERS
        pixels = self._ring[self._next]
        started = time.perf_counter()
        self._target.read_into(pixels, components=4, alignment=1)
        self._context.check()
        reading_ms = (time.perf_counter() - started) * 1e3
        drawing_ms = min(reading_ms, self._context.timer.elapsed / 1e6)  # reading begins with waiting for the GPU
        stages = dict(self._painter.stages_ms)
        stages["raster"] += drawing_ms
        self.stages_ms = {**stages, "download": reading_ms - drawing_ms}
        return pixels

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._context.run(self._release)
            self._context.close()

    def _release(self) -> None:
        self._painter.release()
        self._release_target()

    def _release_target(self) -> None:
        if self._texture is not None:
            self._target.release()
            self._texture.release()
        self._texture = self._target = None
