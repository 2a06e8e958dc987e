"""Depth order for blending: exact for a still picture, close to it for a moving one, the same whenever drawn again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avatar.camera import Camera
from avatar.render.cpu.gaussians import PackedGaussians
from avatar.render.opengl.ordering import DepthOrder, TrailingOrder
from avatar.render.posing import FastHead
from avatar.render.probe import probe_avatar

AVATAR = probe_avatar(3000)
GAUSSIANS = PackedGaussians.from_bound(AVATAR.gaussians)
HEAD = FastHead(AVATAR.head)
COUNT = len(GAUSSIANS)


def _frames(yaw_deg: float, jaw: float = 0.0) -> np.ndarray:
    params = AVATAR.head.neutral().replace(jaw_pose=np.array([jaw, 0, 0], np.float32))
    return HEAD.frames(params, Camera.orbit(64, 64, yaw_deg).viewmat[:3]).copy()


def _exact(frames: np.ndarray, count: int = COUNT) -> np.ndarray:
    return DepthOrder()(GAUSSIANS, count, frames[:, 8:12])


@pytest.fixture
def trailing() -> Iterator[TrailingOrder]:
    order = TrailingOrder()
    yield order
    order.close()


def _depths(frames: np.ndarray) -> np.ndarray:
    rows = frames[GAUSSIANS.triangles, 8:12].astype(np.float64)
    return (rows[:, :3] * GAUSSIANS.local[:, :3]).sum(1) + rows[:, 3]


def test_it_is_furthest_first_and_complete() -> None:
    frames = _frames(20)
    order = _exact(frames)
    assert sorted(order) == list(range(COUNT))
    spread = np.ptp(_depths(frames))
    assert np.diff(_depths(frames)[order]).max() < spread / 2**20  # depths are told apart to 22 bits


def test_what_is_behind_the_camera_or_too_faint_is_left_out() -> None:
    frames = _frames(0)
    frames[:, 11] -= 1.0 - 0.02 * (np.arange(len(frames)) % 60)  # some before the camera, some behind
    order = _exact(frames)
    assert set(order) == set(np.flatnonzero((_depths(frames) >= 0.01) & (GAUSSIANS.local[:, 13] >= 0)))
    assert 0 < len(order) < COUNT


def test_a_still_picture_has_its_own_order(trailing: TrailingOrder) -> None:
    for yaw in (0.0, 0.1, 0.2, 30.0, 30.05):
        frames = _frames(yaw)
        trailing(GAUSSIANS, COUNT, frames)
        again = trailing(GAUSSIANS, COUNT, frames)
        np.testing.assert_array_equal(again, _exact(frames))
        assert trailing(GAUSSIANS, COUNT, frames) is again  # nothing to upload


def test_a_picture_like_the_last_takes_the_order_of_that_one(trailing: TrailingOrder) -> None:
    first, second, third = _frames(10), _frames(10.1), _frames(10.1, 0.01)
    np.testing.assert_array_equal(trailing(GAUSSIANS, COUNT, first), _exact(first))
    np.testing.assert_array_equal(trailing(GAUSSIANS, COUNT, second), _exact(first))
    np.testing.assert_array_equal(trailing(GAUSSIANS, COUNT, third), _exact(second))
    assert not np.array_equal(_exact(first), _exact(second))


def test_a_jump_waits_for_its_own(trailing: TrailingOrder) -> None:
    for frames in (_frames(0), _frames(25), _frames(0, 0.4), _frames(0)):
        np.testing.assert_array_equal(trailing(GAUSSIANS, COUNT, frames), _exact(frames))
    np.testing.assert_array_equal(trailing(GAUSSIANS, 500, _frames(0)), _exact(_frames(0), 500))
    other = PackedGaussians.from_bound(AVATAR.gaussians.first(700))
    assert len(trailing(other, 700, _frames(0))) == 700


def test_moving_without_turning_keeps_the_order(trailing: TrailingOrder) -> None:
    """Nearer or further as a whole, by any amount, is no reason to wait: the order stays right."""
    near = _frames(0)
    far = near.copy()
    far[:, 11] += 0.3
    before = trailing(GAUSSIANS, COUNT, near)
    assert trailing(GAUSSIANS, COUNT, far) is before


def test_closing_twice_is_fine() -> None:
    order = TrailingOrder()
    order.close()
    order.close()
