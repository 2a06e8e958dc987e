"""Laws of rotations and of linear blend skinning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.flame.head import PARENTS
from avatar.flame.skinning import (
    axis_angle_to_matrix,
    linear_blend_skinning,
    matrix_to_quaternion,
    quaternion_multiply,
    quaternion_to_matrix,
    rigid_transforms,
)

vector = st.tuples(*[st.floats(-math.pi, math.pi)] * 3)
IDENTITY = torch.eye(3, dtype=torch.float64)


def rotation(axis_angle: tuple[float, ...]) -> torch.Tensor:
    return axis_angle_to_matrix(torch.tensor(axis_angle, dtype=torch.float64))


@given(vector)
def test_rotation_is_orthogonal_and_keeps_handedness(v: tuple[float, ...]) -> None:
    r = rotation(v)
    assert torch.allclose(r @ r.T, IDENTITY, atol=1e-10)
    assert torch.linalg.det(r).item() == pytest.approx(1.0, abs=1e-10)


@given(vector)
def test_opposite_angle_is_the_inverse(v: tuple[float, ...]) -> None:
    assert torch.allclose(rotation(v) @ rotation(tuple(-x for x in v)), IDENTITY, atol=1e-10)


@given(vector)
def test_axis_is_left_alone_and_angle_is_the_norm(v: tuple[float, ...]) -> None:
    axis = torch.tensor(v, dtype=torch.float64)
    r = rotation(v)
    assert torch.allclose(r @ axis, axis, atol=1e-9)
    assert r.trace().item() == pytest.approx(1 + 2 * math.cos(axis.norm().item()), abs=1e-9)


@given(vector, vector)
def test_quaternion_product_is_the_composition(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    qa, qb = matrix_to_quaternion(rotation(a)), matrix_to_quaternion(rotation(b))
    assert torch.allclose(quaternion_to_matrix(quaternion_multiply(qa, qb)), rotation(a) @ rotation(b), atol=1e-9)


@given(vector)
def test_quaternion_round_trip(v: tuple[float, ...]) -> None:
    assert torch.allclose(quaternion_to_matrix(matrix_to_quaternion(rotation(v))), rotation(v), atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_half_turn_survives_the_quaternion(axis: int) -> None:
    v = [0.0, 0.0, 0.0]
    v[axis] = math.pi
    assert torch.allclose(quaternion_to_matrix(matrix_to_quaternion(rotation(tuple(v)))), rotation(tuple(v)), atol=1e-9)


def test_gradients_are_right_and_finite_at_zero() -> None:
    v = torch.tensor([[0.3, -0.2, 0.9], [1e-5, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, v)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_skinning_equals_a_loop_over_vertices(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    vertices = torch.randn(17, 3, generator=g, dtype=torch.float64)
    joints = torch.randn(5, 3, generator=g, dtype=torch.float64)
    rotations = axis_angle_to_matrix(torch.randn(5, 3, generator=g, dtype=torch.float64))
    weights = torch.rand(17, 5, generator=g, dtype=torch.float64)
    weights /= weights.sum(1, keepdim=True)

    found = linear_blend_skinning(vertices, rigid_transforms(rotations, joints, PARENTS), weights).numpy()

    # Independent: 4 x 4 matrices, one vertex and one joint at a time.
    r, j = rotations.numpy(), joints.numpy()

    def world(i: int) -> np.ndarray:
        local = np.eye(4)
        local[:3, :3] = r[i]
        local[:3, 3] = j[i] - (j[PARENTS[i]] if PARENTS[i] >= 0 else 0)
        return world(PARENTS[i]) @ local if PARENTS[i] >= 0 else local

    expected = np.zeros((17, 3))
    for v in range(17):
        for i in range(5):
            rest = np.append(vertices[v].numpy() - j[i], 1.0)
            expected[v] += weights[v, i].item() * (world(i) @ rest)[:3]
    assert np.abs(found - expected).max() < 1e-10
