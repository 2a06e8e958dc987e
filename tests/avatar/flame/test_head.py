"""Laws of the head model's forward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.flame import PARENTS, FlameParams
from avatar.flame.skinning import axis_angle_to_matrix
from tests.avatar.synthetic import make_head

RNG = np.random.default_rng(3)


def random_params(n_shape: int, n_expression: int) -> FlameParams:
    return FlameParams(
        RNG.normal(size=n_shape), RNG.normal(size=n_expression), *(0.5 * RNG.normal(size=3) for _ in range(6))
    )


def test_forward_equals_a_loop_over_vertices() -> None:
    head = make_head()
    params = random_params(3, 4)
    found = head.vertices(params).numpy()

    vectors = np.concatenate([params.shape, params.expression])
    shaped = head.v_template.numpy() + head.shapedirs.numpy() @ vectors
    joints = head.J_regressor.numpy() @ shaped
    pose = [params.global_orient, params.neck_pose, params.jaw_pose, params.leye_pose, params.reye_pose]
    rotations = [axis_angle_to_matrix(torch.tensor(p, dtype=torch.float64)).numpy() for p in pose]
    feature = np.concatenate([(r - np.eye(3)).ravel() for r in rotations[1:]])
    world: list[np.ndarray] = []
    for i, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[i]
        local[:3, 3] = joints[i] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    worst = 0.0
    for v in range(head.n_vertices):
        point = shaped[v] + head.posedirs[v].numpy() @ feature
        moved = sum(head.lbs_weights[v, j].item() * (world[j] @ np.append(point - joints[j], 1))[:3] for j in range(5))
        worst = max(worst, np.abs(found[v] - (moved + params.transl)).max())
    assert worst < 1e-6  # metres


def test_rest_pose_is_the_template() -> None:
    head = make_head()
    assert torch.allclose(head.vertices(head.neutral()), head.v_template, atol=1e-7)


def test_root_rotation_is_rigid() -> None:
    """Turning the root keeps all distances, whatever else the head does."""
    head = make_head().to("cpu", torch.float64)
    params = random_params(3, 4)
    a = head.vertices(params.replace(global_orient=np.zeros(3)))
    b = head.vertices(params)
    assert torch.allclose(torch.cdist(a, a), torch.cdist(b, b), atol=1e-6)


def test_stack_equals_one_by_one() -> None:
    head = make_head()
    poses = [random_params(3, 4) for _ in range(5)]
    together = head.vertices(FlameParams.stack(poses))
    alone = torch.stack([head.vertices(p) for p in poses])
    assert torch.allclose(together, alone, atol=1e-6)


def test_gradients() -> None:
    head = make_head(side=3).to("cpu", torch.float64)
    g = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, generator=g, dtype=torch.float64, requires_grad=True) for n in (3, 4, *[3] * 6)]
    assert torch.autograd.gradcheck(head.forward, inputs)


def test_wrong_number_of_coefficients_is_named() -> None:
    with pytest.raises(ValueError, match="4 expression coefficients, the pose has 7"):
        make_head().vertices(FlameParams.neutral(3, 7))


def test_malformed_head_is_refused() -> None:
    head = make_head()
    with pytest.raises(ValueError, match="posedirs"):
        replace(head, posedirs=head.posedirs[:, :, :9])
    with pytest.raises(ValueError, match="faces"):
        replace(head, faces=head.faces + 1000)


def test_a_part_of_a_head_moves_as_in_the_whole() -> None:
    head, chosen = make_head(), torch.tensor([3, 1, 7])
    params = random_params(3, 4)
    torch.testing.assert_close(head.part(chosen).vertices(params)[:3], head.vertices(params)[chosen])
