"""The CPU renderer with a way back: pictures of raw Gaussians, and gradients of what they were made of."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float32, Float64, Int32

from avatar.camera import Camera
from avatar.creation.training.cpu.blending import BACK_TILE_FLOATS, SUMS
from avatar.creation.training.cpu.compositing import composite_backward
from avatar.creation.training.cpu.projection import CAMERA, pack, project_backward
from avatar.creation.training.cpu.recycled import Recycled
from avatar.render.compilation import KERNELS
from avatar.render.cpu.gaussians import PackedGaussians, aligned
from avatar.render.cpu.projection import LOCAL
from avatar.render.cpu.rasterizer import Rasterizer

__all__ = ["Gradients", "RawGaussians", "TracedRasterizer"]

f32 = np.float32
_NO_TINT = np.zeros((0, 3), np.float32)
_NO_FADE = np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class RawGaussians:
    """Arrays of bound Gaussians, C-contiguous; see `avatar.binding.BoundGaussians`."""

    means: Float32[np.ndarray, "n 3"]
    quats: Float32[np.ndarray, "n 4"]
    log_scales: Float32[np.ndarray, "n 3"]
    logit_opacities: Float32[np.ndarray, " n"]
    sh: Float32[np.ndarray, "n k*3"]
    triangles: Int32[np.ndarray, " n"]
    tint: Float32[np.ndarray, "n 3"] | None = None
    """Added to the harmonics of degree 0: has their gradient."""
    fade: Float32[np.ndarray, " n"] | None = None
    """Added to the logit opacities: has their gradient."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """Of a loss by what a picture was made of, in the shapes of `RawGaussians`; 0 for Gaussians that were not drawn."""

    means: Float32[np.ndarray, "n 3"]
    quats: Float32[np.ndarray, "n 4"]
    log_scales: Float32[np.ndarray, "n 3"]
    logit_opacities: Float32[np.ndarray, " n"]
    sh: Float32[np.ndarray, "n k*3"]
    frames: Float32[np.ndarray, "f 12"] | None
    camera: Float64[np.ndarray, "13"] | None
    """The camera's turn (camera to world, 3 x 3, rows), fx, fy, cx, cy."""


class TracedRasterizer:
    """Draws raw Gaussians and takes gradients of the last picture back to them. One thread at a time.

    The shipped kernels draw; going back, each tile is walked front to back a second time with the same stop rules, so
    that only the picture and the lists of the tiles have to be kept. Repeatable bit by bit for one number of threads.
    """

    def __init__(self, threads: int | None = None) -> None:
        """
        Args:
            threads: how many to use; all cores by default.
        """
        self._rasterizer = Rasterizer(threads)
        self.threads = self._rasterizer.threads
        self.drawn = 0
        """Pictures so far: only the last can be taken back."""
        self._scratch = aligned((self.threads, BACK_TILE_FLOATS), np.float32)
        self._local = aligned((0, LOCAL), np.float32)
        self._sums = aligned((self.threads, 0, SUMS), np.float32)
        self._tinted = aligned((0, 3), np.float32)
        self._pixels = aligned((0, 0, 4), np.uint8)
        self._images, self._gradients = Recycled(), Recycled()
        self.weights: Float32[np.ndarray, " n"] = np.zeros(0, np.float32)
        """Opacity times transmittance of each Gaussian of the last picture, summed over pixels; 0 if it was not seen.

        Known after `backward`.
        """
        self.peaks: Float32[np.ndarray, " n"] = np.zeros(0, np.float32)
        """The same over the area of each ellipse; known after `backward`."""
        self.pulls: Float32[np.ndarray, " n"] = np.zeros(0, np.float32)
        """Length of the gradient by a Gaussian's place in the picture, per pixel; known after `backward`."""

    def forward(
        self, gaussians: RawGaussians, count: int, frames: Float32[np.ndarray, "f 12"], camera: Camera
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw the first `count`: premultiplied RGBA over nothing.

        Args:
            frames: from each triangle's frame to the camera's, 3 x 4, rows.
        """
        n = len(gaussians.means)
        if len(self._local) != n:
            self._local = aligned((n, LOCAL), np.float32)
            self._sums = aligned((self.threads, n, SUMS), np.float32)
            self._sums[:] = 0
            self.weights, self.peaks, self.pulls = (np.zeros(n, np.float32) for _ in range(3))
        self.drawn += 1
        image = self._images.take((camera.height, camera.width, 4))
        if self._pixels.shape != image.shape:
            self._pixels = aligned(image.shape, np.uint8)
        with KERNELS:
            numba.set_num_threads(self.threads)
            g = gaussians
            tint, fade = _NO_TINT if g.tint is None else g.tint, _NO_FADE if g.fade is None else g.fade
            if g.tint is not None and self._tinted.shape != g.sh.shape:
                self._tinted = aligned(g.sh.shape, np.float32)
            pack(
                count, g.means, g.quats, g.log_scales, g.logit_opacities, g.sh, tint, fade, self._local, self._tinted,
                self.threads,
            )  # fmt: skip
            packed = PackedGaussians(self._local, g.triangles, g.sh if g.tint is None else self._tinted)
            self._rasterizer.rasterize(packed, count, frames, camera, None, self._pixels, image)
        return image

    def backward(
        self,
        gradient: Float32[np.ndarray, "h w 4"],
        image: Float32[np.ndarray, "h w 4"],
        gaussians: RawGaussians,
        count: int,
        frames: Float32[np.ndarray, "f 12"],
        camera: Camera,
        with_frames: bool,
    ) -> Gradients:
        """Take the loss's gradient by the picture that `forward` just drew back to the same arguments.

        Args:
            with_frames: whether frames and camera are to get gradients too.
        """
        g, n, traces = gaussians, len(gaussians.means), self._rasterizer.traces()
        kinds = (g.means, g.quats, g.log_scales, g.logit_opacities, g.sh)
        made = [self._gradients.take(a.shape) for a in kinds]
        for array in made:
            array[count:] = 0
        for array in (self.weights, self.peaks, self.pulls):
            array[count:] = 0
        d_frames = np.zeros((self.threads, len(frames) if with_frames else 1, 12), np.float32)
        d_camera = np.zeros((self.threads, CAMERA), np.float64)
        K = camera.K
        with KERNELS:
            numba.set_num_threads(self.threads)
            composite_backward(
                traces.starts, traces.capacity, traces.ids, traces.splats, image, gradient, self._scratch, self._sums
            )
            project_backward(
                count, self._local, g.quats, g.triangles, frames, g.sh, np.ascontiguousarray(camera.viewmat[:3, :3].T),
                K[0, 0], K[1, 1], K[0, 2], K[1, 2], camera.width, camera.height,
                traces.keys, traces.splats, self._sums, with_frames, *made, d_frames, d_camera,
                self.weights, self.peaks, self.pulls,
            )  # fmt: skip
        assert len(made[0]) == n
        return Gradients(*made, *((d_frames.sum(0), d_camera.sum(0)) if with_frames else (None, None)))
