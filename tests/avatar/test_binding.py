"""Binding moves with the mesh, rigidly, and inverts."""

from __future__ import annotations

import numpy as np
import torch

from avatar.binding import bind, triangle_frames, unbind
from avatar.flame.skinning import axis_angle_to_matrix, quaternion_to_matrix
from tests.avatar.synthetic import make_avatar


def covariances(cloud) -> torch.Tensor:
    m = quaternion_to_matrix(cloud.quats) * cloud.scales[:, None, :]
    return m @ m.mT


def test_equivariant_under_rigid_motion_and_scale() -> None:
    avatar = make_avatar()
    vertices = avatar.head.v_template
    rotation = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.7]))
    shift, scale = torch.tensor([0.1, 0.2, -0.3]), 1.7
    before = bind(avatar.gaussians, triangle_frames(vertices, avatar.head.faces))
    after = bind(avatar.gaussians, triangle_frames(scale * vertices @ rotation.T + shift, avatar.head.faces))
    assert torch.allclose(after.means, scale * before.means @ rotation.T + shift, atol=1e-5)
    expected = scale**2 * rotation @ covariances(before) @ rotation.T
    assert torch.allclose(covariances(after), expected, atol=1e-6)


def test_frames_are_rotations_at_the_centroids() -> None:
    avatar = make_avatar()
    frames = triangle_frames(avatar.head.v_template, avatar.head.faces)
    identity = torch.eye(3).expand_as(frames.rotations)
    assert torch.allclose(frames.rotations @ frames.rotations.mT, identity, atol=1e-5)
    assert torch.allclose(torch.linalg.det(frames.rotations), torch.ones(len(frames.scales)), atol=1e-5)
    assert torch.allclose(frames.origins, avatar.head.v_template[avatar.head.faces].mean(1), atol=1e-7)


def test_degenerate_triangles_stay_finite() -> None:
    vertices = torch.zeros(3, 3)
    frames = triangle_frames(vertices, torch.tensor([[0, 1, 2]]))
    assert torch.isfinite(frames.rotations).all() and frames.scales.item() == 0


def test_unbind_inverts_bind() -> None:
    avatar = make_avatar()
    params = avatar.head.neutral().replace(neck_pose=[0.1, 0.3, 0.0], expression=np.full(4, 0.5))
    frames = triangle_frames(avatar.head.vertices(params), avatar.head.faces)
    cloud = bind(avatar.gaussians, frames)
    again = bind(unbind(cloud, frames, avatar.gaussians.triangles), frames)
    assert torch.allclose(again.means, cloud.means, atol=1e-6)
    assert torch.allclose(covariances(again), covariances(cloud), atol=1e-7)
    assert torch.allclose(again.opacities, cloud.opacities, atol=1e-5)


def test_level_of_detail_is_a_prefix() -> None:
    avatar = make_avatar(100)
    params = avatar.head.neutral()
    assert torch.equal(avatar.pose(params, 30).means, avatar.pose(params).means[:30])
    assert len(avatar.pose(params, 1000)) == 100
