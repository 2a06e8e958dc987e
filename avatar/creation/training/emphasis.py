"""What counts more than its share of pixels: eyes, lids, lips and teeth."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar.creation.training.initial import one_disk_each
from avatar.creation.training.poser import Poser
from avatar.creation.training.splatting import Splatter
from avatar.creation.training.view import View
from avatar.flame.head import HeadModel

__all__ = ["EmphasisMap", "expressive_triangles", "eye_triangles", "face_emphasis"]

_REGIONS = {
    "face": 1.5,
    "upper_lid_left": 2.5,
    "upper_lid_right": 2.5,
    "lower_lid_left": 2.5,
    "lower_lid_right": 2.5,
    "lips": 2.5,
    "upper_lip": 2.5,
    "lower_lip": 2.5,
    "upper_teeth": 2.0,
    "lower_teeth": 2.0,
    "tongue": 2.0,
    "caruncle_left": 4.0,
    "caruncle_right": 4.0,
    "eyes": 4.0,
}
"""Regions of a head, with what their triangles count; the greatest counts."""


def face_emphasis(head: HeadModel) -> Float[Tensor, " f"]:
    """What each triangle of a head counts, by the regions that it has names for; 1 without."""
    vertices = torch.ones(head.n_vertices)
    for name, value in _REGIONS.items():
        if name in head.regions:
            index = head.regions[name]
            vertices[index] = vertices[index].clamp_min(value)
    return vertices[head.faces].amin(1)


_MOVED_M = 0.0005
_SHADED = ("eyes", "caruncle_left", "caruncle_right", "upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue")


def expressive_triangles(head: HeadModel) -> Bool[Tensor, " f"]:
    """Which triangles of a head may look different in an expression: what one moves, and what lids and lips shade.

    Hair, neck and clothes are told apart by this: few pictures of expressions show them, and colors learned for them
    would turn up in combinations that none does.
    """
    directions = head.shapedirs[:, :, head.n_shape :]
    vertices = directions.norm(dim=1).amax(1) > _MOVED_M
    for name in _SHADED:
        if name in head.regions:
            vertices[head.regions[name]] = True
    return vertices[head.faces].all(1)


def eye_triangles(head: HeadModel) -> Bool[Tensor, " f"]:
    """Which triangles of a head are the eyeballs'; none where they have no name."""
    return torch.isin(head.faces, head.regions.get("eyes", torch.zeros(0, dtype=torch.long))).all(1)


class EmphasisMap:
    """Maps of what pixels count, from what triangles count."""

    def __init__(
        self, head: HeadModel, static_offset: Tensor | None, emphasis: Float[Tensor, " f"], splatter: Splatter
    ) -> None:
        self._most = float(emphasis.max().clamp_min(1 + 1e-6))
        self._disks = one_disk_each(head, (emphasis - 1) / (self._most - 1)).to(splatter.device)
        self._poser = Poser(head, static_offset, splatter.device, learned=False)
        self._splatter = splatter

    def __call__(self, view: View) -> Float[Tensor, "h w"]:
        """1 where nothing is emphasised."""
        with torch.no_grad():
            image = self._splatter.render(self._disks, self._poser.frames(view), self._poser.camera(view))
        return 1 + (self._most - 1) * image[..., 0].clamp(0, 1)
