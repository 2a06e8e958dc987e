"""The stages of the CPU renderer in their order, and the arrays between them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float32, Int32, UInt8, UInt32

from avatar.camera import Camera
from avatar.render.compilation import KERNELS
from avatar.render.cpu.binning import bin_tiles
from avatar.render.cpu.compositing import composite
from avatar.render.cpu.gaussians import PackedGaussians, aligned
from avatar.render.cpu.projection import SPLAT, project
from avatar.render.cpu.simd import TILE, TILE_FLOATS
from avatar.render.cpu.sorting import BUCKETS, sort

__all__ = ["Rasterizer", "Traces"]

_log = logging.getLogger(__name__)
_CHUNKS_PER_THREAD = 4
_GAUSSIANS_PER_THREAD = 2000  # with fewer, another thread costs more than it brings
_NO_IMAGE = np.empty((0, 0, 4), np.float32)


@dataclass
class _PerGaussian:
    """Scratch that grows with the number of Gaussians."""

    capacity: int

    def __post_init__(self) -> None:
        n = self.capacity
        self.splats = aligned((n, SPLAT), np.float32)
        self.tiles = aligned((n, 4), np.int16)
        self.keys, self.codes, self.codes2 = (aligned((n,), np.uint32) for _ in range(3))
        self.shown, self.half_sorted, self.order = (aligned((n,), np.int32) for _ in range(3))


@dataclass
class _PerPair:
    """Scratch that grows with the number of (tile, Gaussian) pairs."""

    chunks: int
    capacity: int

    def __post_init__(self) -> None:
        total = self.chunks * self.capacity
        self.tiles, self.unordered, self.ids = (aligned((total,), np.int32) for _ in range(3))


@dataclass(frozen=True, eq=False)
class Traces:
    """What a picture left behind, for whoever goes over it again. Overwritten by the next picture."""

    splats: Float32[np.ndarray, "n 16"]
    """See `avatar.render.cpu.projection.SPLAT`; means nothing where a Gaussian is hidden."""
    keys: UInt32[np.ndarray, " n"]
    """Depth keys, `HIDDEN` for what is not in the picture."""
    starts: Int32[np.ndarray, "chunks tiles_plus_1"]
    ids: Int32[np.ndarray, " pairs"]
    capacity: int
    """The lists of the tiles, as `bin_tiles` makes them."""


class Rasterizer:
    """Draws packed Gaussians. Holds its scratch arrays between pictures; they follow the size of the work."""

    def __init__(self, threads: int | None = None) -> None:
        """
        Args:
            threads: how many to use; all cores by default.
        """
        available = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        self.threads = max(1, min(threads or available, available))
        self.stages_ms: dict[str, float] = {}
        """What the stages of the last picture cost."""
        self.visible = 0
        self.pairs = 0
        self._active = 1
        self._counter = np.zeros(1, np.int64)
        self._ranges = np.zeros((self.threads, 2), np.uint32)
        self._histogram = np.zeros((2, BUCKETS), np.int64)
        self._scratch = aligned((self.threads, TILE_FLOATS), np.float32)
        self._row_scratch = aligned((self.threads, TILE), np.uint32)
        chunks = self.threads * _CHUNKS_PER_THREAD
        self._used = np.zeros(chunks, np.int64)
        self._per_gaussian = _PerGaussian(0)
        self._per_pair = _PerPair(chunks, 0)
        self._cursors = np.zeros((chunks, 0), np.int32)
        self._starts = np.zeros((chunks, 1), np.int32)

    def rasterize(
        self,
        gaussians: PackedGaussians,
        count: int,
        frames: Float32[np.ndarray, "f 12"],
        camera: Camera,
        background: tuple[float, float, float] | None,
        pixels: UInt8[np.ndarray, "h w 4"],
        image: Float32[np.ndarray, "h w 4"] | None = None,
    ) -> None:
        """Draw the first `count` Gaussians.

        Args:
            frames: from each triangle's frame to the camera's, 3 x 4, rows.
            pixels: BGRA out.
            image: RGBA out, if wanted.
        """
        with KERNELS:
            previous = numba.get_num_threads()
            self._active = max(1, min(self.threads, count // _GAUSSIANS_PER_THREAD))
            numba.set_num_threads(self._active)
            try:
                self._rasterize(gaussians, count, frames, camera, background, pixels, image)
            finally:
                numba.set_num_threads(previous)

    def traces(self) -> Traces:
        """What the last picture left behind."""
        g, p = self._per_gaussian, self._per_pair
        return Traces(g.splats, g.keys, self._starts, p.ids, p.capacity)

    def _fit(self, count: int, tiles: int) -> None:
        """Make the scratch arrays fit; a quarter of what they hold may lie idle, not more than three quarters."""
        held = self._per_gaussian.capacity
        if not count <= held <= 4 * count + 4096:
            self._per_gaussian = _PerGaussian(count + count // 4)
        chunks = self._cursors.shape[0]
        if self._cursors.shape[1] != tiles:
            self._cursors = np.zeros((chunks, tiles), np.int32)
            self._starts = np.zeros((chunks, tiles + 1), np.int32)
        if not self._per_pair.capacity * chunks <= 64 * count + 65536:
            self._per_pair = _PerPair(chunks, 0)

    def _rasterize(
        self,
        gaussians: PackedGaussians,
        count: int,
        frames: np.ndarray,
        camera: Camera,
        background: tuple[float, float, float] | None,
        pixels: np.ndarray,
        image: np.ndarray | None,
    ) -> None:
        columns = -(-camera.width // TILE)
        self._fit(count, columns * -(-camera.height // TILE))
        g, stamps = self._per_gaussian, [time.perf_counter()]
        K, ranges = camera.K, self._ranges[: self._active]
        project(
            count, gaussians.local, gaussians.triangles, frames, gaussians.sh,
            np.ascontiguousarray(camera.viewmat[:3, :3].T), K[0, 0], K[1, 1], K[0, 2], K[1, 2],
            camera.width, camera.height, self._counter, g.splats, g.tiles, g.keys, ranges,
        )  # fmt: skip
        stamps.append(time.perf_counter())
        self.visible = sort(count, g.keys, ranges, self._histogram, g.codes, g.shown, g.codes2, g.half_sorted, g.order)
        stamps.append(time.perf_counter())
        while True:
            p = self._per_pair
            bin_tiles(
                self.visible, g.order, g.tiles, g.splats, columns, p.capacity, self._counter,
                self._cursors, self._starts, p.tiles, p.unordered, p.ids, self._used, self._active,
            )  # fmt: skip
            if int(self._used.max()) <= p.capacity:
                break
            self._per_pair = _PerPair(p.chunks, max(2 * p.capacity, 4 * count // p.chunks, 1024))
        self.pairs = int(self._used.sum())
        stamps.append(time.perf_counter())
        red, green, blue = (np.float32(v) for v in background or (0, 0, 0))
        composite(
            self._starts, p.capacity, p.ids, g.splats, red, green, blue, np.float32(background is not None),
            self._counter, self._scratch[: self._active], self._row_scratch, pixels.view(np.uint32)[..., 0],
            _NO_IMAGE if image is None else image,
        )  # fmt: skip
        stamps.append(time.perf_counter())
        names = ("projection", "sort", "binning", "raster")
        self.stages_ms = dict(zip(names, (np.diff(stamps) * 1e3).tolist(), strict=True))
