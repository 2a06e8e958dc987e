"""The tip of the tongue: it reaches the teeth however open the jaw is, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.flame.arkit import indices
from avatar.flame.params import FlameParams
from avatar.heads import open_head
from avatar.render.posing import FastHead

HEAD, ARKIT = open_head()
TONGUE = HEAD.regions["tongue"].numpy()


def _pose(jaw_open: float, tip: float) -> FlameParams:
    weights = np.zeros(52, np.float32)
    weights[indices("jawOpen")] = jaw_open
    return ARKIT.params(weights, np.zeros(HEAD.n_shape, np.float32)).replace(tongue_tip=tip)


def _tip_mm(jaw_open: float, tip: float) -> np.ndarray:
    """The highest point of the foremost 4 mm of the tongue."""
    rest = HEAD.v_template.numpy()[TONGUE]
    foremost = TONGUE[rest[:, 2] > rest[:, 2].max() - 0.004]
    posed = HEAD.vertices(_pose(jaw_open, tip)).numpy()[foremost]
    return posed[posed[:, 1].argmax()] * 1e3


@pytest.mark.parametrize("jaw_open", [0.0, 0.1, 0.3, 0.6])
def test_a_raised_tip_stays_behind_the_upper_teeth_whatever_the_jaw_does(jaw_open: float) -> None:
    teeth = HEAD.v_template.numpy()[HEAD.regions["upper_teeth"].numpy()] * 1e3
    incisors = teeth[np.abs(teeth[:, 0]) < 4]
    tip = _tip_mm(jaw_open, 1.0)
    assert incisors[:, 1].min() < tip[1] < incisors[:, 1].min() + 8  # above their edges, below their roots
    assert incisors[:, 2].min() - 8 < tip[2] < incisors[:, 2].max()


def test_a_tip_that_is_not_raised_goes_down_with_the_jaw() -> None:
    assert _tip_mm(0.6, 0.0)[1] < _tip_mm(0.0, 0.0)[1] - 8
    assert (HEAD.vertices(_pose(0.4, 0.0)) == HEAD.vertices(_pose(0.4, 0.0).replace(tongue_tip=0.0))).all()


def test_only_the_tongue_moves_and_its_tip_becomes_a_blade() -> None:
    down, up = (HEAD.vertices(_pose(0.3, tip)).numpy() for tip in (0.0, 1.0))
    moved = np.abs(up - down).max(1) > 1e-7
    assert set(np.flatnonzero(moved)) <= set(TONGUE) and moved.any()
    rest = HEAD.v_template.numpy()[TONGUE]
    foremost = TONGUE[rest[:, 2] > rest[:, 2].max() - 0.004]
    assert np.ptp(up[foremost, 1]) < 0.6 * np.ptp(down[foremost, 1])


@pytest.mark.parametrize(("jaw_open", "tip"), [(0.0, 1.0), (0.3, 0.2), (0.6, 0.9)])
def test_the_fast_head_agrees(jaw_open: float, tip: float) -> None:
    fast = FastHead(HEAD)
    for pose in (_pose(jaw_open, tip), _pose(jaw_open, 0.0)):
        np.testing.assert_allclose(fast.vertices(pose), HEAD.vertices(pose).numpy(), atol=2e-6)


def test_batches_and_single_poses_agree() -> None:
    poses = [_pose(0.1, 0.0), _pose(0.3, 0.7), _pose(0.5, 1.0)]
    stacked = HEAD.vertices(FlameParams.stack(poses))
    for k, pose in enumerate(poses):
        torch.testing.assert_close(stacked[k], HEAD.vertices(pose))
    same = FlameParams.stack(poses).replace(tongue_tip=0.7)  # one tongue for all
    torch.testing.assert_close(HEAD.vertices(same)[1], HEAD.vertices(poses[1]))
    between = FlameParams.lerp(poses[1], poses[2], 0.5)
    assert float(between.tongue_tip) == pytest.approx(0.85)


def test_amounts_and_their_quick_twin_agree() -> None:
    tongue = HEAD.tongue
    assert tongue is not None
    for tip, jaw in ((0.0, 0.0), (0.2, 0.1), (1.0, 0.3), (0.5, -0.1)):
        expected = tongue.amounts(torch.tensor(tip), torch.tensor(jaw)).tolist()
        assert tongue.amounts_of(tip, jaw) == pytest.approx(expected)


def test_a_head_without_a_tongue_ignores_it() -> None:
    bare = replace(HEAD, regions={name: i for name, i in HEAD.regions.items() if name != "tongue"})
    assert bare.tongue is None
    assert (bare.vertices(_pose(0.3, 1.0)) == bare.vertices(_pose(0.3, 0.0))).all()
    assert (FastHead(bare).vertices(_pose(0.3, 1.0)) == FastHead(bare).vertices(_pose(0.3, 0.0))).all()
