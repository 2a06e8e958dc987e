"""The parts of the CPU backend against readable twins."""

from __future__ import annotations

import platform

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.render.compilation import KERNELS, kernel
from avatar.render.conformance import SCENES
from avatar.render.cpu.compositing import _blend_tile
from avatar.render.cpu.gaussians import PackedGaussians, aligned
from avatar.render.cpu.projection import HIDDEN
from avatar.render.cpu.rasterizer import Rasterizer
from avatar.render.cpu.simd import TILE, TILE_FLOATS, blend, clear, unfinished_rows
from avatar.render.cpu.sorting import BUCKETS, sort
from avatar.render.reference import project


@kernel
def _clear(tile):
    clear(tile)


@kernel
def _blend(tile, first, last, half, numbers):
    blend(
        tile, first, last, half, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
        numbers[5], numbers[6], numbers[7], numbers[8],
    )  # fmt: skip


@kernel
def _unfinished_rows(tile):
    return unfinished_rows(tile)


def _blend_twin(tile: np.ndarray, first: int, last: int, half: int, numbers: np.ndarray) -> None:
    """`simd.blend`, pixel by pixel: tile (16, 4, 16) is changed."""
    mx, my, slope, na, nk, lo, *rgb = (float(v) for v in numbers)
    for y in range(first, last):
        for x in range(*{0: (0, 8), 1: (8, 16), 2: (0, 16)}[half]):
            dx, dy = x - mx, y - my
            power = lo + na * (dx - slope * dy) ** 2 + nk * dy * dy
            t = tile[y, 0, x]
            if power < np.log2(1 / 255):
                continue
            weight = min(2**power, 0.999) * t
            if t - weight <= 1e-4:
                tile[y, 0, x] = -abs(t)
                continue
            tile[y, 0, x] = t - weight
            for channel, value in enumerate(rgb, start=1):
                tile[y, channel, x] += weight * value


@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(0, 16), st.integers(0, 16))
@settings(max_examples=60, deadline=None)
def test_blending_agrees_with_its_twin(seed: int, half: int, first: int, last: int) -> None:
    rng = np.random.default_rng(seed)
    tile = np.zeros(TILE_FLOATS, np.float32)
    _clear(tile)
    twin = tile.reshape(16, 4, 16).astype(np.float64)
    for _ in range(12):
        numbers = np.array(
            [*rng.uniform(-4, 20, 2), rng.normal(), -np.exp(rng.normal(-2, 1.5)), -np.exp(rng.normal(-3, 1.5)),
             np.log2(rng.uniform(0.01, 1.0)), *rng.uniform(0, 1.5, 3)],
            np.float32,
        )  # fmt: skip
        _blend(tile, first, last, half, numbers)
        _blend_twin(twin, first, last, half, numbers)
    np.testing.assert_allclose(tile.reshape(16, 4, 16), twin, atol=1e-4)


def test_a_row_is_finished_when_its_last_pixel_is() -> None:
    tile = np.zeros(TILE_FLOATS, np.float32)
    _clear(tile)
    rows = tile.reshape(16, 4, 16)
    assert _unfinished_rows(tile) == 0xFFFF
    rows[:, 0, :] = -5e-5
    assert _unfinished_rows(tile) == 0
    rows[15, 0, 15] = 0.5
    rows[2, 0, 0] = 1e-3
    assert _unfinished_rows(tile) == 0x8004


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_are_finished_change_nothing(seed: int) -> None:
    """Skipping them is not seen: the same as one Gaussian after another over the whole tile."""
    rng = np.random.default_rng(seed)
    count = 200
    splats = aligned((count, 16), np.float32)
    splats[:] = 0
    splats[:, 0:2] = rng.uniform(-2, [18, 9], (count, 2))  # the lower rows stay open
    splats[:, 2] = rng.normal(scale=0.5, size=count)
    splats[:, 3:5] = -rng.uniform(0.02, 0.5, (count, 2))
    splats[:, 5] = np.log2(rng.uniform(0.3, 0.99, count))
    splats[:, 6:9] = rng.uniform(0, 1, (count, 3))
    splats[:, 9:11] = 30.0
    tile, whole = np.zeros(TILE_FLOATS, np.float32), np.zeros(TILE_FLOATS, np.float32)
    _clear(tile)
    _clear(whole)
    _blend_tile(tile, np.arange(count, dtype=np.int32), 0, count, splats, np.float32(0), np.float32(0))
    for splat in splats:
        _blend(whole, 0, 16, 2, splat[:9])
    assert 0 < bin(_unfinished_rows(tile)).count("1") < 16
    np.testing.assert_array_equal(tile, whole)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_blending_is_vector_code() -> None:
    fresh = numba.njit(_blend_tile.py_func, error_model="numpy", boundscheck=False, fastmath={"contract"})
    zero = np.float32(0)
    fresh(np.zeros(TILE_FLOATS, np.float32), np.zeros(1, np.int32), 0, 0, np.zeros((1, 16), np.float32), zero, zero)
    (assembly,) = fresh.inspect_asm().values()
    operations = [line.split()[0] for line in assembly.splitlines() if line.strip()]
    packed = sum(
        op.startswith(("vmulps", "mulps")) or (op.startswith("vfmadd") and op.endswith("ps")) for op in operations
    )
    assert packed >= 12
    assert "callq\texp" not in assembly and "call\texp" not in assembly


@given(st.integers(0, 2**32 - 1), st.integers(0, 3000))
@settings(max_examples=30, deadline=None)
def test_sorting_is_stable_and_leaves_out_the_hidden(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    depths = rng.choice(rng.uniform(0.5, 0.6, 300).astype(np.float32), n)
    hidden = rng.random(n) < 0.3
    keys = depths.view(np.uint32).copy()
    keys[hidden] = HIDDEN
    shown = keys[~hidden]
    ranges = np.array([[shown.min(), shown.max()] if shown.size else [HIDDEN, 0]], np.uint32)
    scratch = [np.empty(n, t) for t in (np.uint32, np.int32, np.uint32, np.int32, np.int32)]
    m = sort(n, keys, ranges, np.zeros((2, BUCKETS), np.int64), *scratch)
    visible = np.flatnonzero(~hidden)
    expected = visible[np.argsort(depths[visible], kind="stable")]
    np.testing.assert_array_equal(scratch[-1][:m], expected)


@pytest.mark.parametrize("name", ["needles", "huge", "SH degree 1, colored background", "edges of the view"])
def test_tiles_list_every_gaussian_that_shows_in_them(name: str) -> None:
    scene = SCENES[name]()
    camera = scene.camera
    packed = PackedGaussians.from_cloud(scene.cloud)
    rasterizer = Rasterizer()
    view = np.ascontiguousarray(camera.viewmat[:3]).reshape(1, 12)
    pixels = aligned((camera.height, camera.width, 4), np.uint8)
    with KERNELS:
        rasterizer.rasterize(packed, len(packed), view, camera, None, pixels)
    columns = -(-camera.width // TILE)
    capacity, starts, ids = rasterizer._per_pair.capacity, rasterizer._starts, rasterizer._per_pair.ids
    listed = [
        [g for c in range(len(starts)) for g in ids[c * capacity + starts[c, t] : c * capacity + starts[c, t + 1]]]
        for t in range(starts.shape[1] - 1)
    ]
    seen = project(scene.cloud, camera)
    rank = {int(g): k for k, g in enumerate(seen.index)}
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    tiles = (y // TILE * columns + x // TILE).astype(int)
    members = [{int(g) for g in tile} for tile in listed]
    missed = 0
    for i, g in enumerate(seen.index):
        dx, dy = x - seen.means2d[i, 0], y - seen.means2d[i, 1]
        a, b, c = seen.conics[i]
        shown = seen.opacities[i] * np.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy) >= 1.001 / 255
        missed += sum(int(g) not in members[t] for t in np.unique(tiles[shown]))
    assert missed == 0
    for tile in listed:
        ranks = [rank[int(g)] for g in tile if int(g) in rank]
        depths = seen.depths[ranks]
        assert (np.diff(depths) >= -1e-6 * depths.max()).all() if len(depths) > 1 else True
    brute = sum(len(tile) for tile in listed)
    assert brute == rasterizer.pairs
