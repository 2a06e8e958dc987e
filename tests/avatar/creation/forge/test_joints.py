"""Laws of the jaw's hinge and of what compensates it."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.joints import Hinge, inverse_jaw, jaw_hinge, jaw_weights, joint_regressor

HINGE = Hinge(np.array([0.0, -0.03, -0.02]), 0.4)


def points(n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, (n, 3))


@pytest.mark.parametrize("angle", [0.05, 0.4, 0.9])
def test_a_hinge_is_recovered_from_what_it_carries(angle: float) -> None:
    hinge = Hinge(np.array([0.0, -0.031, -0.024]), angle)
    found = jaw_hinge(points(), hinge.carry(points()))
    assert found.angle == pytest.approx(angle)
    np.testing.assert_allclose(found.joint, hinge.joint, atol=1e-12)
    np.testing.assert_allclose(found.turn @ found.turn.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weights_are_the_share_of_the_turn(share: float) -> None:
    weights = jaw_weights(points(), share * HINGE.carry(points()), HINGE)
    np.testing.assert_allclose(weights, share, atol=1e-12)


def test_skinning_undoes_the_inverse() -> None:
    wanted = np.random.default_rng(1).normal(0, 0.01, (40, 3))
    weights = np.random.default_rng(2).uniform(0, 1, 40)
    before = inverse_jaw(wanted, weights, HINGE)
    skinned = (1 - weights)[:, None] * before + weights[:, None] * before @ HINGE.turn.T
    np.testing.assert_allclose(skinned, wanted, atol=1e-15)


def test_regressed_joints_move_with_the_head_and_only_by_the_candidates() -> None:
    vertices = points(300)
    joints = np.array([[0.0, -0.1, -0.05], [0.0, -0.04, -0.05], [0.0, -0.03, -0.02]])
    candidates = np.arange(0, 200)
    members = {"eye_left": np.arange(200, 230), "eye_right": np.arange(230, 260)}
    regressor = joint_regressor(vertices, joints, candidates, members)
    np.testing.assert_allclose(regressor[:3] @ vertices, joints, atol=1e-9)
    np.testing.assert_allclose(regressor[3] @ vertices, vertices[200:230].mean(0), atol=1e-12)
    assert (regressor[:3, 200:] == 0).all()
    turned = vertices @ HINGE.turn.T + [0.1, 0.2, -0.3]
    np.testing.assert_allclose(regressor[:3] @ turned, joints @ HINGE.turn.T + [0.1, 0.2, -0.3], atol=1e-9)
