"""Training through gsplat on a CUDA GPU: its gradients are the exact twin's, and it learns what the CPU learns."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.evaluation import mean_psnr_db
from avatar.creation.training.gsplat_splatter import GsplatSplatter
from avatar.creation.training.initial import disks_on_mesh
from avatar.creation.training.reference import TorchSplatter
from avatar.creation.training.splatting import TensorCamera
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.render.cpu import CpuRenderer
from avatar.render.gsplat import unavailable_reason
from avatar.render.probe import probe_avatar
from tests.avatar.creation.training.scenes import SCENES, gradients

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(unavailable_reason() is not None, reason=f"gsplat: {unavailable_reason()}"),
]

RELATIVE = 2e-3
"""Largest error against the largest gradient of its kind: gsplat cuts ellipses off at whole pixels' corners."""


class FromTheCpu:
    """A splatter of the GPU that takes tensors of the CPU and gives a picture there, with the way back."""

    def __init__(self) -> None:
        self.inner = GsplatSplatter()
        self.device = torch.device("cpu")

    def render(
        self,
        bound: BoundGaussians,
        frames: Tensor,
        camera: TensorCamera,
        count: int | None = None,
        tint: Tensor | None = None,
        fade: Tensor | None = None,
    ) -> Tensor:
        there = BoundGaussians(*(getattr(bound, field.name).cuda() for field in fields(bound)))
        seen = replace(camera, turn=camera.turn.cuda(), intrinsics=camera.intrinsics.cuda())
        changes = (None if change is None else change.cuda() for change in (tint, fade))
        return self.inner.render(there, frames.cuda(), seen, count, *changes).cpu()


@pytest.mark.parametrize("name", ["degree 2", "degree 3"])
@pytest.mark.parametrize("count", [None, 17])
def test_gradients_are_those_of_the_twin(name: str, count: int | None) -> None:
    image, found = gradients(FromTheCpu(), SCENES[name], 0, torch.float32, count, intrinsics=False)  # type: ignore[arg-type]
    exact_image, exact = gradients(TorchSplatter(64), SCENES[name], 0, torch.float64, count, intrinsics=False)
    assert (image - exact_image).abs().max() < 1e-4
    for kind, gradient in exact.items():
        error = float((found[kind] - gradient).abs().max() / gradient.abs().max())
        assert error < RELATIVE, f"{kind}: {error:.2g}"


def test_it_learns_what_the_cpu_learns() -> None:
    avatar = probe_avatar(600, 1)
    renderer, views = CpuRenderer(1), []
    for i in range(6):
        camera = Camera.orbit(64, 64, 60 * (i / 6 - 0.5), 5, target=(0, 0, 0), fov_deg=15)
        image = np.clip(renderer.render(avatar.pose(avatar.head.neutral()), camera), 0, 1)
        views.append(View(f"{i}", camera, avatar.head.neutral(), (image * 255 + 0.5).astype(np.uint8), timestep=i))
    start = replace(avatar, gaussians=disks_on_mesh(avatar.head, 400, sh_count=4))
    rates = Rates(means_m=1e-4, color=3e-2, log_scales=3e-2)
    config = TrainingConfig(steps=150, least=150, sh_count=4, relocate_from=10, relocate_every=10, rates=rates)
    found = {}
    for device in ("cpu", "cuda"):
        trainer = Trainer(start, views, replace(config, channels=()), device=device)
        before = mean_psnr_db(trainer, views)
        trainer.run()
        found[device] = mean_psnr_db(trainer, views)
        assert found[device] > before + 2
    assert abs(found["cpu"] - found["cuda"]) < 0.5
