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
    def peaks(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.rasterizer.peaks)

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
        image: Tensor = _Splatting.apply(
            self.rasterizer, len(bound) if count is None else min(count, len(bound)), bound.triangles,
            (camera.width, camera.height), bound.means, bound.quats, bound.log_scales, bound.logit_opacities, bound.sh,
            tint, fade, frames, camera.turn, camera.intrinsics,
        )  # fmt: skip
        return image


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


class _Splatting(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rasterizer: TracedRasterizer,
        count: int,
        triangles: Tensor,
        size: tuple[int, int],
        means: Tensor,
        quats: Tensor,
        log_scales: Tensor,
        logit_opacities: Tensor,
        sh: Tensor,
        tint: Tensor | None,
        fade: Tensor | None,
        frames: Tensor,
        turn: Tensor,
        intrinsics: Tensor,
    ) -> Tensor:
        gaussians = RawGaussians(
            _array(means), _array(quats), _array(log_scales), _array(logit_opacities), _array(sh).reshape(len(sh), -1),
            np.ascontiguousarray(triangles.numpy(), np.int32),
            None if tint is None else _array(tint), None if fade is None else _array(fade),
        )  # fmt: skip
        viewmat = np.eye(4, dtype=np.float32)
        viewmat[:3, :3] = _array(turn).T
        fx, fy, cx, cy = _array(intrinsics)
        camera = Camera(viewmat, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), *size)
        matrices = _array(frames).reshape(-1, 12)
        image = rasterizer.forward(gaussians, count, matrices, camera)
        ctx.rasterizer, ctx.made_of, ctx.picture = (
            rasterizer,
            (image, gaussians, count, matrices, camera),
            rasterizer.drawn,
        )
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, gaussians, count, frames, camera = ctx.made_of
        if ctx.picture != ctx.rasterizer.drawn:
            raise RuntimeError("CpuSplatter: another picture has been drawn since; take gradients before that")
        wanted = ctx.needs_input_grad
        g = ctx.rasterizer.backward(_array(gradient), image, gaussians, count, frames, camera, any(wanted[11:]))
        sh = torch.from_numpy(g.sh).view(len(g.sh), -1, 3)
        raw = [torch.from_numpy(a) for a in (g.means, g.quats, g.log_scales, g.logit_opacities)]
        tint, fade = sh[:, 0].clone() if wanted[9] else None, raw[3].clone() if wanted[10] else None
        out: tuple[Tensor | None, ...] = (None,) * 4 + (*raw, sh, tint, fade)
        if g.frames is None or g.camera is None:
            return (*out, None, None, None)
        numbers = torch.from_numpy(g.camera).float()
        return (*out, torch.from_numpy(g.frames).view(-1, 3, 4), numbers[:9].view(3, 3), numbers[9:])
