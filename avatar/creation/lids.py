"""Lids that meet in a blink, whatever face they are on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from avatar.flame.arkit import indices
from avatar.flame.head import HeadModel

__all__ = ["BLINKS", "LIDS", "SHUT", "with_closing_lids"]

LIDS = ("upper_lid_left", "lower_lid_left", "upper_lid_right", "lower_lid_right")
"""The regions of a head that are its lids."""
BLINKS = indices("eyeBlinkLeft", "eyeBlinkRight")
"""Places of the lids' weights among ARKit's."""
SHUT = 0.95
"""Weight from which on lids are closed."""

_REACH_M = 0.004


def with_closing_lids(head: HeadModel, offset: Float[Tensor, "v 3"] | None = None) -> HeadModel:
    """Blinks were sculpted on another face: carry each upper margin of this one to where it meets the lower. For heads
    whose expression directions are ARKit's; others come back as they are.

    Args:
        offset: of the vertices at rest, metres, that poses add to the template.
    """
    regions = {name: index.cpu().numpy() for name, index in head.regions.items()}
    rest = head.v_template.double().cpu().numpy()
    if offset is not None:
        rest = rest + offset.detach().double().cpu().numpy()
    shapedirs = head.shapedirs.clone()
    for side in ("left", "right"):
        name = f"eyeBlink{side.capitalize()}"
        if name not in head.expression_names or f"upper_lid_margin_{side}" not in regions:
            return head
        column = head.n_shape + head.expression_names.index(name)
        shut = rest + head.shapedirs[..., column].double().cpu().numpy()
        upper, lower = regions[f"upper_lid_margin_{side}"], regions[f"lower_lid_margin_{side}"]
        along = np.argsort(shut[lower, 0])
        meets = np.stack([np.interp(shut[upper, 0], shut[lower[along], 0], shut[lower[along], c]) for c in range(3)], 1)
        gap = meets - shut[upper]
        lid = regions[f"upper_lid_{side}"]
        distance, near = cKDTree(rest[upper]).query(rest[lid], k=3)
        share = 1 / (distance + 1e-4)
        share /= share.sum(1, keepdims=True)
        fade = np.exp(-((distance[:, :1] / _REACH_M) ** 2))
        moved = np.einsum("nk,nkc->nc", share, gap[near]) * fade
        shapedirs[torch.from_numpy(lid).to(shapedirs.device), :, column] += torch.from_numpy(moved).to(shapedirs)
    return replace(head, shapedirs=shapedirs)
