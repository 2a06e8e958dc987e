"""A cloud of 3D Gaussians in world space, ready to be rasterized."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float32
from torch import Tensor

__all__ = ["GaussianCloud"]


@dataclass(frozen=True, eq=False)
class GaussianCloud:
    """Activated Gaussians: metres, unit wxyz quaternions, opacities 0..1.

    A colour is max(0, sum_k sh_k Y_k(view direction) + 0.5) in display space; K is 1, 4, 9 or 16.
    """

    means: Float32[Tensor, "n 3"]
    quats: Float32[Tensor, "n 4"]
    scales: Float32[Tensor, "n 3"]
    opacities: Float32[Tensor, " n"]
    sh: Float32[Tensor, "n k 3"]

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        expected = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,)}
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"GaussianCloud.{name}: expected shape {shape}, got {found}")
        if self.sh.shape[0] != n or self.sh.shape[1:] not in ((1, 3), (4, 3), (9, 3), (16, 3)):
            raise ValueError(f"GaussianCloud.sh: expected ({n}, 1|4|9|16, 3), got {tuple(self.sh.shape)}")

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def sh_degree(self) -> int:
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    def to(self, device: torch.device | str) -> GaussianCloud:
        return GaussianCloud(*(getattr(self, f.name).to(device) for f in fields(self)))
