"""The underside of the tongue: Gaussians for what a raised tip shows and training pictures never did.

Faces in ARKit's units, from which avatars are made, keep the tongue down. What lies under its tip is hardly seen, and
is bare or speckled; so it gets a plain coat in the colour of the avatar's own tip, darker towards the throat.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from avatar.appearance import Appearance
from avatar.binding import BoundGaussians
from avatar.rig import Avatar

__all__ = ["with_tongue_coat", "without_coat_mark"]

_MARK = "tongue_coat"
_REACH_M, _TIP_M = 0.030, 0.004
_DOWNWARD = -0.15
"""Height of the normal of a triangle that belongs to the underside."""
_SIZE, _FLATNESS = 0.75, 0.12
"""Of a Gaussian in its triangle's plane and across it, in sizes of the triangle."""
_OPACITY = 0.97
_HUE = (1.0, 0.5, 0.46)
"""Of wet flesh, displayed; how bright it is the avatar's own tip says."""
_BRIGHTNESS, _DARKER = 0.88, 0.5
"""Beside the tip's upper side; and what of that is lost at the end of the coat."""
_LEAST = 6
_SH_C0 = 0.28209479177387814


def with_tongue_coat(avatar: Avatar) -> Avatar:
    """The avatar with its coat; unchanged where it has one, no tongue, or no Gaussians on the tip."""
    if avatar.metadata.get(_MARK) or avatar.head.tongue is None:
        return avatar
    head, bound = avatar.head, avatar.gaussians
    tongue = torch.zeros(head.n_vertices, dtype=torch.bool)
    tongue[head.regions["tongue"]] = True
    corners = head.v_template[head.faces]
    normals = torch.nn.functional.normalize(
        torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1
    )
    back = head.v_template[tongue][:, 2].max() - corners[..., 2].mean(1)
    on_tongue = tongue[head.faces].all(1)
    under = on_tongue & (normals[:, 1] < _DOWNWARD) & (back < _REACH_M)
    tip = (on_tongue & (normals[:, 1] >= _DOWNWARD) & (back < _TIP_M))[bound.triangles]
    if int(tip.sum()) < _LEAST or not under.any():
        return avatar
    triangles = under.nonzero().squeeze(-1)
    weight = bound.logit_opacities[tip].sigmoid()
    red = 0.5 + _SH_C0 * float((bound.sh[tip, 0, 0] * weight).sum() / weight.sum())
    colour = _BRIGHTNESS * red * bound.sh.new_tensor(_HUE)
    shade = 1 - _DARKER * (back[triangles] / _REACH_M).clamp(0, 1)
    n = len(triangles)
    sh = bound.sh.new_zeros(n, *bound.sh.shape[1:])
    sh[:, 0] = (colour * shade[:, None] - 0.5) / _SH_C0
    coat = BoundGaussians(
        bound.means.new_zeros(n, 3),
        bound.quats.new_tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        bound.log_scales.new_tensor([_SIZE, _FLATNESS, _SIZE]).log().repeat(n, 1),
        bound.logit_opacities.new_tensor(_OPACITY).logit().repeat(n),
        sh,
        triangles,
    )
    # Of all there are no more than before: the last ones give way. Of the first, none.
    kept = (~under[bound.triangles]).nonzero().squeeze(-1)[: len(bound.triangles) - n]
    early = kept[: min(avatar.least_gaussians // 2, len(kept))]
    late = kept[len(early) :]
    gaussians = BoundGaussians.joined([bound.reordered(early), coat, bound.reordered(late)])
    appearance = avatar.appearance
    if appearance is not None:
        appearance = _widened(appearance, early, n, late)
    metadata = avatar.metadata | {_MARK: True}
    if "least_gaussians" in metadata:
        metadata["least_gaussians"] = avatar.least_gaussians + n
    return replace(avatar, gaussians=gaussians, appearance=appearance, metadata=metadata)


def without_coat_mark(metadata: dict[str, Any]) -> dict[str, Any]:
    """The same of an avatar whose Gaussians are no longer those that a coat was put among: it is to get a new one."""
    return {name: value for name, value in metadata.items() if name != _MARK}


def _widened(appearance: Appearance, early: Int[Tensor, " a"], n: int, late: Int[Tensor, " b"]) -> Appearance:
    """Of the Gaussians `early`, n that no expression changes, and `late`."""

    def wide(codes: Tensor) -> Tensor:
        between = codes.new_zeros(len(codes), n, *codes.shape[2:])
        return torch.cat([codes[:, early], between, codes[:, late]], 1)

    return replace(appearance, tint_codes=wide(appearance.tint_codes), fade_codes=wide(appearance.fade_codes))
