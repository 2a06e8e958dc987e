"""Blending and stacking of poses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.flame import FlameParams
from avatar.flame.skinning import axis_angle_to_matrix


def pose(seed: int, time: float = 0.0) -> FlameParams:
    g = np.random.default_rng(seed)
    return FlameParams(g.normal(size=2), g.normal(size=3), *(0.3 * g.normal(size=3) for _ in range(6)), time)


def test_lerp_meets_its_ends_and_its_time() -> None:
    a, b = pose(0, 1.0), pose(1, 3.0)
    assert FlameParams.lerp(a, b, 0.0) == a
    end = FlameParams.lerp(a, b, 1.0)
    assert np.allclose(end.jaw_pose, b.jaw_pose, atol=1e-6)
    assert FlameParams.lerp(a, b, 0.5).stream_time_s == 2.0


def test_lerp_goes_the_short_way_round() -> None:
    a = FlameParams.neutral(0, 0).replace(global_orient=[0, 3.1, 0])
    b = FlameParams.neutral(0, 0).replace(global_orient=[0, -3.1, 0])  # 0.083 rad further, across pi
    middle = torch.tensor(FlameParams.lerp(a, b, 0.5).global_orient)
    expected = axis_angle_to_matrix(torch.tensor([0.0, np.pi, 0.0]))
    assert torch.allclose(axis_angle_to_matrix(middle), expected, atol=1e-5)


def test_known_blendshape_weights_go_along_and_unknown_ones_are_not_made_up() -> None:
    one, other = np.full(52, 0.2, np.float32), np.full(52, 0.6, np.float32)
    a, b = pose(0).replace(blendshape_weights=one), pose(1, 1.0).replace(blendshape_weights=other)
    between = FlameParams.lerp(a, b, 0.25)
    assert between.blendshape_weights is not None
    assert np.allclose(between.blendshape_weights, 0.3)
    assert np.array_equal(a.replace(stream_time_s=2.0).blendshape_weights, one)
    assert FlameParams.lerp(a, pose(1, 1.0), 0.25).blendshape_weights is None


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="jaw_pose"):
        FlameParams.neutral(1, 1).replace(jaw_pose=np.zeros(4))
    with pytest.raises(ValueError, match="at least one"):
        FlameParams.stack([])
