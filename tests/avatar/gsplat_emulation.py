"""gsplat without a GPU: its own torch twins in place of its kernels."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

__all__ = ["emulate_gsplat"]


def _rasterize_to_pixels(
    means2d: torch.Tensor, conics: torch.Tensor, colors: torch.Tensor, opacities: torch.Tensor,
    width: int, height: int, tile_size: int, offsets: torch.Tensor, ids: torch.Tensor, backgrounds: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """gsplat's rasterization kernel, pixel by pixel over the tiles' lists, in float32."""
    channels = colors.shape[-1]
    out, alphas = torch.zeros(1, height, width, channels), torch.zeros(1, height, width, 1)
    assert ids.dtype == offsets.dtype == torch.int32  # what the kernel reads
    starts = [*offsets.flatten().tolist(), len(ids)]
    columns = offsets.shape[-1]
    for tile in range(offsets.numel()):
        y0, x0 = tile // columns * tile_size, tile % columns * tile_size
        if y0 >= height:
            continue  # no pixel to draw: the kernel leaves at once
        y, x = torch.meshgrid(
            torch.arange(y0, min(y0 + tile_size, height)) + 0.5, torch.arange(x0, min(x0 + tile_size, width)) + 0.5,
            indexing="ij",
        )  # fmt: skip
        t, done, color = torch.ones_like(x), torch.zeros_like(x, dtype=torch.bool), torch.zeros(*x.shape, channels)
        for g in ids[starts[tile] : starts[tile + 1]].tolist():
            dx, dy = means2d[0, g, 0] - x, means2d[0, g, 1] - y
            a, b, c = conics[0, g]
            sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
            alpha = (opacities[0, g] * torch.exp(-sigma)).clamp_max(0.999)
            drawn = (sigma >= 0) & (alpha >= 1 / 255) & ~done
            done |= drawn & (t * (1 - alpha) <= 1e-4)
            weight = torch.where(drawn & ~done, alpha * t, 0.0)
            color += weight[..., None] * colors[0, g]
            t = t - weight
        box = np.s_[0, y0 : y0 + x.shape[0], x0 : x0 + x.shape[1]]
        out[box], alphas[box] = color + t[..., None] * backgrounds[0], 1 - t[..., None]
    return out, alphas


def emulate_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import gsplat` find a module that computes on the CPU."""
    twins = pytest.importorskip("gsplat.cuda._torch_impl")

    def projection(
        means: Any, covars: Any, quats: Any, scales: Any, viewmats: Any, Ks: Any, width: int, height: int,
        packed: bool, opacities: Any,
    ) -> Any:  # fmt: skip
        whole = covars[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].view(-1, 3, 3)
        radii, *rest = twins._fully_fused_projection(means, whole, viewmats, Ks, width, height)
        radii = torch.where((opacities >= 1 / 255)[None, :, None], radii, 0)
        seen = (radii > 0).all(-1)
        unwritten = (torch.where(seen.view(*seen.shape, *(1,) * (v.ndim - 2)), v, torch.nan) for v in rest[:3])
        return radii.to(torch.int32), *unwritten, *rest[3:]

    def harmonics(degree: int, dirs: Any, coeffs: Any, masks: Any) -> Any:
        colors = twins._spherical_harmonics(degree, torch.nn.functional.normalize(dirs, dim=-1), coeffs)
        return torch.where(masks[..., None], colors, torch.nan)

    fake = types.SimpleNamespace(
        fully_fused_projection=projection,
        spherical_harmonics=harmonics,
        rasterize_to_pixels=_rasterize_to_pixels,
    )
    monkeypatch.setitem(sys.modules, "gsplat", fake)
