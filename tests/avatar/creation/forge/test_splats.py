"""Splats: shapes, joining, binding to the head they were made on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.binding import bind, triangle_frames
from avatar.creation.forge.splats import Splats, concatenate, frames_from_axes
from avatar.flame.skinning import quaternion_to_matrix


def some_splats(n: int, n_triangles: int, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)
    return Splats(
        rng.normal(0, 0.05, (n, 3)),
        frames_from_axes(rng.normal(size=(n, 3)), rng.normal(size=(n, 3))),
        rng.uniform(1e-4, 2e-3, (n, 3)),
        rng.uniform(0.1, 0.95, n),
        rng.normal(0, 0.3, (n, 9, 3)),
        rng.integers(0, n_triangles, n),
    )


def test_frames_are_right_handed_and_follow_the_axes_given() -> None:
    rng = np.random.default_rng(1)
    first, normal = rng.normal(size=(2, 50, 3))
    frames = frames_from_axes(first, normal)
    np.testing.assert_allclose(frames.transpose(0, 2, 1) @ frames, np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)
    np.testing.assert_allclose(frames[:, :, 0], first / np.linalg.norm(first, axis=1, keepdims=True))
    assert ((frames[:, :, 2] * normal).sum(1) > 0).all()


def test_binding_and_posing_on_the_same_head_gives_the_splats_back() -> None:
    rng = np.random.default_rng(2)
    vertices = rng.normal(0, 0.05, (30, 3))
    faces = rng.permuted(np.tile(np.arange(30), (12, 1)), axis=1)[:, :3]
    splats = some_splats(40, 12)
    cloud = bind(
        splats.to_bound(vertices, faces), triangle_frames(torch.from_numpy(vertices).float(), torch.from_numpy(faces))
    )
    np.testing.assert_allclose(cloud.means, splats.positions, atol=2e-6)
    np.testing.assert_allclose(cloud.scales, splats.scales, rtol=1e-4)
    np.testing.assert_allclose(cloud.opacities, splats.opacities, atol=1e-5)
    np.testing.assert_allclose(quaternion_to_matrix(cloud.quats), splats.frames, atol=1e-4)


def test_joining_keeps_order_and_selecting_undoes_it() -> None:
    a, b = some_splats(5, 9, 1), some_splats(7, 9, 2)
    both = concatenate([a, b])
    assert len(both) == 12
    np.testing.assert_array_equal(both.select(np.arange(5, 12)).sh, b.sh)
    np.testing.assert_array_equal(both.select(np.arange(12) < 5).positions, a.positions)
    with pytest.raises(ValueError, match="at least one part"):
        concatenate([])


def test_a_wrong_shape_is_refused_by_name() -> None:
    good = some_splats(3, 4)
    with pytest.raises(ValueError, match=r"Splats\.scales: expected shape \(3, 3\)"):
        Splats(good.positions, good.frames, good.scales[:2], good.opacities, good.sh, good.triangles)
