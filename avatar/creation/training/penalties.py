"""What Gaussians pay for being wide, far from their triangle, or there at all: slopes added to their gradients.

Reference: Qian et al., "GaussianAvatars", CVPR 2024, section 3.4 (width and distance, in units of the triangle,
free within limits); Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", 2024 (opacity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.creation.training.cpu.stepping import penalty_slopes
from avatar.render.compilation import KERNELS

__all__ = ["Penalties", "add_slopes"]

f32 = np.float32


@dataclass(frozen=True)
class Penalties:
    """Each is a mean over all Gaussians."""

    widest: float = 1.2
    """Scale, in triangle units, from which on being wider costs."""
    furthest: float = 1.0
    """Distance from where a Gaussian began, in triangle units, from which on being further costs."""
    width: float = 0.02
    distance: float = 0.01
    opacity: float = 0.002


def add_slopes(
    penalties: Penalties,
    values: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    home: Float[Tensor, " n"],
    threads: int = 1,
) -> None:
    """Add to gradients in place.

    Args:
        values: with `means`, `log_scales` and `logit_opacities`.
        gradients: of the same names.
        home: how far from the middle of its triangle each Gaussian began.
    """
    n, names = len(home), ("means", "log_scales", "logit_opacities")
    means, log_scales, logit_opacities = (values[name] for name in names)
    d_means, d_log_scales, d_logit_opacities = (gradients[name] for name in names)
    factors = (penalties.width / n, penalties.distance / n, penalties.opacity / n)
    if means.device.type == "cpu":
        arrays = [
            t.detach().numpy()
            for t in (means, log_scales, logit_opacities, home, d_means, d_log_scales, d_logit_opacities)
        ]
        with KERNELS:
            numba.set_num_threads(threads)
            penalty_slopes(*arrays, f32(penalties.widest), f32(penalties.furthest), *map(f32, factors), threads)
        return
    with torch.no_grad():
        scales, opacities = log_scales.exp(), logit_opacities.sigmoid()
        distance = means.norm(dim=1, keepdim=True).clamp_min(1e-9)
        is_far = distance > home[:, None] + penalties.furthest
        d_means.add_(torch.where(is_far, means / distance, 0), alpha=factors[1])
        d_log_scales.add_(torch.where(scales > penalties.widest, scales, 0), alpha=factors[0])
        d_logit_opacities.add_(opacities * (1 - opacities), alpha=factors[2])
