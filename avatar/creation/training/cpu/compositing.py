"""Alpha compositing backward: from the derivative of a loss by a picture to ten sums for each Gaussian."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.creation.training.cpu.blending import BACK_ROW, blend_backward, take_row
from avatar.render.compilation import kernel, parallel_kernel
from avatar.render.cpu.simd import TILE, prefetch

__all__ = ["composite_backward"]

_CHECK = 8  # Gaussians between two looks at which rows of a tile are finished, as going forward
_AHEAD = 8  # Gaussians between asking for one and using it
f32 = np.float32


@kernel
def _unfinished_rows(tile):
    """A bit for each row in which a pixel can still change."""
    rows = 0
    for y in range(TILE):
        best = tile[y * BACK_ROW]
        for x in range(1, TILE):
            best = max(best, tile[y * BACK_ROW + x])
        if best >= f32(0):
            rows |= 1 << y
    return rows


@kernel
def _back_over_tile(tile, ids, begin, end, splats, left, top, sums):
    """Take the listed Gaussians back over a tile, in the order and with the stop rules of the forward pass.

    True if the tile is finished.
    """
    rows = _unfinished_rows(tile)
    until_check = _CHECK
    top_row = 0
    bottom_row = TILE
    for k in range(begin, end):
        if until_check == _CHECK:
            if rows == 0:
                return True
            while (rows >> top_row) & 1 == 0:
                top_row += 1
            while (rows >> (bottom_row - 1)) & 1 == 0:
                bottom_row -= 1
        ahead = np.int64(ids[np.uintp(min(k + _AHEAD, end - 1))])
        prefetch(splats, ahead)
        prefetch(sums, ahead)
        i = np.uintp(ids[np.uintp(k)])
        mx = splats[i, 0] - left
        my = splats[i, 1] - top
        rx = splats[i, 9]
        ry = splats[i, 10]
        first = np.int64(max(np.ceil(my - ry), f32(top_row)))
        last = np.int64(min(np.floor(my + ry), f32(bottom_row - 1))) + 1
        half = 2
        if mx + rx < f32(TILE // 2):
            half = 0
        elif mx - rx > f32(TILE // 2 - 1):
            half = 1
        if first < last:
            blend_backward(
                tile, first, last, half, mx, my, splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5],
                splats[i, 6], splats[i, 7], splats[i, 8], sums, np.int64(i),
            )  # fmt: skip
        until_check -= 1
        if until_check == 0:
            rows = _unfinished_rows(tile)
            until_check = _CHECK
    return _unfinished_rows(tile) == 0


@kernel
def _load_tile(tile, image, gradient, y0, x0, rows, across):
    """Start a tile: all light still to come. Pixels beyond the picture's edge are finished. False if nothing pulls."""
    pulled = False
    if across == TILE:
        width = image.shape[1]
        for y in range(rows):
            if take_row(tile, y, image.reshape(-1), gradient.reshape(-1), 4 * ((y0 + y) * width + x0)) != 0:
                pulled = True
        for y in range(rows, TILE):
            at = y * BACK_ROW
            tile[at : at + TILE] = f32(-1)
            tile[at + TILE : at + BACK_ROW] = f32(0)
        return pulled
    for y in range(TILE):
        at = y * BACK_ROW
        for x in range(TILE):
            if y < rows and x < across:
                g0 = gradient[y0 + y, x0 + x, 0]
                g1 = gradient[y0 + y, x0 + x, 1]
                g2 = gradient[y0 + y, x0 + x, 2]
                g3 = gradient[y0 + y, x0 + x, 3]
                p = image[y0 + y, x0 + x]
                pulled = pulled or g0 != f32(0) or g1 != f32(0) or g2 != f32(0) or g3 != f32(0)
                tile[at + x] = f32(1)
                tile[at + TILE + x] = g0 * p[0] + g1 * p[1] + g2 * p[2] + g3 * p[3]
                tile[at + 2 * TILE + x] = g0
                tile[at + 3 * TILE + x] = g1
                tile[at + 4 * TILE + x] = g2
                tile[at + 5 * TILE + x] = g3
            else:
                tile[at + x] = f32(-1)
                for c in range(1, 6):
                    tile[at + c * TILE + x] = f32(0)
    return pulled


@parallel_kernel
def composite_backward(starts, capacity, ids, splats, image, gradient, scratch, sums):
    """Add up for each Gaussian what `gradient` says of it. Tiles in which that is all zero are passed over.

    Each thread takes a fixed set of tiles and has sums of its own: results do not vary from run to run, as long as the
    number of threads does not.

    Args:
        starts, capacity, ids: the Gaussians of each tile, chunk by chunk, from `bin_tiles`.
        image: (h, w, 4) what these Gaussians gave, premultiplied, over nothing.
        gradient: (h, w, 4) the loss by that.
        scratch: (threads, BACK_TILE_FLOATS) float32.
        sums: (threads, N, SUMS) float32, added to.
    """
    height, width = image.shape[:2]
    columns = (width + TILE - 1) // TILE
    workers = scratch.shape[0]
    n_tiles = starts.shape[1] - 1
    for worker in prange(workers):
        tile = scratch[worker]
        mine = sums[worker]
        for t in range(worker, n_tiles, workers):
            listed = 0
            for c in range(starts.shape[0]):
                listed += starts[c, t + 1] - starts[c, t]
            if listed == 0:
                continue
            ty = t // columns
            y0 = ty * TILE
            x0 = (t - ty * columns) * TILE
            if not _load_tile(tile, image, gradient, y0, x0, min(TILE, height - y0), min(TILE, width - x0)):
                continue
            left = f32(x0) + f32(0.5)
            top = f32(y0) + f32(0.5)
            for c in range(starts.shape[0]):
                begin = c * capacity + starts[c, t]
                end = c * capacity + starts[c, t + 1]
                if begin < end and _back_over_tile(tile, ids, begin, end, splats, left, top, mine):
                    break
