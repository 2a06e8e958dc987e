"""Mesh losses and mesh rendering: pytorch3d on CUDA where it is installed, torch otherwise.

pytorch3d is not on PyPI for current Pythons and its CPU rasterizer takes seconds an image, so it is never needed.
Rotations have one home, `avatar.flame.skinning`; a test checks them, too, against pytorch3d.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.camera import Camera
from avatar.errors import UserError

__all__ = ["has_pytorch3d", "laplacian_smoothing_loss", "nearest_neighbours", "rasterize_mesh"]

_CHUNK = 2048  # rows of a distance matrix that are held at a time


@cache
def has_pytorch3d() -> bool:
    """Whether pytorch3d is installed."""
    return find_spec("pytorch3d") is not None


def _accelerated(tensor: Tensor) -> bool:
    return tensor.is_cuda and has_pytorch3d()


def laplacian_smoothing_loss(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, ""]:
    """Mean distance of the vertices from the mean of their neighbours (uniform weights), metres. Differentiable.

    Reference: Desbrun et al., "Implicit fairing of irregular meshes", 1999; `pytorch3d.loss.mesh_laplacian_smoothing`.
    """
    if _accelerated(vertices):
        from pytorch3d.loss import mesh_laplacian_smoothing
        from pytorch3d.structures import Meshes

        return mesh_laplacian_smoothing(Meshes([vertices], [faces]), method="uniform")
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = torch.unique(edges.sort(dim=1).values, dim=0)
    both_ways = torch.cat([edges, edges.flip(1)])
    # index_select: the gradient of indexing is summed by several threads in whatever order they come
    neighbours = vertices.index_select(0, both_ways[:, 1])
    total = torch.zeros_like(vertices).index_add(0, both_ways[:, 0], neighbours)
    degree = torch.bincount(both_ways[:, 0], minlength=len(vertices)).to(vertices)[:, None]
    offset = torch.where(degree > 0, total / degree.clamp_min(1) - vertices, -vertices)
    return offset.norm(dim=1).mean()


def nearest_neighbours(
    points: Float[Tensor, "n 3"], targets: Float[Tensor, "m 3"], count: int = 1
) -> tuple[Float[Tensor, "n count"], Int[Tensor, "n count"]]:
    """For each point its nearest targets: squared distances and indices, nearest first.

    Raises:
        ValueError: if there are fewer targets than `count`.
    """
    if not 1 <= count <= len(targets):
        raise ValueError(f"nearest_neighbours: expected a count of 1..{len(targets)} (the targets), got {count}")
    if _accelerated(points):
        from pytorch3d.ops import knn_points

        found = knn_points(points[None], targets[None], K=count)
        return found.dists[0], found.idx[0]
    indices = torch.cat(
        [
            torch.cdist(part, targets, compute_mode="donot_use_mm_for_euclid_dist").topk(count, largest=False).indices
            for part in points.split(_CHUNK)
        ]
        or [torch.zeros(0, count, dtype=torch.int64, device=points.device)]
    )
    return ((points[:, None] - targets[indices]) ** 2).sum(-1), indices


def rasterize_mesh(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], camera: Camera
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w 3"]]:
    """The nearest triangle in each pixel (-1 for none), and the barycentric coordinates there. On CUDA only.

    Raises:
        UserError: without CUDA tensors and pytorch3d.
    """
    if not _accelerated(vertices):
        raise UserError("drawing a mesh needs pytorch3d and a CUDA GPU: draw the avatar's Gaussians instead")
    from pytorch3d.renderer import MeshRasterizer, RasterizationSettings
    from pytorch3d.structures import Meshes
    from pytorch3d.utils import cameras_from_opencv_projection

    view, K = (torch.from_numpy(m).to(vertices) for m in (camera.viewmat, camera.K))
    size = torch.tensor([[camera.height, camera.width]], device=vertices.device)
    cameras = cameras_from_opencv_projection(view[None, :3, :3], view[None, :3, 3], K[None], size)
    settings = RasterizationSettings(image_size=(camera.height, camera.width), faces_per_pixel=1)
    fragments = MeshRasterizer(cameras, settings)(Meshes([vertices], [faces]))
    return fragments.pix_to_face[0, ..., 0], fragments.bary_coords[0, ..., 0, :]
