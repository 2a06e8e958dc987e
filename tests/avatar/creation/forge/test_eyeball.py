"""Laws of the eye's shape."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.eyeball import (
    CORNEA_APEX_M,
    IRIS_RADIUS_M,
    IRIS_Z_M,
    LIMBUS_DEG,
    SCLERA_RADIUS_M,
    ball,
    fine_ball,
    iris,
    surface_radius,
)
from avatar.creation.forge.mesh import triangulate


def test_a_ball_of_twelve_millimetres_with_a_cornea_in_front() -> None:
    assert pytest.approx(0.012) == SCLERA_RADIUS_M
    assert 0.0007 < CORNEA_APEX_M - SCLERA_RADIUS_M < 0.0015
    theta = np.linspace(0, np.pi, 400)
    radius = surface_radius(theta)
    assert radius[0] == pytest.approx(CORNEA_APEX_M, abs=2e-5)
    np.testing.assert_allclose(radius[theta > np.radians(LIMBUS_DEG + 12)], SCLERA_RADIUS_M, atol=2e-5)
    assert (np.diff(radius) < 1e-9).all()  # nothing bulges twice


def test_the_centre_of_rotation_is_the_mean_of_the_ball() -> None:
    np.testing.assert_allclose(ball().vertices.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("mesh", [ball(), fine_ball(24, 8)], ids=["coarse", "fine"])
def test_balls_are_closed_and_face_outwards(mesh) -> None:
    ends = np.sort(np.stack([mesh.quads, np.roll(mesh.quads, -1, 1)], -1).reshape(-1, 2), 1)
    assert (np.unique(ends, axis=0, return_counts=True)[1] == 2).all()
    v, t = mesh.vertices, triangulate(mesh.quads)
    normal = np.cross(v[t[:, 1]] - v[t[:, 0]], v[t[:, 2]] - v[t[:, 0]])
    assert ((normal * v[t].mean(1)).sum(1) > 0).all()
    r = np.linalg.norm(v, axis=1)
    np.testing.assert_allclose(r, surface_radius(np.arccos(v[:, 2] / r)), atol=1e-12)


def test_the_iris_lies_behind_the_cornea_around_a_pupil() -> None:
    mesh = iris(pupil=0.4)
    rho = np.hypot(*mesh.vertices[:, :2].T)
    assert rho.min() == pytest.approx(0.4 * IRIS_RADIUS_M)
    assert rho.max() > IRIS_RADIUS_M
    r = np.linalg.norm(mesh.vertices, axis=1)
    inside = rho < 0.97 * IRIS_RADIUS_M
    depth = (surface_radius(np.arccos(mesh.vertices[:, 2] / r)) - r)[inside]
    assert depth.min() > 0.0001
    assert CORNEA_APEX_M - IRIS_Z_M > 0.0025  # the front chamber
