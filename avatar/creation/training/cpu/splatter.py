"""The CPU's splatter: numba kernels both ways, with a front for autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.training.cpu.gradients import RawGaussians, TracedRasterizer
from avatar.creation.training.splatting import TensorCamera

__all__ = ["CpuSplatter"]


class CpuSplatter:
    """Splatting on all cores, forward with the shipped kernels, backward by hand. See `Splatter`."""

    device = torch.device("cpu")

    def __init__(self, threads: int | None = None) -> None:
        """
        Args:
            threads: how many to use; all cores by default.
        """
        self.rasterizer = TracedRasterizer(threads)

    @property
    def weights(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.rasterizer.weights)

    @property
    def pulls(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.rasterizer.pulls)

    def render(
        self,
        bound: BoundGaussians,
        frames: Float[Tensor, "f 3 4"],
        camera: TensorCamera,
        count: int | None = None,
        tint: Float[Tensor, "n 3"] | None = None,
        fade: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "h w 4"]:
        """See `Splatter.render`."""
        sh, logits = bound.sh, bound.logit_opacities
        if tint is not None:
            sh = torch.cat([sh[:, :1] + tint[:, None], sh[:, 1:]], 1)
        if fade is not None:
            logits = logits + fade
        image: Tensor = _Splatting.apply(
            self.rasterizer, len(bound) if count is None else min(count, len(bound)), bound.triangles,
            (camera.width, camera.height), bound.means, bound.quats, bound.log_scales, logits, sh,
            frames, camera.turn, camera.intrinsics,
        )  # fmt: skip
        return image


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


class _Splatting(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rasterizer: TracedRasterizer, count: int, triangles: Tensor, size: tuple[int, int], *tensors: Tensor
    ) -> Tensor:
        means, quats, log_scales, logits, sh, frames, turn, intrinsics = (_array(t) for t in tensors)
        gaussians = RawGaussians(
            means, quats, log_scales, logits, sh.reshape(len(sh), -1), triangles.to(torch.int32).numpy()
        )
        viewmat = np.eye(4, dtype=np.float32)
        viewmat[:3, :3] = turn.T
        fx, fy, cx, cy = intrinsics
        camera = Camera(viewmat, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), *size)
        frames = frames.reshape(-1, 12)
        image = rasterizer.forward(gaussians, count, frames, camera)
        ctx.rasterizer, ctx.made_of = rasterizer, (image, gaussians, count, frames, camera)
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, gaussians, count, frames, camera = ctx.made_of
        with_frames = any(ctx.needs_input_grad[9:])
        g = ctx.rasterizer.backward(_array(gradient), image, gaussians, count, frames, camera, with_frames)
        back = [g.means, g.quats, g.log_scales, g.logit_opacities, g.sh.reshape(len(g.sh), -1, 3)]
        out = [torch.from_numpy(a) for a in back]
        if not with_frames:
            return (None,) * 4 + (*out, None, None, None)
        turn, intrinsics = torch.from_numpy(g.camera[:9].reshape(3, 3)), torch.from_numpy(g.camera[9:])
        return (None,) * 4 + (*out, torch.from_numpy(g.frames).view(-1, 3, 4), turn.float(), intrinsics.float())
