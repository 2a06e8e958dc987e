"""Gaussians in the layout that the projection reads: one cache line each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.cloud import GaussianCloud
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render.compilation import kernel
from avatar.render.cpu.projection import LOCAL
from avatar.render.cpu.vectors import LOG2_ALPHA_MIN
from avatar.render.expression import ExpressedColors
from avatar.render.reference import ALPHA_MIN, MAX_EXTENT

__all__ = ["PackedGaussians", "aligned"]

_TWO_LN2 = np.float32(2 * math.log(2))
_FARTHEST, _LEAST = np.float32(MAX_EXTENT**2), np.float32(LOG2_ALPHA_MIN)


@kernel
def _recolor(n, base, tints, sh, log2_opacities, local, fades):
    """Write colors and, where they change, opacities and how far a Gaussian of that opacity is seen."""
    for i in range(n):
        for c in range(3):
            sh[i, c] = base[i, c] + tints[i, c]
        if fades:
            log2 = log2_opacities[i]
            local[i, 12] = log2
            local[i, 13] = min(_FARTHEST, _TWO_LN2 * (log2 - _LEAST))


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """An uninitialised array that starts on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class PackedGaussians:
    """Gaussians in the frames of triangles (or of the world), rotation and scale multiplied out."""

    local: Float32[np.ndarray, "n 16"]
    """See `avatar.render.cpu.projection.LOCAL`."""
    triangles: Int32[np.ndarray, " n"]
    sh: Float32[np.ndarray, "n k*3"]

    def __len__(self) -> int:
        return len(self.local)

    def recolor(self, base: Float32[np.ndarray, "n 3"], colors: ExpressedColors, count: int) -> None:
        """Take over what an expression does to the first `count`.

        Args:
            base: the spherical harmonics of degree 0 without expression.
        """
        _recolor(count, base, colors.tints, self.sh, colors.log2_opacities, self.local, colors.fades)

    @classmethod
    def from_cloud(cls, cloud: GaussianCloud) -> PackedGaussians:
        """A cloud, as if bound to one triangle whose frame is the world."""
        triangles = torch.zeros(len(cloud), dtype=torch.int32)
        return cls._pack(cloud.means, cloud.quats, cloud.scales, cloud.opacities, cloud.sh, triangles)

    @classmethod
    def from_bound(cls, bound: BoundGaussians) -> PackedGaussians:
        return cls._pack(
            bound.means, bound.quats, bound.log_scales.exp(), bound.logit_opacities.sigmoid(), bound.sh, bound.triangles
        )

    @classmethod
    def _pack(
        cls, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, sh: Tensor, triangles: Tensor
    ) -> PackedGaussians:
        n = means.shape[0]
        local = aligned((n, LOCAL), np.float32)
        local[:, 0:3] = means.detach().cpu()
        local[:, 3:12] = (quaternion_to_matrix(quats) * scales[:, None, :]).reshape(n, 9).detach().cpu()
        opacity = opacities.detach().cpu().numpy().astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            local[:, 12] = np.log2(opacity)
            extent = np.minimum(MAX_EXTENT, np.sqrt(2 * np.log(opacity / ALPHA_MIN)))
        local[:, 13] = np.where(opacity >= ALPHA_MIN, extent, -1) * np.abs(extent)  # negative: never drawn
        local[:, 14:] = 0
        packed_sh = aligned((n, sh.shape[1] * 3), np.float32)
        packed_sh[:] = sh.reshape(n, 3 * sh.shape[1]).detach().cpu()
        return cls(local, np.ascontiguousarray(triangles.cpu().numpy(), np.int32), packed_sh)
