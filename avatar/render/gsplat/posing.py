"""Head forward, triangle frames and binding in torch, arranged for a GPU. Its readable twin is `Avatar.pose`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.binding import triangle_frames
from avatar.flame.skinning import matrix_to_quaternion, quaternion_multiply
from avatar.rig import Avatar

__all__ = ["DeviceAvatar"]


class DeviceAvatar:
    """An avatar's tensors on a device, activated once; poses are tensor operations of fixed shapes, no host in between.

    Unlike `avatar.binding.bind`, rotations become quaternions by triangle, not by Gaussian.
    """

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        self.head = avatar.head.to(device)
        self.static_offset = None if avatar.static_offset is None else avatar.static_offset.to(device)
        bound = avatar.gaussians.to(device)
        self.means = bound.means.contiguous()
        self.quats = torch.nn.functional.normalize(bound.quats, dim=-1)
        self.scales = bound.log_scales.exp()
        self.opacities = bound.logit_opacities.sigmoid()
        self.sh = bound.sh.contiguous()
        self.sh_degree = {1: 0, 4: 1, 9: 2, 16: 3}[bound.sh.shape[1]]
        self.triangles = bound.triangles.contiguous()

    def __len__(self) -> int:
        return self.means.shape[0]

    def pose(
        self, inputs: dict[str, Tensor], count: int
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 4"], Float[Tensor, "n 3"]]:
        """Means, quaternions (wxyz) and scales of the first `count` Gaussians in the world.

        Args:
            inputs: see `PictureInputs.views`.
        """
        vertices = self.head.forward(
            inputs["shape"],
            inputs["expression"],
            inputs["global_orient"],
            inputs["neck_pose"],
            inputs["jaw_pose"],
            inputs["leye_pose"],
            inputs["reye_pose"],
            inputs["transl"],
            self.static_offset,
        )
        frames = triangle_frames(vertices, self.head.faces)
        triangles = self.triangles[:count]
        scaled = frames.rotations * frames.scales[:, None, None]
        matrices = torch.cat([scaled, frames.origins[..., None]], -1)[triangles]
        means = (matrices[..., :3] * self.means[:count, None, :]).sum(-1) + matrices[..., 3]
        turned = matrix_to_quaternion(frames.rotations)[triangles]
        return (
            means,
            quaternion_multiply(turned, self.quats[:count]),
            frames.scales[triangles][:, None] * self.scales[:count],
        )
