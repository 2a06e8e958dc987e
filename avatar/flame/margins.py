"""Edges that touch and part: the inner edges of the lips, the margins of the lids, in pairs across the opening.

With them closures and blinks are solved on this very face; without, on the generic one.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

__all__ = ["LID_PAIRS", "LIP_PAIRS", "closest_pairs", "lid_margins", "lip_margins"]

LIP_PAIRS, LID_PAIRS = 11, 9
_PARTS_M, _TOUCH_M, _STILL_M = 0.004, 0.003, 1e-4


def lip_margins(vertices: Float[Tensor, "v 3"], jaw_open: Float[Tensor, "v 3"]) -> dict[str, Int[Tensor, " n"]]:
    """The inner edges of the lips: what touches at rest and parts when the jaw opens. Empty if nothing does.

    Args:
        jaw_open: how the open jaw moves the vertices, metres.
    """
    drop = -jaw_open[:, 1]
    widest = float(drop.max())
    if widest < _PARTS_M:
        return {}
    pairs = closest_pairs(vertices, drop < 0.2 * widest, drop > 0.6 * widest, LIP_PAIRS)
    return {} if pairs is None else {"upper_lip_inner": pairs[0], "lower_lip_inner": pairs[1]}


def lid_margins(
    vertices: Float[Tensor, "v 3"], blink_left: Float[Tensor, "v 3"], blink_right: Float[Tensor, "v 3"]
) -> dict[str, Int[Tensor, " n"]]:
    """The margins of the lids: what stands apart at rest and touches when the eye is shut. Empty if nothing does.

    Args:
        blink_left, blink_right: how a closing eye moves the vertices, metres.
    """
    regions = {}
    for side, blink in (("left", blink_left), ("right", blink_right)):
        drop = -blink[:, 1]
        widest = float(drop.max())
        if widest < _PARTS_M:
            return {}
        upper, lower = drop > 0.5 * widest, (drop < 0.25 * widest) & (blink.norm(dim=-1) > _STILL_M)
        pairs = closest_pairs(vertices + blink, upper, lower, LID_PAIRS, apart_at=vertices)
        if pairs is None:
            return {}
        regions[f"upper_lid_margin_{side}"], regions[f"lower_lid_margin_{side}"] = pairs
    return regions


def closest_pairs(
    touching: Float[Tensor, "v 3"],
    upper: Bool[Tensor, " v"],
    lower: Bool[Tensor, " v"],
    count: int,
    apart_at: Float[Tensor, "v 3"] | None = None,
    within_m: float = _TOUCH_M,
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]] | None:
    """The closest pairs of upper and lower vertices, one for each of `count` bins from side to side.

    Args:
        touching: positions in which pairs touch.
        upper, lower: which vertices may be what.
        apart_at: positions in which they do not.
        within_m: how near is touching.
    """
    uppers, lowers = upper.nonzero().squeeze(-1), lower.nonzero().squeeze(-1)
    if not len(uppers) or not len(lowers):
        return None
    distance, nearest = cKDTree(touching[uppers].numpy()).query(touching[lowers].numpy())
    near = distance < within_m
    if apart_at is not None:
        near &= ((apart_at[lowers] - apart_at[uppers[nearest]]).norm(dim=-1) > _TOUCH_M).numpy()
    if not near.any():
        return None
    across = touching[lowers, 0].numpy()
    bins = np.linspace(across[near].min(), across[near].max() + 1e-6, count + 1)
    found = []
    for low, high in itertools.pairwise(bins):
        inside = np.flatnonzero(near & (across >= low) & (across < high))
        if len(inside):
            i = inside[distance[inside].argmin()]
            found.append((int(uppers[nearest[i]]), int(lowers[i])))
    if len(found) < count // 2:
        return None
    columns = torch.tensor(found).T.contiguous()
    return columns[0], columns[1]
