"""Splatting in plain torch, left to autograd: the readable twin of the fast ways back, in any precision.

Reference: Kerbl et al., "3D Gaussian Splatting", 2023, section 4; semantics and constants are those of
`avatar.render.reference`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.creation.training.splatting import TensorCamera
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render.reference import ALPHA_MAX, ALPHA_MIN, BLUR, MAX_EXTENT, NEAR_M, TRANSMITTANCE_MIN

__all__ = ["TorchSplatter", "harmonics"]

_FRUSTUM_MARGIN = 0.15  # of the picture's size


def harmonics(directions: Float[Tensor, "n 3"], count: int) -> Float[Tensor, "n count"]:
    """Real spherical harmonics of unit directions; the twin of `avatar.render.reference.sh_basis`, differentiable."""
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        torch.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return torch.stack(basis[:count], -1)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Gaussians in the picture, nearest first."""

    index: Int[Tensor, " m"]
    means2d: Float[Tensor, "m 2"]
    conics: Float[Tensor, "m 2 2"]
    extents: Float[Tensor, "m 2"]
    opacities: Float[Tensor, " m"]
    colors: Float[Tensor, "m 4"]
    """Red, green, blue, and 1 for alpha."""


class TorchSplatter:
    """Draws with torch operations alone, tile by tile."""

    device = torch.device("cpu")

    def __init__(self, tile: int = 16) -> None:
        """
        Args:
            tile: pixels along the side of what is composed at once.
        """
        self._tile = tile
        self.weights, self.peaks, self.pulls = (torch.zeros(0) for _ in range(3))

    def render(
        self,
        bound: BoundGaussians,
        frames: Float[Tensor, "f 3 4"],
        camera: TensorCamera,
        count: int | None = None,
        tint: Float[Tensor, "n 3"] | None = None,
        fade: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "h w 4"]:
        """See `Splatter.render`. `weights` and `peaks` are known at once; `pulls` are not worked out."""
        n = len(bound)
        seen = _project(bound, frames, camera, n if count is None else min(count, n), tint, fade)
        self.weights, self.peaks, self.pulls = (torch.zeros(n, dtype=bound.means.dtype) for _ in range(3))
        rows = []
        for y in range(0, camera.height, self._tile):
            across = range(0, camera.width, self._tile)
            rows.append(torch.cat([self._compose(seen, camera, x, y) for x in across], 1))
        areas = 2 * math.pi / torch.linalg.det(seen.conics.detach()).sqrt()
        self.peaks[seen.index] = self.weights[seen.index] / areas
        return torch.cat(rows, 0)

    def _compose(self, seen: _Seen, camera: TensorCamera, x0: int, y0: int) -> Float[Tensor, "h w 4"]:
        x1, y1 = min(x0 + self._tile, camera.width), min(y0 + self._tile, camera.height)
        low, high = (torch.tensor(corner).to(seen.means2d) for corner in ((x0, y0), (x1, y1)))
        touched = ((seen.means2d + seen.extents > low) & (seen.means2d - seen.extents < high)).all(-1)
        here = touched.nonzero().squeeze(-1)
        xs, ys = torch.arange(x0, x1) + 0.5, torch.arange(y0, y1) + 0.5
        pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).to(seen.means2d)
        offsets = pixels[:, :, None] - seen.means2d[here]
        power = -0.5 * torch.einsum("hwni,nij,hwnj->hwn", offsets, seen.conics[here], offsets)
        alphas = (seen.opacities[here] * power.exp()).clamp_max(ALPHA_MAX)
        alphas = torch.where(alphas < ALPHA_MIN, 0, alphas)
        after = (1 - alphas).cumprod(-1)
        before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], -1)
        weights = torch.where((after > TRANSMITTANCE_MIN) | (alphas == 0), alphas * before, 0)
        self.weights[seen.index[here]] += weights.detach().sum((0, 1))
        return weights @ seen.colors[here]


def _project(
    bound: BoundGaussians,
    frames: Float[Tensor, "f 3 4"],
    camera: TensorCamera,
    count: int,
    tint: Tensor | None,
    fade: Tensor | None,
) -> _Seen:
    own = frames[bound.triangles[:count]]
    turns, origins = own[..., :3], own[..., 3]
    center = (turns @ bound.means[:count, :, None]).squeeze(-1) + origins
    logits = bound.logit_opacities[:count] + (0 if fade is None else fade[:count])
    opacities = logits.sigmoid()
    x, y, z = center.unbind(-1)
    fx, fy, cx, cy = camera.intrinsics.unbind()
    safe = z.clamp_min(NEAR_M)
    low = torch.stack([-cx / fx - _FRUSTUM_MARGIN * camera.width / fx, -cy / fy - _FRUSTUM_MARGIN * camera.height / fy])
    high = torch.stack(
        [
            (camera.width - cx) / fx + _FRUSTUM_MARGIN * camera.width / fx,
            (camera.height - cy) / fy + _FRUSTUM_MARGIN * camera.height / fy,
        ]
    )
    u, v = torch.minimum(torch.maximum(center[:, :2] / safe[:, None], low), high).unbind(-1)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [torch.stack([fx / safe, zero, -fx * u / safe], -1), torch.stack([zero, fy / safe, -fy * v / safe], -1)], -2
    )
    half = jacobian @ turns @ (quaternion_to_matrix(bound.quats[:count]) * bound.log_scales[:count].exp()[:, None])
    covariance = half @ half.mT + BLUR * torch.eye(2).to(half)
    means2d = torch.stack([fx * x / safe + cx, fy * y / safe + cy], -1)
    with torch.no_grad():
        reach = (2 * (opacities.clamp_min(ALPHA_MIN) / ALPHA_MIN).log()).sqrt().clamp_max(MAX_EXTENT)
        extents = (reach[:, None] * covariance.diagonal(dim1=-2, dim2=-1).sqrt()).ceil()
        size = torch.tensor([camera.width, camera.height]).to(means2d)
        drawn = (z >= NEAR_M) & (opacities >= ALPHA_MIN)
        drawn &= ((means2d + extents > 0) & (means2d - extents < size)).all(-1)
        order = torch.argsort(z, stable=True)
        index = order[drawn[order]]
    directions = torch.nn.functional.normalize(center, dim=-1) @ camera.turn.mT
    sh = bound.sh[:count]
    colors = torch.einsum("nkc,nk->nc", sh, harmonics(directions, sh.shape[1])) + 0.5
    if tint is not None:
        colors = colors + tint[:count] * 0.28209479177387814
    colors = torch.cat([colors.clamp_min(0), torch.ones_like(colors[:, :1])], -1)
    return _Seen(
        index, means2d[index], torch.linalg.inv(covariance)[index], extents[index], opacities[index], colors[index]
    )
