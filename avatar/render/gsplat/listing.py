"""Which Gaussians touch which tile, front to back: gsplat's lists, in torch operations of fixed shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

__all__ = ["TILE", "TileLists", "list_tiles"]

TILE = 16
"""Pixels along the side of a tile."""


@dataclass(frozen=True, eq=False)
class TileLists:
    """Gaussians of all tiles, one list after the other.

    There is a row of tiles below the picture, where places that are not used are listed: gsplat's rasterizer stops
    there before it has looked at one.
    """

    ids: Int32[Tensor, " p"]
    """Which Gaussian, nearest first within a tile."""
    offsets: Int32[Tensor, "rows_plus_1 columns"]
    """Where a tile's list starts."""
    total: Int32[Tensor, ""]
    """How many places are needed. If it is more than there are, the furthest Gaussians are missing."""


def list_tiles(
    means2d: Float[Tensor, "n 2"],
    radii: Int[Tensor, "n 2"],
    depths: Float[Tensor, " n"],
    visible: Bool[Tensor, " n"],
    columns: int,
    rows: int,
    capacity: int | None = None,
) -> TileLists:
    """List the Gaussians whose bounding boxes touch a tile, as `gsplat.isect_tiles` does, in the same order.

    gsplat sizes its lists by their length, for which the CPU must wait; that cannot be part of a CUDA graph. It sorts
    pairs by tile and depth, 45 bits; here Gaussians are sorted by depth first, and the pairs by tile alone, 16 bits.
    No operation takes a number from the host (`torch.where(..., 0)` would copy it), which graphs do not allow either.

    Args:
        visible: Gaussians to list. Nothing of the others is looked at; they need not be numbers.
        columns, rows: tiles across and down.
        capacity: places in the lists; as many as needed, which takes a wait for the device, if None.
    """
    device = means2d.device
    low = ((means2d - radii) / TILE).floor().clamp_min(0)
    high = ((means2d + radii) / TILE).ceil()
    high[:, 0].clamp_max_(columns)
    high[:, 1].clamp_max_(rows)
    box = torch.cat([low, high - low], -1).to(torch.int32)  # left, top, width, height
    counts = (box[:, 2] * box[:, 3]).masked_fill_(~visible, 0)

    by_depth = torch.sort(depths, stable=True).indices
    counts = counts[by_depth]
    ends = torch.cumsum(counts, 0, dtype=torch.int32)
    total = ends[-1]
    places = torch.arange(int(total) if capacity is None else capacity, dtype=torch.int32, device=device)
    owner = torch.searchsorted(ends, places, right=True).clamp_max_(len(ends) - 1)
    gaussians = by_depth[owner]
    left, top, width, _ = box[gaussians].unbind(-1)
    width = width.clamp_min(1)  # places not used may belong to a Gaussian without tiles
    within = places - (ends - counts)[owner]
    down = torch.div(within, width, rounding_mode="floor")
    tile = (top + down) * columns + left + within - down * width
    n_tiles = columns * rows
    narrow = torch.int16 if n_tiles + columns < 2**15 else torch.int32
    tile = tile.masked_fill_(places >= total, n_tiles).to(narrow)

    tile, order = torch.sort(tile, stable=True)
    starts = torch.arange(n_tiles + columns, dtype=narrow, device=device)
    offsets = torch.searchsorted(tile, starts, out_int32=True).view(rows + 1, columns)
    return TileLists(gaussians[order].to(torch.int32), offsets, total)
