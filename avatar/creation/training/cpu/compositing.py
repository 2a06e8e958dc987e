"""Alpha compositing backward: from the derivative of a loss by a picture to ten sums for each Gaussian."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.creation.training.cpu.blending import (
    BLOCK,
    HALF,
    blend_backward,
    highest_bit,
    lowest_bit,
    take_row,
    unfinished_blocks,
)
from avatar.render.compilation import inline, kernel, parallel_kernel
from avatar.render.cpu.simd import TILE, prefetch

__all__ = ["composite_backward"]

_CHECK = 8  # Gaussians between two looks at which blocks of a tile are finished
_AHEAD = 8  # Gaussians between asking for one and using it
_SLACK = 0.05  # pixels by which an ellipse may be larger than reckoned
f32 = np.float32
_LEFT = (1 << HALF) - 1


@inline
def _blocks(near, far, my, tip, middle, high2, fall, first, last):
    """Which blocks of a half of a tile an ellipse reaches: the first, and the last + 1, of `first` to `last` - 1.

    Args:
        near, far: the columns of the half, from the mean.
        tip: the column where the ellipse is highest, from the mean.
        middle, high2, fall: see `avatar.render.cpu.projection.SPLAT`.
    """
    x = min(max(tip, near), far)
    bottom = middle * x + np.sqrt(max(high2 - fall * x * x, f32(0)))
    x = min(max(-tip, near), far)
    top = middle * x - np.sqrt(max(high2 - fall * x * x, f32(0)))
    begin = np.int64(max(np.ceil(my + top - f32(_SLACK)), f32(0))) >> 1
    end = (np.int64(min(np.floor(my + bottom + f32(_SLACK)), f32(TILE - 1))) >> 1) + 1
    return max(begin, first), min(end, last)


@kernel
def _reach(ids, begin, end, splats, left, top, blocks, spans):
    """The blocks that each of a few listed Gaussians reaches, of those in which a pixel can still change.

    Together, so that one's roots are drawn while another's are.

    Args:
        spans: (`_CHECK`, 4) int64 out: first and last + 1 block in the left half, and in the right half.
    """
    first0 = lowest_bit(blocks & _LEFT)
    last0 = highest_bit(blocks & _LEFT) + 1
    first1 = lowest_bit(blocks >> HALF)
    last1 = highest_bit(blocks >> HALF) + 1
    for k in range(begin, end):
        i = np.uintp(ids[np.uintp(k)])
        span = np.uintp(k - begin)
        mx = splats[i, 0] - left
        my = splats[i, 1] - top
        rx = splats[i, 9]
        tip = splats[i, 2] * splats[i, 10]
        middle = splats[i, 12]
        high2 = splats[i, 13]
        fall = splats[i, 14]
        first, last = _blocks(-mx, f32(HALF - 1) - mx, my, tip, middle, high2, fall, first0, last0)
        spans[span, 0] = first
        spans[span, 1] = last if mx - rx <= f32(HALF - 1) else 0
        first, last = _blocks(f32(HALF) - mx, f32(TILE - 1) - mx, my, tip, middle, high2, fall, first1, last1)
        spans[span, 2] = first
        spans[span, 3] = last if mx + rx >= f32(HALF) else 0


@kernel
def _back_over_tile(tile, ids, begin, end, splats, left, top, spans, sums):
    """Take the listed Gaussians back over a tile, in the order and with the stop rules of the forward pass.

    True if the tile is finished.
    """
    for start in range(begin, end, _CHECK):
        blocks = unfinished_blocks(tile)
        if blocks == 0:
            return True
        stop = min(start + _CHECK, end)
        for k in range(stop, min(stop + _CHECK, end)):
            ahead = np.int64(ids[np.uintp(k)])
            prefetch(splats, ahead)
            prefetch(sums, ahead)
        _reach(ids, start, stop, splats, left, top, blocks, spans)
        for k in range(start, stop):
            span = spans[np.uintp(k - start)]
            if span[0] >= span[1] and span[2] >= span[3]:
                continue
            i = np.uintp(ids[np.uintp(k)])
            blend_backward(
                tile, span[0], span[1], span[2], span[3], splats[i, 0] - left, splats[i, 1] - top,
                splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5], splats[i, 6], splats[i, 7], splats[i, 8],
                sums, np.int64(i),
            )  # fmt: skip
    return unfinished_blocks(tile) == 0


@inline
def _set_pixel(tile, y, x, t, rest, red, green, blue, alpha):
    at = ((x // HALF) * HALF + y // 2) * BLOCK + (y % 2) * HALF + x % HALF
    tile[at] = t
    tile[at + TILE] = rest
    tile[at + 2 * TILE] = red
    tile[at + 3 * TILE] = green
    tile[at + 4 * TILE] = blue
    tile[at + 5 * TILE] = alpha


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
            for x in range(TILE):
                _set_pixel(tile, y, x, f32(-1), f32(0), f32(0), f32(0), f32(0), f32(0))
        return pulled
    for y in range(TILE):
        for x in range(TILE):
            if y < rows and x < across:
                g0 = gradient[y0 + y, x0 + x, 0]
                g1 = gradient[y0 + y, x0 + x, 1]
                g2 = gradient[y0 + y, x0 + x, 2]
                g3 = gradient[y0 + y, x0 + x, 3]
                p = image[y0 + y, x0 + x]
                pulled = pulled or g0 != f32(0) or g1 != f32(0) or g2 != f32(0) or g3 != f32(0)
                rest = g0 * p[0] + g1 * p[1] + g2 * p[2] + g3 * p[3]
                _set_pixel(tile, y, x, f32(1), rest, g0, g1, g2, g3)
            else:
                _set_pixel(tile, y, x, f32(-1), f32(0), f32(0), f32(0), f32(0), f32(0))
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
        spans = np.empty((_CHECK, 4), np.int64)
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
                if begin < end and _back_over_tile(tile, ids, begin, end, splats, left, top, spans, mine):
                    break
