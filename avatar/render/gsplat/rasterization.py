"""gsplat's stages one by one.

`gsplat.rasterization` runs the same ones, but inverts the view matrix on the GPU and sizes its lists by their length:
the CPU must wait twice in every picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.render.gsplat.listing import TILE, TileLists, list_tiles

__all__ = ["Projected", "list_gaussians", "project", "rasterize"]


@dataclass(frozen=True, eq=False)
class Projected:
    """Gaussians in the image. Of those that are not visible, nothing means anything."""

    visible: Bool[Tensor, "1 n"]
    radii: Int[Tensor, "1 n 2"]
    means2d: Float[Tensor, "1 n 2"]
    depths: Float[Tensor, "1 n"]
    conics: Float[Tensor, "1 n 3"]
    opacities: Float[Tensor, "1 n"]
    colors: Float[Tensor, "1 n 4"]
    """The channels of `sh`, in its order, then 1."""


def project(
    means: Float[Tensor, "n 3"],
    covariances: Float[Tensor, "n 6"],
    opacities: Float[Tensor, " n"],
    sh: Float[Tensor, "n k 3"],
    viewmat: Float[Tensor, "1 4 4"],
    K: Float[Tensor, "1 3 3"],
    position: Float[Tensor, "3"],
    width: int,
    height: int,
    turn: Float[Tensor, "3 3"] | None = None,
) -> Projected:
    """Projection and colors: fixed shapes, no wait for the GPU. Differentiable.

    Args:
        covariances: upper triangles.
        position: the camera's centre in the world.
        turn: from the axes of everything else here to those of the spherical harmonics, where they differ.
    """
    import gsplat

    radii, means2d, depths, conics, _ = gsplat.fully_fused_projection(
        means, covariances, None, None, viewmat, K, width, height, packed=False, opacities=opacities
    )
    visible = (radii > 0).all(-1)
    degree = round(sh.shape[1] ** 0.5) - 1
    directions = means - position if turn is None else (means - position) @ turn.mT
    colors = gsplat.spherical_harmonics(degree, directions[None], sh[None], masks=visible)
    colors = torch.nn.functional.pad((colors + 0.5).clamp_min_(0.0), (0, 1), value=1.0)
    return Projected(visible, radii, means2d, depths, conics, opacities[None].contiguous(), colors)


def list_gaussians(seen: Projected, width: int, height: int, capacity: int | None = None) -> TileLists:
    """The Gaussians of each tile. Waits for the GPU if there is no `capacity`."""
    return list_tiles(
        seen.means2d[0], seen.radii[0], seen.depths[0], seen.visible[0], -(-width // TILE), -(-height // TILE), capacity
    )


def rasterize(
    seen: Projected, lists: TileLists, width: int, height: int, background: Float[Tensor, "1 4"]
) -> Float[Tensor, "h w 4"]:
    """Premultiplied color and alpha, over a background of four channels (premultiplied, alpha last)."""
    import gsplat

    pixels, _ = gsplat.rasterize_to_pixels(
        seen.means2d, seen.conics, seen.colors, seen.opacities, width, height, TILE, lists.offsets[None], lists.ids,
        backgrounds=background,
    )  # fmt: skip
    return pixels[0]
