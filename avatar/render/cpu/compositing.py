"""Tiles to pixels: front-to-back alpha compositing."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.render.compilation import kernel, parallel_kernel
from avatar.render.cpu.simd import (
    ROW,
    TILE,
    blend,
    clear,
    fetch_add,
    prefetch,
    resolve_floats,
    resolve_row,
    unfinished_rows,
)

__all__ = ["composite"]

_CHECK = 8  # Gaussians between two looks at which rows of a tile are finished
_AHEAD = 8  # Gaussians between asking for one and using it: they lie anywhere in memory
f32 = np.float32


@kernel
def _blend_tile(tile, ids, begin, end, splats, left, top):
    """Composite listed Gaussians over a tile whose first pixel centre is (left, top). True if it is finished."""
    rows = unfinished_rows(tile)
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
        prefetch(splats, np.int64(ids[np.uintp(min(k + _AHEAD, end - 1))]))
        i = np.uintp(ids[np.uintp(k)])
        mx = splats[i, 0] - left
        my = splats[i, 1] - top
        rx = splats[i, 9]
        ry = splats[i, 10]
        first = max(np.int64(max(np.ceil(my - ry), f32(0))), top_row)
        last = min(np.int64(min(np.floor(my + ry), f32(TILE - 1))) + 1, bottom_row)
        half = 2
        if mx + rx < f32(TILE // 2):
            half = 0
        elif mx - rx > f32(TILE // 2 - 1):
            half = 1
        blend(
            tile, first, last, half, mx, my,
            splats[i, 2], splats[i, 3], splats[i, 4], splats[i, 5], splats[i, 6], splats[i, 7], splats[i, 8],
        )  # fmt: skip
        until_check -= 1
        if until_check == 0:
            rows = unfinished_rows(tile)
            until_check = _CHECK
    return unfinished_rows(tile) == 0


@parallel_kernel
def composite(starts, capacity, ids, splats, red, green, blue, opaque, counter, scratch, row_scratch, pixels, image):
    """Draw every tile.

    Args:
        starts, capacity, ids: the Gaussians of each tile, chunk by chunk, from `bin_tiles`.
        opaque: 1 for a background of this color, 0 for a transparent one (then the color must be black).
        counter: (1,) int64 of scratch.
        scratch: (threads, TILE_FLOATS) float32.
        row_scratch: (threads, TILE) uint32.
        pixels: (h, w) uint32 out: BGRA.
        image: (h, w, 4) float32 out: RGBA; left alone if empty.
    """
    height, width = pixels.shape
    flat = pixels.reshape(-1)
    flat_image = image.reshape(-1)
    columns = (width + TILE - 1) // TILE
    counter[0] = 0
    for worker in prange(scratch.shape[0]):
        tile = scratch[worker]
        row = row_scratch[worker]
        while True:
            t = fetch_add(counter, 1)
            if t >= starts.shape[1] - 1:
                break
            ty = t // columns
            y0 = ty * TILE
            x0 = (t - ty * columns) * TILE
            rows = min(TILE, height - y0)
            across = min(TILE, width - x0)
            clear(tile)
            left = f32(x0) + f32(0.5)
            top = f32(y0) + f32(0.5)
            for c in range(starts.shape[0]):
                begin = c * capacity + starts[c, t]
                end = c * capacity + starts[c, t + 1]
                if begin < end and _blend_tile(tile, ids, begin, end, splats, left, top):
                    break
            for y in range(rows):
                if across == TILE:
                    resolve_row(tile, y, flat, (y0 + y) * width + x0, red, green, blue, opaque)
                else:
                    resolve_row(tile, y, row, 0, red, green, blue, opaque)
                    for x in range(across):
                        pixels[y0 + y, x0 + x] = row[x]
            if image.size > 0 and across == TILE:
                for y in range(rows):
                    start = 4 * ((y0 + y) * width + x0)
                    resolve_floats(tile, y, flat_image, start, red, green, blue, opaque)
            elif image.size > 0:
                for y in range(rows):
                    for x in range(across):
                        at = y * ROW + x
                        clear_part = abs(tile[at])
                        image[y0 + y, x0 + x, 0] = tile[at + TILE] + clear_part * red
                        image[y0 + y, x0 + x, 1] = tile[at + 2 * TILE] + clear_part * green
                        image[y0 + y, x0 + x, 2] = tile[at + 3 * TILE] + clear_part * blue
                        image[y0 + y, x0 + x, 3] = f32(1) - clear_part + clear_part * opaque
