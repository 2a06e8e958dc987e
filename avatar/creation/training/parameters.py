"""What a training changes: the raw numbers of an avatar's Gaussians in their order, and their changes by expression."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.appearance import Appearance
from avatar.binding import BoundGaussians

__all__ = ["RAW", "Parameters"]

RAW = ("means", "quats", "log_scales", "logit_opacities", "sh")
_NOTICEABLE = 1e-3


class Parameters:
    """Leaf tensors on one device, changed in place. Their order is that of importance."""

    def __init__(
        self,
        bound: BoundGaussians,
        appearance: Appearance | None,
        channels: tuple[str, ...],
        device: torch.device,
        sh_count: int,
    ) -> None:
        """
        Args:
            appearance: what the Gaussians have of it already.
            channels: ARKit channels that are to change colors besides.
            sh_count: spherical harmonics of each color: 1, 4, 9 or 16.
        """

        def leaf(values: Tensor) -> Tensor:
            return values.detach().to(device, torch.float32).contiguous().clone()

        sh = torch.zeros(len(bound), sh_count, 3)
        kept = min(sh_count, bound.sh.shape[1])
        sh[:, :kept] = bound.sh[:, :kept].cpu()
        self.tensors: dict[str, Tensor] = {
            "means": leaf(bound.means),
            "quats": leaf(torch.nn.functional.normalize(bound.quats, dim=-1)),
            "log_scales": leaf(bound.log_scales),
            "logit_opacities": leaf(bound.logit_opacities),
            "sh": leaf(sh),
        }
        own = () if appearance is None else appearance.channels
        self.channels = tuple(dict.fromkeys((*own, *channels)))
        for name in self.channels:
            self.tensors[f"tint.{name}"] = torch.zeros(len(bound), 3, device=device)
            self.tensors[f"fade.{name}"] = torch.zeros(len(bound), device=device)
        if appearance is not None:
            for name, tint, fade in zip(own, appearance.tints, appearance.fades, strict=True):
                self.tensors[f"tint.{name}"], self.tensors[f"fade.{name}"] = leaf(tint), leaf(fade)
        for name in RAW:
            self.tensors[name].requires_grad_()
        self.triangles = bound.triangles.to(device, torch.int32).contiguous()

    def __len__(self) -> int:
        return len(self.triangles)

    @property
    def bound(self) -> BoundGaussians:
        """The Gaussians themselves, not a copy."""
        return BoundGaussians(**{name: self.tensors[name] for name in RAW}, triangles=self.triangles)

    def appearance(self) -> Appearance | None:
        """A rounded copy of the changes by expression."""
        if not self.channels:
            return None
        tints, fades = (
            torch.stack([self.tensors[f"{kind}.{c}"] for c in self.channels]).cpu() for kind in ("tint", "fade")
        )
        return Appearance.rounded(self.channels, tints, fades)

    def gradients(self) -> dict[str, Tensor]:
        """Those of the raw parameters, after a way back; they are not a copy, and taken away from the parameters."""
        found = {}
        for name in RAW:
            gradient, self.tensors[name].grad = self.tensors[name].grad, None
            assert gradient is not None
            found[name] = gradient
        return found

    def changes(self, weights: Float[np.ndarray, " c"]) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """What weights of the channels add to spherical harmonics of degree 0 and to logit opacities."""
        if not self.channels:
            return None, None
        n = len(self)
        tint, fade = (torch.zeros(shape, device=self.triangles.device) for shape in ((n, 3), (n,)))
        for channel, weight in self.active(weights):
            tint.add_(self.tensors[f"tint.{channel}"], alpha=weight)
            fade.add_(self.tensors[f"fade.{channel}"], alpha=weight)
        return tint, fade

    def active(self, weights: Float[np.ndarray, " c"]) -> list[tuple[str, float]]:
        """The channels that have a weight worth mentioning."""
        return [(c, w) for c, w in zip(self.channels, weights.tolist(), strict=True) if abs(w) > _NOTICEABLE]

    def finished(self) -> BoundGaussians:
        """A copy of the Gaussians on the CPU, quaternions normalised."""
        t = {name: self.tensors[name].detach().cpu().clone() for name in RAW}
        t["quats"] = torch.nn.functional.normalize(t["quats"], dim=-1)
        return BoundGaussians(**t, triangles=self.triangles.cpu().long())

    def rows(self) -> Iterator[Tensor]:
        """All tensors with a row for each Gaussian, the triangles too, without their graph."""
        yield from (tensor.data for tensor in self.tensors.values())
        yield self.triangles

    def reorder(self, index: Int[Tensor, " n"]) -> None:
        """Put row `index[i]` in place i."""
        for tensor in self.rows():
            tensor[:] = tensor[index].clone()

    def copy(self, source: Int[Tensor, " m"], to: Int[Tensor, " m"]) -> None:
        """Make Gaussians equal to others."""
        for tensor in self.rows():
            tensor[to] = tensor[source]
