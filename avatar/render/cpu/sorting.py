"""Front-to-back order of the Gaussians in an image: a radix sort of their depths."""

from __future__ import annotations

import numpy as np

from avatar.render.compilation import kernel
from avatar.render.cpu.projection import HIDDEN

__all__ = ["BUCKETS", "sort"]

BUCKETS = 2048
"""Buckets of one pass: eleven bits."""
_MASK = np.uint32(BUCKETS - 1)
_BITS = np.uint32(11)


@kernel
def sort(n, keys, ranges, histogram, codes, shown, codes2, half_sorted, order):
    """Indices of the Gaussians in the image, nearest first; returns how many there are.

    Depths are told apart to 22 bits of the range between the nearest and the furthest; ties keep their order.
    On one thread: 60,000 take 0.8 ms, and each wait for a second thread can cost more than it saves.

    Args:
        keys: depth keys, `HIDDEN` for what is not in the image.
        ranges: (threads, 2): least and greatest key that a thread saw.
        histogram: (2, BUCKETS) int64 of scratch.
        codes, codes2: (N,) uint32 of scratch.
        shown, half_sorted: (N,) int32 of scratch.
        order: (N,) int32 out.
    """
    least = ranges[:, 0].min()
    greatest = ranges[:, 1].max()
    if least > greatest:
        return 0
    shift = np.uint32(0)
    while ((greatest - least) >> shift) >= np.uint32(1 << 22):
        shift += np.uint32(1)

    histogram[:] = 0
    low = histogram[0]
    high = histogram[1]
    m = np.uintp(0)
    for i in range(n):
        if keys[i] != HIDDEN:
            code = (keys[i] - least) >> shift
            low[code & _MASK] += 1
            high[code >> _BITS] += 1
            codes[m] = code
            shown[m] = i
            m += np.uintp(1)
    low_total = 0
    high_total = 0
    for b in range(BUCKETS):
        here = low[b]
        low[b] = low_total
        low_total += here
        here = high[b]
        high[b] = high_total
        high_total += here
    for i in range(m):
        bucket = codes[i] & _MASK
        to = np.uintp(low[bucket])
        low[bucket] += 1
        codes2[to] = codes[i] >> _BITS
        half_sorted[to] = shown[i]
    for i in range(m):
        bucket = codes2[i]
        to = np.uintp(high[bucket])
        high[bucket] += 1
        order[to] = half_sorted[i]
    return np.int64(m)
