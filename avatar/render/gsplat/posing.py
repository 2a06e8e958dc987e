"""Skinning, triangle frames and binding in torch, arranged for a GPU. Its readable twin is `Avatar.pose`."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.flame.skinning import quaternion_to_matrix
from avatar.render.posing import FastHead
from avatar.rig import Avatar

__all__ = ["DeviceAvatar", "covariances"]


def covariances(half: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 6"]:
    """Upper triangles (xx, xy, xz, yy, yz, zz) of half half', where `half` is rotation times scale."""
    whole = (half[:, :, None, :] * half[:, None, :, :]).sum(-1)
    return torch.cat([whole[:, 0], whole[:, 1, 1:], whole[:, 2, 2:]], -1)


class DeviceAvatar:
    """An avatar's tensors on a device, activated once; poses are tensor operations of fixed shapes, no host in between.

    The five joints are the host's (`FastHead.drive`): on a GPU they would be a hundred kernels of a few numbers each.
    From there on everything is done on the device, in some thirty kernels: vertices are kept homogeneous, and rotation
    times scale is one matrix, so that what is left are a few large products.
    """

    def __init__(self, avatar: Avatar, head: FastHead, device: torch.device) -> None:
        v = len(head.weights)
        directions = torch.zeros(v, 4, len(head.directions))
        directions[:, :3] = torch.from_numpy(head.directions).T.reshape(v, 3, -1)
        self._directions = directions.view(4 * v, -1).to(device)
        self._base = torch.ones(v, 4, device=device)
        self._base_held: np.ndarray | None = None
        self._weights = torch.from_numpy(head.weights).to(device)
        self._corners = torch.from_numpy(head.faces.reshape(-1)).to(device)
        bound = avatar.gaussians.to(device)
        n = len(bound)
        half = quaternion_to_matrix(bound.quats) * bound.log_scales.exp()[:, None, :]
        self._means = torch.nn.functional.pad(bound.means, (0, 1), value=1.0).view(n, 1, 4)
        self._half = half.view(n, 1, 3, 3)
        self._triangles = bound.triangles.to(torch.int32)
        self.opacities = bound.logit_opacities.sigmoid().contiguous()
        self.sh = bound.sh.flip(-1).contiguous()
        """Spherical harmonics of blue, green and red, in this order."""
        self._expression: tuple[Tensor, Tensor, Tensor, Tensor | None] | None = None
        if avatar.appearance is not None:
            tints, fades = avatar.appearance.tints.flip(-1), avatar.appearance.fades
            logits = bound.logit_opacities.clone() if fades.any() else None
            self._expression = (self.sh[:, 0].clone(), tints.to(device), fades.to(device), logits)

    def __len__(self) -> int:
        return self.opacities.shape[0]

    def set_base(self, base: Float[np.ndarray, " v*3"]) -> None:
        """Take over `FastHead.base`, where it is another than before."""
        if base is not self._base_held:
            self._base[:, :3] = torch.from_numpy(base).view(-1, 3).to(self._base.device)
            self._base_held = base

    def express(self, weights: Float[Tensor, " c"], count: int) -> None:
        """Change colors and opacities of the first `count` Gaussians, where the avatar's expression does."""
        if self._expression is None:
            return
        plain, tints, fades, logits = self._expression
        self.sh[:count, 0] = plain[:count] + torch.tensordot(weights, tints[:, :count], 1)
        if logits is not None:
            self.opacities[:count] = (logits[:count] + weights @ fades[:, :count]).sigmoid()

    def pose(
        self, coefficients: Float[Tensor, " d"], transforms: Float[Tensor, "5 12"], count: int
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 6"]]:
        """Means and covariances (upper triangles) of the first `count` Gaussians in the world.

        Args:
            coefficients: of `FastHead.directions`.
            transforms: what each joint does, 3 x 4, rows; the translation among it.
        """
        shaped = torch.addmv(self._base.view(-1), self._directions, coefficients).view(-1, 1, 4)
        blended = (self._weights @ transforms).view(-1, 3, 4)
        vertices = (blended * shaped).sum(-1)
        frames = self._frames(vertices.index_select(0, self._corners).view(-1, 3, 3))
        matrices = frames.view(-1, 12).index_select(0, self._triangles[:count]).view(-1, 3, 4)
        means = (matrices * self._means[:count]).sum(-1)
        return means, covariances((matrices[:, :, :3, None] * self._half[:count]).sum(2))

    @staticmethod
    def _frames(corners: Float[Tensor, "f 3 3"]) -> Float[Tensor, "f 3 4"]:
        """Frames of triangles, [scale * rotation | origin]; see `avatar.binding.triangle_frames`."""
        edge, side = (corners[:, 1:] - corners[:, :1]).unbind(1)
        length = torch.linalg.vector_norm(edge, dim=-1, keepdim=True)
        a0 = edge / length.clamp_min(1e-20)
        normal = torch.linalg.cross(a0, side)
        height = torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
        a1 = normal / height.clamp_min(1e-20)
        a2 = torch.linalg.cross(a0, a1)
        scaled = torch.stack([a0, a1, a2], -1) * (0.5 * (length + height))[..., None]
        return torch.cat([scaled, corners.mean(1)[..., None]], -1)
