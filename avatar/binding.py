"""Gaussians bound to the triangles of a mesh (the convention of GaussianAvatars)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from avatar.cloud import GaussianCloud
from avatar.flame.skinning import matrix_to_quaternion, quaternion_multiply

__all__ = ["BoundGaussians", "TriangleFrames", "bind", "triangle_frames", "unbind"]


@dataclass(frozen=True, eq=False)
class TriangleFrames:
    """A local frame for each triangle: origin at its centroid, columns edge, normal, in-plane perpendicular."""

    rotations: Float[Tensor, "*batch f 3 3"]
    scales: Float[Tensor, "*batch f"]
    origins: Float[Tensor, "*batch f 3"]


@dataclass(frozen=True, eq=False)
class BoundGaussians:
    """Gaussians in the frames of their triangles, raw (log scales, logit opacities), most important first.

    The first k of them are a good picture of the whole, whatever k: this is the level of detail.
    """

    means: Float32[Tensor, "n 3"]
    quats: Float32[Tensor, "n 4"]
    log_scales: Float32[Tensor, "n 3"]
    logit_opacities: Float32[Tensor, " n"]
    sh: Float32[Tensor, "n k 3"]
    triangles: Int[Tensor, " n"]

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        expected = {
            "means": (n, 3),
            "quats": (n, 4),
            "log_scales": (n, 3),
            "logit_opacities": (n,),
            "sh": (n, *self.sh.shape[1:]),
            "triangles": (n,),
        }
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"BoundGaussians.{name}: expected shape {shape}, got {found}")

    def __len__(self) -> int:
        return self.means.shape[0]

    def first(self, count: int | None) -> BoundGaussians:
        """The `count` most important Gaussians (all of them for None)."""
        if count is None or count >= len(self):
            return self
        if count < 0:
            raise ValueError(f"BoundGaussians.first: expected a count of 0 or more, got {count}")
        return BoundGaussians(*(getattr(self, f.name)[:count] for f in fields(self)))

    def reordered(self, index: Int[Tensor, " m"]) -> BoundGaussians:
        """Some of them, or in another order."""
        return BoundGaussians(*(getattr(self, f.name)[index] for f in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[BoundGaussians]) -> BoundGaussians:
        """One part after the other."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def to(self, device: torch.device | str) -> BoundGaussians:
        return BoundGaussians(*(getattr(self, f.name).to(device) for f in fields(self)))


def triangle_frames(vertices: Float[Tensor, "*batch v 3"], faces: Int[Tensor, "f 3"]) -> TriangleFrames:
    """Frames of all triangles.

    Reference: Qian et al., "GaussianAvatars", CVPR 2024, section 3.2; axes as in the authors' released avatars:
    a0 along the first edge, a1 the normal, a2 = a1 x a0 reversed; scale the mean of edge and height.
    """
    # index_select: the gradient of indexing is summed by several threads in whatever order they come
    v0, v1, v2 = (vertices.index_select(-2, faces[:, i]) for i in range(3))
    normalise = torch.nn.functional.normalize
    edge = v1 - v0
    a0 = normalise(edge, dim=-1, eps=1e-20)
    a1 = normalise(torch.linalg.cross(a0, v2 - v0), dim=-1, eps=1e-20)
    a2 = -normalise(torch.linalg.cross(a1, a0), dim=-1, eps=1e-20)
    height = ((v2 - v0) * a2).sum(-1).abs()
    return TriangleFrames(torch.stack([a0, a1, a2], -1), (edge.norm(dim=-1) + height) / 2, (v0 + v1 + v2) / 3)


def bind(bound: BoundGaussians, frames: TriangleFrames) -> GaussianCloud:
    """Put bound Gaussians where their triangles are now. Differentiable; the readable twin of the fast paths."""
    rotations = frames.rotations[bound.triangles]
    scales = frames.scales[bound.triangles]
    means = scales[:, None] * (rotations @ bound.means[..., None]).squeeze(-1) + frames.origins[bound.triangles]
    local = torch.nn.functional.normalize(bound.quats, dim=-1)
    return GaussianCloud(
        means,
        quaternion_multiply(matrix_to_quaternion(rotations), local),
        scales[:, None] * bound.log_scales.exp(),
        bound.logit_opacities.sigmoid(),
        bound.sh,
    )


def unbind(cloud: GaussianCloud, frames: TriangleFrames, triangles: Int[Tensor, " n"]) -> BoundGaussians:
    """The inverse of `bind`: express a cloud in the frames of the given triangles."""
    rotations = frames.rotations[triangles]
    scales = frames.scales[triangles][:, None]
    inverse = matrix_to_quaternion(rotations) * torch.tensor([1.0, -1.0, -1.0, -1.0])
    offset = (cloud.means - frames.origins[triangles])[..., None]
    opacities = cloud.opacities.clamp(1e-6, 1 - 1e-6)
    return BoundGaussians(
        (rotations.mT @ offset).squeeze(-1) / scales,
        quaternion_multiply(inverse, torch.nn.functional.normalize(cloud.quats, dim=-1)),
        (cloud.scales / scales).clamp_min(1e-12).log(),
        opacities.logit(),
        cloud.sh,
        triangles,
    )
