"""A picture put behind an image that is clear around the head."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from avatar.render.compilation import kernel

__all__ = ["put_behind"]

_LOW, _HALF = np.uint32(0x00FF00FF), np.uint32(0x00800080)
_8, _24 = np.uint32(8), np.uint32(24)


@kernel
def _compose(front, behind):
    """Two channels at a time in the halves of 32-bit words. Premultiplied colors are at most alpha, so that no sum runs
    over into its neighbor."""
    for y in range(front.shape[0]):
        for x in range(front.shape[1]):
            clear = ~front[y, x] >> _24
            # x / 255, rounded, is (y + y / 256) / 256 with y = x + 128: exact for two bytes' product
            even = (behind[y, x] & _LOW) * clear + _HALF
            odd = ((behind[y, x] >> _8) & _LOW) * clear + _HALF
            even = ((even + ((even >> _8) & _LOW)) >> _8) & _LOW
            odd = ((odd + ((odd >> _8) & _LOW)) >> _8) & _LOW
            front[y, x] += even | (odd << _8)


def put_behind(bgra: UInt8[np.ndarray, "h w 4"], backdrop: UInt8[np.ndarray, "h w 4"]) -> None:
    """Compose a premultiplied image over an opaque one of the same size, in place."""
    _compose(bgra.view("<u4")[..., 0], backdrop.view("<u4")[..., 0])
