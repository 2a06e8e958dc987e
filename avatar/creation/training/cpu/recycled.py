"""Large arrays that are made once: the system takes longer to find fresh pages than kernels to fill them."""

from __future__ import annotations

import sys

import numpy as np
from jaxtyping import Float32

from avatar.render.cpu.gaussians import aligned

__all__ = ["Recycled"]

_KEPT = 12


class Recycled:
    """Gives out arrays, and the same again when nobody holds them any longer (nor a view or tensor of them)."""

    def __init__(self) -> None:
        self._arrays: list[Float32[np.ndarray, "..."]] = []

    def take(self, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
        """An array of that shape, with anything in it."""
        for k in range(len(self._arrays)):
            if self._arrays[k].shape == shape and _holders(self._arrays, k) == _NONE:
                return self._arrays[k]
        made = aligned(shape, np.float32)
        self._arrays = [*self._arrays[1 - _KEPT :], made]
        return made


def _holders(arrays: list[np.ndarray], k: int) -> tuple[int, int]:
    """What the interpreter counts as holding an array, and the memory under it: a view of a view holds that."""
    return sys.getrefcount(arrays[k]), sys.getrefcount(arrays[k].base)


_NONE = _holders([aligned((0,), np.float32)], 0)
