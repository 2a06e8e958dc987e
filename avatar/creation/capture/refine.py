"""The last step of a photo: what was laid by hand is drawn, compared with the picture, and mended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.creation.capture.depth import project
from avatar.creation.capture.skin_paint import sample
from avatar.creation.forge.splats import SH_DC
from avatar.flame.params import FlameParams
from avatar.render import open_renderer
from avatar.rig import Avatar

__all__ = ["Shown", "refine"]


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
    """Colours take the pictures' error at their own pixel, a few times over.

    Args:
        trust: how far the pictures may correct each Gaussian, 0..1: what a photo shows where an eye or teeth are is not
            what lies there.
    """
    renderer = open_renderer("cpu")
    sh = avatar.gaussians.sh.clone()
    rounds = 6 if steps is None else steps
    for k in range(rounds):
        tell(k / rounds, "details")
        change, weight = torch.zeros_like(sh[:, 0]), torch.zeros(len(sh), 1)
        for view in shown:
            cloud = avatar.pose(view.params)
            drawn = renderer.render(replace_sh(cloud, sh), view.camera)
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


def replace_sh(cloud: GaussianCloud, sh: torch.Tensor) -> GaussianCloud:
    return GaussianCloud(cloud.means, cloud.quats, cloud.scales, cloud.opacities, sh)
