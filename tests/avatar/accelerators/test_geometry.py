"""Mesh functions against loops, and against pytorch3d where it is installed."""

from __future__ import annotations

import pytest
import torch

from avatar.accelerators import has_pytorch3d, laplacian_smoothing_loss, nearest_neighbours, rasterize_mesh
from avatar.camera import Camera
from avatar.errors import UserError
from avatar.flame.skinning import axis_angle_to_matrix, matrix_to_quaternion, quaternion_to_matrix
from avatar.render.probe import probe_head

with_pytorch3d = pytest.mark.skipif(not has_pytorch3d(), reason="pytorch3d is not installed (it is optional)")


def test_smoothing_loss_agrees_with_a_loop() -> None:
    vertices = torch.randn(6, 3)  # the last is on no triangle
    faces = torch.tensor([[0, 1, 2], [2, 1, 3], [3, 4, 2]])
    neighbours: dict[int, set[int]] = {i: set() for i in range(6)}
    for face in faces.tolist():
        for a in face:
            neighbours[a] |= set(face) - {a}
    total = sum(
        (torch.stack([vertices[j] for j in around]).mean(0) - vertices[i]).norm() if around else vertices[i].norm()
        for i, around in neighbours.items()
    )
    assert laplacian_smoothing_loss(vertices, faces).item() == pytest.approx(float(total) / 6, rel=1e-5)


def test_smoothing_loss_is_differentiable() -> None:
    vertices = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [2, 1, 3], [3, 4, 2]])
    assert torch.autograd.gradcheck(lambda v: laplacian_smoothing_loss(v, faces), vertices)


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_nearest_neighbours_are_the_nearest(n: int) -> None:
    points, targets = torch.randn(n, 3), torch.randn(50, 3)
    squared, indices = nearest_neighbours(points, targets, 4)
    distances = ((points[:, None] - targets[None]) ** 2).sum(-1)
    expected = distances.sort(dim=1).values[:, :4]
    torch.testing.assert_close(squared, expected)
    torch.testing.assert_close(distances.gather(1, indices), expected)


def test_more_neighbours_than_targets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a count of 1..3"):
        nearest_neighbours(torch.zeros(1, 3), torch.zeros(3, 3), 4)


def test_drawing_a_mesh_says_what_it_needs() -> None:
    head = probe_head()
    with pytest.raises(UserError, match="needs pytorch3d and a CUDA GPU"):
        rasterize_mesh(head.v_template, head.faces, Camera.orbit(8, 8))


@with_pytorch3d
def test_agreement_with_pytorch3d() -> None:
    from pytorch3d import loss, ops, structures, transforms

    turns = torch.randn(100, 3) * 2
    matrices = axis_angle_to_matrix(turns)
    torch.testing.assert_close(matrices, transforms.axis_angle_to_matrix(turns), atol=1e-5, rtol=0)
    mine, theirs = matrix_to_quaternion(matrices), transforms.matrix_to_quaternion(matrices)
    torch.testing.assert_close((mine * theirs).sum(-1).abs(), torch.ones(100), atol=1e-5, rtol=0)
    torch.testing.assert_close(quaternion_to_matrix(theirs), transforms.quaternion_to_matrix(theirs))
    head = probe_head()
    expected = loss.mesh_laplacian_smoothing(structures.Meshes([head.v_template], [head.faces]), method="uniform")
    torch.testing.assert_close(laplacian_smoothing_loss(head.v_template, head.faces), expected)
    points, targets = torch.randn(200, 3), torch.randn(300, 3)
    found = ops.knn_points(points[None], targets[None], K=3)
    squared, indices = nearest_neighbours(points, targets, 3)
    torch.testing.assert_close(squared, found.dists[0])
    assert (indices == found.idx[0]).float().mean() > 0.99
