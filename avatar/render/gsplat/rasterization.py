"""gsplat's stages one by one.

`gsplat.rasterization` runs the same ones, but inverts the view matrix on the GPU, for which the CPU must wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

__all__ = ["Projected", "composite", "project"]

_TILE = 16


@dataclass(frozen=True, eq=False)
class Projected:
    """Gaussians in the image; those with a radius of 0 are not in it."""

    radii: Tensor
    means2d: Tensor
    depths: Tensor
    conics: Tensor
    opacities: Tensor
    colors: Tensor


def project(
    means: Float[Tensor, "n 3"],
    quats: Float[Tensor, "n 4"],
    scales: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    sh: Float[Tensor, "n k 3"],
    sh_degree: int,
    viewmat: Float[Tensor, "1 4 4"],
    K: Float[Tensor, "1 3 3"],
    position: Float[Tensor, "3"],
    width: int,
    height: int,
) -> Projected:
    """Projection and colors: fixed shapes, no wait for the GPU.

    Args:
        position: the camera's centre in the world.
    """
    import gsplat

    radii, means2d, depths, conics, _ = gsplat.fully_fused_projection(
        means, None, quats, scales, viewmat, K, width, height, packed=False, opacities=opacities
    )
    visible = (radii > 0).all(-1)
    colors = gsplat.spherical_harmonics(sh_degree, (means - position)[None], sh[None], masks=visible)
    return Projected(radii, means2d, depths, conics, opacities[None].contiguous(), (colors + 0.5).clamp_min(0.0))


def composite(seen: Projected, width: int, height: int) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
    """Premultiplied color, and alpha. Waits once for the GPU: the tiles that Gaussians touch decide a buffer's size."""
    import gsplat

    columns, rows = -(-width // _TILE), -(-height // _TILE)
    _, pair_ids, gaussian_ids = gsplat.isect_tiles(seen.means2d, seen.radii, seen.depths, _TILE, columns, rows)
    offsets = gsplat.isect_offset_encode(pair_ids, 1, columns, rows).reshape(1, rows, columns)
    colors, alphas = gsplat.rasterize_to_pixels(
        seen.means2d, seen.conics, seen.colors, seen.opacities, width, height, _TILE, offsets, gaussian_ids
    )
    return colors[0], alphas[0]
