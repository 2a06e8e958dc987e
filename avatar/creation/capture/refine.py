"""The last step of a photo: what was laid by rule is trained on the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy import ndimage

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.flame.params import FlameParams
from avatar.render import open_renderer
from avatar.rig import Avatar

__all__ = ["Shown", "refine"]

_UNSURE = 0.15
_STEPS = 160
_COVER = 6
"""Pixels beyond what the avatar covers that it may grow into: arms and chairs are not its business."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, premultiplied RGBA 0..1, with the camera and the pose that show it."""

    camera: Camera
    params: FlameParams
    picture: Float32[np.ndarray, "h w 4"]


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
            what lies there. The least sure come out of the training as they went in.
        steps: of the training; none for 0.
    """
    tell(0.0, "details")
    count = _STEPS * len(shown) if steps is None else steps
    if not count:
        return avatar
    trained = _trained(avatar, shown, count, lambda share: tell(share, "details"))
    kept = torch.from_numpy(trust < _UNSURE)
    parts = {}
    for field in fields(BoundGaussians):
        old, new = getattr(avatar.gaussians, field.name), getattr(trained, field.name)
        parts[field.name] = new.clone()
        parts[field.name][kept] = old[kept][..., : new.shape[1], :] if field.name == "sh" else old[kept]
    return replace(avatar, gaussians=BoundGaussians(**parts))


def _trained(avatar: Avatar, shown: Sequence[Shown], steps: int, tell: Callable[[float], None]) -> BoundGaussians:
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
    trainer = Trainer(avatar, views, config)
    trainer.run(tell=lambda report: tell(report.step / steps))
    return trainer.avatar().gaussians
