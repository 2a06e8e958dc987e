"""The last step of a photo: what was laid by hand is drawn, compared with the pictures, and trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy import ndimage

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.creation.capture.depth import project
from avatar.creation.capture.skin_paint import sample
from avatar.creation.forge.splats import SH_DC
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.flame.params import FlameParams
from avatar.render import open_renderer
from avatar.rig import Avatar

__all__ = ["Shown", "refine"]

_ROUNDS = 4
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
    """Colours take the pictures' error at their own pixel, a few times over; then Gaussians are trained.

    Args:
        trust: how far the pictures may correct each Gaussian, 0..1: what a photo shows where lids or teeth are is not
            what lies there. The least sure come out of the training as they went in.
        steps: of the training; none for 0.
    """
    tell(0.0, "details")
    coloured = _coloured(avatar, shown, trust)
    count = _STEPS * len(shown) if steps is None else steps
    if not count:
        return coloured
    trained = _trained(coloured, shown, count, lambda share: tell(0.1 + 0.9 * share, "details"))
    kept = torch.from_numpy(trust < _UNSURE)
    parts = {}
    for field in fields(BoundGaussians):
        old, new = getattr(coloured.gaussians, field.name), getattr(trained, field.name)
        parts[field.name] = new.clone()
        parts[field.name][kept] = old[kept][..., : new.shape[1], :] if field.name == "sh" else old[kept]
    return replace(coloured, gaussians=BoundGaussians(**parts))


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


def _coloured(avatar: Avatar, shown: Sequence[Shown], trust: Float[np.ndarray, " n"]) -> Avatar:
    renderer = open_renderer("cpu")
    sh = avatar.gaussians.sh.clone()
    for _ in range(_ROUNDS):
        change, weight = torch.zeros_like(sh[:, 0]), torch.zeros(len(sh), 1)
        for view in shown:
            cloud = avatar.pose(view.params)
            drawn = renderer.render(
                GaussianCloud(cloud.means, cloud.quats, cloud.scales, cloud.opacities, sh), view.camera
            )
            pixels, _ = project(cloud.means.double().numpy(), view.camera)
            inside = ((pixels > 1) & (pixels < [view.camera.width - 1, view.camera.height - 1])).all(1)
            inside &= trust > 0
            error = sample((view.picture - drawn).astype(np.float64), pixels[inside])
            solid = np.clip((sample(view.picture[..., 3:].astype(np.float64), pixels[inside]) - 0.6) / 0.3, 0, 1)
            change[inside] += torch.from_numpy(0.7 * (solid * trust[inside, None]) * error[:, :3]).float()
            weight[inside] += 1
        sh[:, 0] += change / weight.clamp_min(1) / SH_DC
        sh[:, 0].clamp_(-0.5 / SH_DC, 0.5 / SH_DC)
    return replace(avatar, gaussians=replace(avatar.gaussians, sh=sh))
