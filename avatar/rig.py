"""An avatar: a head model and the Gaussians bound to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Int
from torch import Tensor

from avatar.appearance import Appearance
from avatar.binding import BoundGaussians, bind, triangle_frames
from avatar.cloud import GaussianCloud
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams

__all__ = ["Avatar"]

_LEAST_PLACED = 36_000
"""Of an avatar whose Gaussians were placed and not trained: with fewer collars are incomplete, and soon eyes."""


@dataclass(frozen=True, eq=False)
class Avatar:
    """What is drawn: Gaussians that follow the triangles of a head."""

    name: str
    head: HeadModel
    gaussians: BoundGaussians
    arkit: ArkitMap
    static_offset: Tensor | None = None
    """Per-vertex offset (V, 3) of the neutral head, metres, as trained avatars have."""
    metadata: dict[str, Any] = field(default_factory=dict)
    appearance: Appearance | None = None
    """What expressions do to the color of the Gaussians."""

    def __post_init__(self) -> None:
        n_faces = self.head.faces.shape[0]
        triangles = self.gaussians.triangles
        if len(self.gaussians) and (int(triangles.min()) < 0 or int(triangles.max()) >= n_faces):
            raise ValueError(
                f"avatar {self.name!r}: Gaussians are bound to triangles {int(triangles.min())}.."
                f"{int(triangles.max())}, the head has 0..{n_faces - 1}"
            )
        if self.arkit.expression.shape[1] != self.head.n_expression:
            raise ValueError(
                f"avatar {self.name!r}: the ARKit map gives {self.arkit.expression.shape[1]} expression "
                f"coefficients, the head has {self.head.n_expression}"
            )
        if self.appearance is not None and len(self.appearance) != len(self.gaussians):
            raise ValueError(
                f"avatar {self.name!r}: its appearance is of {len(self.appearance)} Gaussians, "
                f"there are {len(self.gaussians)}"
            )

    @property
    def least_gaussians(self) -> int:
        """How many of its Gaussians, at least, are a whole picture: training says so in the metadata."""
        trained = self.metadata.get("least_gaussians")
        least = trained if isinstance(trained, int) and trained > 0 else _LEAST_PLACED
        return min(least, len(self.gaussians))

    def reordered(self, index: Int[Tensor, " m"]) -> Avatar:
        """With some of its Gaussians, or in another order."""
        appearance = None if self.appearance is None else self.appearance.reordered(index)
        return replace(self, gaussians=self.gaussians.reordered(index), appearance=appearance)

    def pose(self, params: FlameParams, max_gaussians: int | None = None) -> GaussianCloud:
        """The cloud of one pose, by the readable path (torch). `Renderer.draw` has faster ones.

        Args:
            params: a single pose.
            max_gaussians: level of detail: only the so many most important Gaussians.
        """
        vertices = self.head.vertices(params, self.static_offset)
        seen = self.gaussians.first(max_gaussians)
        if self.appearance is not None:
            seen = self.appearance.applied(seen, self.appearance.weights(self.arkit, params))
        return bind(seen, triangle_frames(vertices, self.head.faces))
