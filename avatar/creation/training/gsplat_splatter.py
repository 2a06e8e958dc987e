"""The splatter of an NVIDIA GPU: binding in torch, projection and compositing by gsplat."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.creation.training.splatting import TensorCamera
from avatar.errors import UserError
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render.gsplat.availability import load_extension
from avatar.render.gsplat.posing import covariances
from avatar.render.gsplat.rasterization import Projected, list_gaussians, project, rasterize
from avatar.render.protocol import RendererUnavailableError

__all__ = ["GsplatSplatter"]


class GsplatSplatter:
    """Splatting with gsplat; see `Splatter`. Intrinsics have no gradient: gsplat's projection gives none."""

    def __init__(self, device: str = "cuda") -> None:
        """Load gsplat's kernels, compiling them if need be.

        Raises:
            UserError: if they cannot be used here.
        """
        self.device = torch.device(device)
        if self.device.type == "cuda":
            try:
                load_extension()
            except RendererUnavailableError as error:
                raise UserError(f"cannot train with gsplat here: {error}") from error
        self._seen: Projected | None = None
        self._probe = torch.zeros(0)
        self._count = self._all = 0

    @property
    def weights(self) -> Float[Tensor, " n"]:
        return self._padded(self._probe.grad)

    @property
    def peaks(self) -> Float[Tensor, " n"]:
        assert self._seen is not None
        a, b, c = self._seen.conics[0].detach().unbind(-1)
        share = (a * c - b * b).clamp_min(0).sqrt() / (2 * torch.pi)
        return self.weights * self._padded(torch.where(self._seen.visible[0], share, 0))

    @property
    def pulls(self) -> Float[Tensor, " n"]:
        assert self._seen is not None
        pull = self._seen.means2d.grad
        return self._padded(None if pull is None else torch.where(self._seen.visible[0], pull[0].norm(dim=-1), 0))

    def _padded(self, values: Tensor | None) -> Float[Tensor, " n"]:
        """Of all Gaussians, where only the first were drawn."""
        out = torch.zeros(self._all, device=self.device)
        if values is not None:
            out[: self._count] = values.reshape(-1)
        return out

    def render(
        self,
        bound: BoundGaussians,
        frames: Float[Tensor, "f 3 4"],
        camera: TensorCamera,
        count: int | None = None,
        tint: Float[Tensor, "n 3"] | None = None,
        fade: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "h w 4"]:
        """See `Splatter.render`.

        Raises:
            ValueError: if intrinsics ask for gradients.
        """
        if camera.intrinsics.requires_grad:
            raise ValueError("GsplatSplatter: intrinsics can have no gradient here; train them on the CPU")
        self._all = len(bound)
        n = self._count = len(bound) if count is None else min(count, len(bound))
        own = frames[bound.triangles[:n].long()]
        turns = own[..., :3]
        means = (turns @ bound.means[:n, :, None]).squeeze(-1) + own[..., 3]
        half = turns @ (quaternion_to_matrix(bound.quats[:n]) * bound.log_scales[:n].exp()[:, None])
        sh, logits = bound.sh[:n], bound.logit_opacities[:n]
        if tint is not None:
            sh = torch.cat([sh[:, :1] + tint[:n, None], sh[:, 1:]], 1)
        if fade is not None:
            logits = logits + fade[:n]
        fx, fy, cx, cy = camera.intrinsics.tolist()
        K = torch.tensor([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]], device=self.device)
        # Everything is in the camera's axes; only harmonics want the world's
        seen = project(
            means, covariances(half), logits.sigmoid(), sh, torch.eye(4, device=self.device)[None], K,
            means.new_zeros(3), camera.width, camera.height, turn=camera.turn,
        )  # fmt: skip
        seen.means2d.retain_grad() if seen.means2d.requires_grad else None
        # A fifth color that is 0 and whose slope is set to 1: its gradient is how much of the picture a Gaussian is
        self._probe = torch.zeros(1, n, 1, device=self.device, requires_grad=True)
        self._seen = Projected(
            seen.visible, seen.radii, seen.means2d, seen.depths, seen.conics, seen.opacities,
            torch.cat([seen.colors, self._probe], -1),
        )  # fmt: skip
        lists = list_gaussians(self._seen, camera.width, camera.height)
        pixels = rasterize(self._seen, lists, camera.width, camera.height, means.new_zeros(1, 5))
        if pixels.requires_grad:
            pixels.register_hook(_with_slope_one)
        return pixels[..., :4]


def _with_slope_one(gradient: Float[Tensor, "h w 5"]) -> Float[Tensor, "h w 5"]:
    return torch.cat([gradient[..., :4], torch.ones_like(gradient[..., 4:])], -1)
