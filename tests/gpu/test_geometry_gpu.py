"""Mesh functions on CUDA, where pytorch3d takes over."""

from __future__ import annotations

import pytest
import torch

from avatar.accelerators import has_pytorch3d, laplacian_smoothing_loss, nearest_neighbours, rasterize_mesh
from avatar.camera import Camera
from avatar.render.probe import probe_head

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
    pytest.mark.skipif(not has_pytorch3d(), reason="pytorch3d is not installed (it is optional)"),
]


def test_pytorch3d_on_cuda_agrees_with_torch_on_the_cpu() -> None:
    head = probe_head()
    vertices, faces = head.v_template, head.faces
    torch.testing.assert_close(
        laplacian_smoothing_loss(vertices.cuda(), faces.cuda()).cpu(), laplacian_smoothing_loss(vertices, faces)
    )
    points = torch.randn(500, 3) * 0.1
    torch.testing.assert_close(
        nearest_neighbours(points.cuda(), vertices.cuda(), 2)[0].cpu(), nearest_neighbours(points, vertices, 2)[0]
    )


def test_drawn_triangles_lie_where_the_camera_puts_them() -> None:
    head, camera = probe_head(), Camera.orbit(64, 48, 20)
    triangles, weights = rasterize_mesh(head.v_template.cuda(), head.faces.cuda(), camera)
    y, x = torch.nonzero(triangles.cpu() >= 0, as_tuple=True)
    corners = head.v_template[head.faces[triangles.cpu()[y, x]]]
    points = (corners * weights.cpu()[y, x][..., None]).sum(1)
    seen = points @ torch.from_numpy(camera.viewmat[:3, :3].T.copy()) + torch.from_numpy(camera.viewmat[:3, 3])
    pixels = seen @ torch.from_numpy(camera.K.T.copy())
    pixels = pixels[:, :2] / pixels[:, 2:]
    assert (pixels - torch.stack([x, y], 1) - 0.5).abs().max() < 0.05
