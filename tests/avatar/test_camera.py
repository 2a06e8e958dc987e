"""Cameras look where they are told."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.camera import PRESETS, Camera
from avatar.errors import UserError


def project(camera: Camera, point: np.ndarray) -> np.ndarray:
    p = camera.K @ (camera.viewmat[:3, :3] @ point + camera.viewmat[:3, 3])
    return np.array([p[0] / p[2], p[1] / p[2], p[2]])


@pytest.mark.parametrize("yaw", [-80, 0, 35])
@pytest.mark.parametrize("pitch", [-30, 0, 20])
def test_target_is_in_the_middle_at_its_distance(yaw: float, pitch: float) -> None:
    target = (0.01, -0.03, 0.02)
    camera = Camera.orbit(640, 480, yaw, pitch, 0.9, target)
    assert np.allclose(project(camera, np.array(target)), [320, 240, 0.9], atol=1e-3)
    assert np.linalg.norm(camera.position - np.array(target)) == pytest.approx(0.9, abs=1e-5)


def test_up_is_up_and_left_is_right() -> None:
    camera = Camera.orbit(400, 400)
    middle = project(camera, np.array([0, -0.02, -0.03]))
    assert project(camera, np.array([0, 0.03, -0.03]))[1] < middle[1]
    assert project(camera, np.array([0.05, -0.02, -0.03]))[0] > middle[0]  # the subject's left is seen on the right


def test_positive_yaw_shows_the_subjects_left() -> None:
    assert Camera.orbit(400, 400, yaw_deg=40).position[0] > 0
    assert Camera.orbit(400, 400, pitch_deg=20).position[1] > 0


def test_presets_and_bad_names() -> None:
    for name in PRESETS:
        Camera.preset(name, 64, 48)
    with pytest.raises(UserError, match="portrait"):
        Camera.preset("sideways", 64, 48)
    with pytest.raises(ValueError, match="1 x 1"):
        Camera.orbit(0, 10)
