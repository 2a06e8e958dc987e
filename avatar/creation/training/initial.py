"""Gaussians to begin with: grey disks on a bare mesh."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.binding import BoundGaussians, triangle_frames, unbind
from avatar.cloud import GaussianCloud
from avatar.flame.head import HeadModel
from avatar.flame.skinning import matrix_to_quaternion

__all__ = ["disks_on_mesh", "one_disk_each"]

_SMALL_COUNT = 0.75
"""Disks by area to this power: closer where triangles are small, which is where a mesh has its detail."""
_THIN = 0.25
_OPACITY = 0.7
_DEGREE_0 = 0.28209479177387814


def disks_on_mesh(
    head: HeadModel, count: int, seed: int = 0, emphasis: Float[Tensor, " f"] | None = None, sh_count: int = 9
) -> BoundGaussians:
    """`count` grey disks strewn over the neutral head, in random order: any first k cover it evenly.

    Args:
        emphasis: how many more disks triangles get, 1 for those without.
        sh_count: spherical harmonics of each color.
    """
    r = np.random.default_rng(seed)
    corners = head.vertices(head.neutral())[head.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    share = area.numpy().astype(np.float64) ** _SMALL_COUNT
    if emphasis is not None:
        share *= emphasis.numpy()
    triangles = torch.from_numpy(r.choice(len(share), count, p=share / share.sum()))
    inside = torch.from_numpy(r.dirichlet(np.ones(3), count).astype(np.float32))
    each = torch.bincount(triangles, minlength=len(area)).clamp_min(1)
    radius = (area[triangles] / each[triangles]).sqrt() * _OPACITY
    means = (corners[triangles] * inside[..., None]).sum(1)
    return _disks(head, triangles, means, radius, torch.zeros(count, sh_count, 3))


def one_disk_each(head: HeadModel, values: Float[Tensor, " f"]) -> BoundGaussians:
    """A disk that covers each triangle, whose color is `values`: a map of them, for any pose and camera."""
    corners = head.vertices(head.neutral())[head.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    sh = ((values - 0.5) / _DEGREE_0)[:, None, None].expand(-1, 1, 3).contiguous()
    return _disks(head, torch.arange(len(area)), corners.mean(1), area.sqrt() * _OPACITY, sh)


def _disks(
    head: HeadModel, triangles: Tensor, means: Float[Tensor, "n 3"], radius: Float[Tensor, " n"], sh: Tensor
) -> BoundGaussians:
    frames = triangle_frames(head.vertices(head.neutral()), head.faces)
    flat = torch.tensor([1.0, _THIN, 1.0])  # the normal is the second axis
    cloud = GaussianCloud(
        means,
        matrix_to_quaternion(frames.rotations[triangles]),
        radius[:, None] * flat,
        torch.full((len(triangles),), _OPACITY),
        sh,
    )
    return unbind(cloud, frames, triangles)
