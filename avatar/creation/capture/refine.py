"""The last step of a photo: what was laid by rule is trained on the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from avatar.binding import BoundGaussians
from avatar.creation.capture.outline import Shown
from avatar.creation.lids import LIDS
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.flame.head import HeadModel
from avatar.render import open_renderer
from avatar.rig import Avatar

__all__ = ["refine"]

_UNSURE = 0.15
_STEPS, _MORE = 400, 160
"""Steps for the first picture, and for each further one."""
_COVER = 6
"""Pixels beyond what the avatar covers that it may grow into: arms and chairs are not its business."""


def refine(
    avatar: Avatar,
    shown: Sequence[Shown],
    trust: Float[np.ndarray, " n"],
    tell: Callable[[float, str], None] = lambda share, what: None,
    threads: int = 2,
    steps: int | None = None,
) -> Avatar:
    """Train Gaussians on the pictures.

    Args:
        trust: how far the pictures may correct each Gaussian, 0..1: what a photo shows where lids or teeth are is not
            what lies there. The least sure learn nothing, and the others what is missing beside them; only lids and
            what is behind skin learn, and come out as they went in: skin around them would become dark instead.
        steps: of the training; none for 0.
    """
    tell(0.0, "details")
    count = _STEPS + _MORE * (len(shown) - 1) if steps is None else steps
    if not count:
        return avatar
    unsure, inside = torch.from_numpy(trust < _UNSURE), _at_openings(avatar.head)[avatar.gaussians.triangles]
    trained = _trained(avatar, shown, unsure & ~inside, count, lambda share: tell(share, "details"))
    kept = unsure & inside
    parts = {}
    for field in fields(BoundGaussians):
        old, new = getattr(avatar.gaussians, field.name), getattr(trained, field.name)
        parts[field.name] = new.clone()
        parts[field.name][kept] = old[kept]
    return replace(avatar, gaussians=BoundGaussians(**parts))


def _at_openings(head: HeadModel) -> Bool[torch.Tensor, " f"]:
    """Triangles of lids, and of all that is behind skin."""
    outside = torch.zeros(head.n_vertices, dtype=torch.bool)
    outside[head.regions["skin"]] = True
    for name in LIDS:
        outside[head.regions[name]] = False
    return ~outside[head.faces].all(1)


def _trained(
    avatar: Avatar, shown: Sequence[Shown], fixed: Bool[torch.Tensor, " n"], steps: int, tell: Callable[[float], None]
) -> BoundGaussians:
    renderer = open_renderer("cpu")
    views = []
    for k, view in enumerate(shown):
        covered = renderer.render(avatar.pose(view.params), view.camera)[..., 3] > 0.05
        within = ndimage.binary_dilation(covered, iterations=_COVER)[..., None]
        picture = (255 * view.picture * within).round().clip(0, 255).astype(np.uint8)
        views.append(View(f"picture {k + 1}", view.camera, view.params, picture, timestep=k))
    config = TrainingConfig(
        steps=steps,
        rates=Rates(means_m=2e-5, log_scales=8e-3, logit_opacities=1.5e-2, color=8e-3),
        sh_count=avatar.gaussians.sh.shape[1],
        channels=(),
        learn_exposure=len(shown) > 1,
        relocate_from=steps + 1,
    )
    trainer = Trainer(avatar, views, config, fixed=fixed)
    trainer.run(tell=lambda report: tell(report.step / steps))
    return trainer.avatar().gaussians
