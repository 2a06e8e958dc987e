"""Edges of lips and lids are found by what they do."""

from __future__ import annotations

import numpy as np
import torch

from avatar.flame.margins import lid_margins, lip_margins


def test_lips_are_found_where_the_jaw_parts_what_touches() -> None:
    """Two rows that touch, one of which drops; and rows that stand apart, of which nothing is said."""
    x = torch.linspace(-0.02, 0.02, 41)
    upper = torch.stack([x, -0.05 + 0 * x, 0.05 + 0 * x], -1)
    lower = upper - torch.tensor([0.0, 0.0005, 0.0])
    chin = lower - torch.tensor([0.0, 0.02, 0.0])
    drop = torch.zeros(123, 3)
    drop[41:, 1] = -0.012
    regions = lip_margins(torch.cat([upper, lower, chin]), drop)
    assert 5 <= len(regions["upper_lip_inner"]) == len(regions["lower_lip_inner"]) <= 11
    np.testing.assert_array_equal(regions["lower_lip_inner"] - 41, regions["upper_lip_inner"])
    assert lip_margins(torch.cat([upper, chin, chin]), drop) == {}
    assert lip_margins(torch.cat([upper, lower, chin]), 0.1 * drop) == {}


def test_lids_are_found_where_a_blink_brings_them_together() -> None:
    x = torch.linspace(0.02, 0.04, 21)
    upper = torch.stack([x, 0.025 + 0 * x, 0.04 + 0 * x], -1)
    lower = upper - torch.tensor([0.0, 0.010, 0.0])
    vertices = torch.cat([upper, lower, upper * torch.tensor([-1.0, 1, 1]), lower * torch.tensor([-1.0, 1, 1])])
    left, right = torch.zeros(84, 3), torch.zeros(84, 3)
    left[:21, 1], left[21:42, 1], right[42:63, 1], right[63:, 1] = -0.0095, 0.0005, -0.0095, 0.0005
    regions = lid_margins(vertices, left, right)
    for side, first in (("left", 0), ("right", 42)):
        margin = regions[f"upper_lid_margin_{side}"]
        assert 4 <= len(margin) <= 9 and ((margin >= first) & (margin < first + 21)).all()
        np.testing.assert_array_equal(regions[f"lower_lid_margin_{side}"], margin + 21)
    assert lid_margins(vertices, left, 0.5 * right) == {}
