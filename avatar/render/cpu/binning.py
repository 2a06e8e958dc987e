"""Which Gaussians touch which tile, front to back."""

from __future__ import annotations

import numpy as np
from numba import prange

from avatar.render.compilation import inline, parallel_kernel
from avatar.render.cpu.simd import LOG2_ALPHA_MIN, TILE, fetch_add, prefetch

__all__ = ["bin_tiles"]

_AHEAD = 12  # Gaussians between asking for one and using it: they lie anywhere in memory
f32 = np.float32
_LOG2_ALPHA_MIN = f32(LOG2_ALPHA_MIN)
_HALF = f32(0.5)
_LAST = f32(TILE - 0.5)


@inline
def _reach(dy, na, nk, depth):
    """Half the width of an ellipse at height `dy` from its mean."""
    return np.sqrt(max(depth + nk * dy * dy, f32(0)) / -na)


@parallel_kernel
def bin_tiles(
    m, order, tiles, splats, columns, capacity, counter, cursors, starts, pair_tiles, pair_ids, ids, used, threads
):
    """List the Gaussians of each tile, front to back.

    The order is cut into chunks, dealt to threads as they come free; each chunk lists its own part for every tile, so
    that chunks need not wait for one another: a tile's Gaussians are its lists in all chunks, one after the other.
    A tile is listed only if the ellipse on which alpha is 1/255 crosses it, found row of tiles by row of tiles.

    Args:
        m: length of `order`.
        columns: tiles across the image.
        capacity: (tile, Gaussian) pairs that fit a chunk.
        counter: (1,) int64 of scratch.
        cursors: (chunks, tiles) int32 of scratch.
        starts: (chunks, tiles + 1) int32 out: where in its chunk's part of `ids` a tile's list starts.
        pair_tiles, pair_ids: (chunks * capacity,) int32 of scratch.
        ids: (chunks * capacity,) int32 out.
        used: (chunks,) int64 out: pairs listed; more than `capacity` means there was no room and nothing is valid.
    """
    counter[0] = 0
    chunks, n_tiles = cursors.shape
    for _ in prange(threads):
        while True:
            c = fetch_add(counter, 1)
            if c >= chunks:
                break
            cursor = cursors[c]
            cursor[:] = 0
            base = c * capacity
            at = base
            end = base + capacity
            for k in range(m * c // chunks, m * (c + 1) // chunks):
                ahead = np.int64(order[np.uintp(min(k + _AHEAD, m - 1))])
                prefetch(splats, ahead)
                prefetch(tiles, ahead)
                i = np.uintp(order[k])
                x0 = np.int64(tiles[i, 0])
                x1 = np.int64(tiles[i, 1])
                y0 = np.int64(tiles[i, 2])
                y1 = np.int64(tiles[i, 3])
                if at + (x1 - x0) * (y1 - y0) > end:
                    at = end + 1
                    break
                if x1 - x0 == 1 and y1 - y0 == 1:
                    tile = np.uintp(y0 * columns + x0)
                    cursor[tile] += 1
                    pair_tiles[np.uintp(at)] = np.int32(tile)
                    pair_ids[np.uintp(at)] = np.int32(i)
                    at += 1
                    continue
                mx = splats[i, 0]
                my = splats[i, 1]
                slope = splats[i, 2]
                na = splats[i, 3]
                nk = splats[i, 4]
                depth = splats[i, 5] - _LOG2_ALPHA_MIN
                ry = splats[i, 10]
                y_right = splats[i, 11]
                for ty in range(y0, y1):
                    low = max(f32(ty * TILE) + _HALF - my, -ry)
                    high = min(f32(ty * TILE) + _LAST - my, ry)
                    dy = min(max(y_right, low), high)
                    right = mx + slope * dy + _reach(dy, na, nk, depth)
                    dy = min(max(-y_right, low), high)
                    left = mx + slope * dy - _reach(dy, na, nk, depth)
                    first = max(f32(x0), np.floor(np.ceil(left - _HALF) * f32(1 / TILE)))
                    last = min(f32(x1 - 1), np.floor(np.floor(right - _HALF) * f32(1 / TILE)))
                    for tx in range(np.int64(first), np.int64(last) + 1):
                        tile = np.uintp(ty * columns + tx)
                        cursor[tile] += 1
                        pair_tiles[np.uintp(at)] = np.int32(tile)
                        pair_ids[np.uintp(at)] = np.int32(i)
                        at += 1
            used[c] = at - base
            if at > end:
                continue
            total = np.int64(0)
            for t in range(n_tiles):
                here = cursor[t]
                starts[c, t] = total
                cursor[t] = total
                total += np.int64(here)
            starts[c, n_tiles] = total
            for k in range(base, at):
                tile = np.uintp(pair_tiles[np.uintp(k)])
                ids[np.uintp(base + cursor[tile])] = pair_ids[np.uintp(k)]
                cursor[tile] += np.int32(1)
