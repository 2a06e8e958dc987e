"""Training through gsplat without a GPU: its torch twins in place of its kernels, against the exact twin."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatar.creation.training.gsplat_splatter import GsplatSplatter
from avatar.creation.training.reference import TorchSplatter
from avatar.creation.training.splatting import TensorCamera, frames_in_camera, open_splatter
from avatar.errors import UserError
from tests.avatar.creation.training.scenes import RAW, SCENES, gradients, made
from tests.avatar.gsplat_emulation import emulate_gsplat

RELATIVE = 2e-3
"""Largest error against the largest gradient of its kind: gsplat's twin cuts ellipses off at whole pixels' corners."""


@pytest.fixture
def splatter(monkeypatch: pytest.MonkeyPatch) -> GsplatSplatter:
    emulate_gsplat(monkeypatch)
    return GsplatSplatter("cpu")


@pytest.mark.parametrize("name", ["degree 2", "degree 3"])
@pytest.mark.parametrize("count", [None, 17])
def test_gradients_are_those_of_the_twin(splatter: GsplatSplatter, name: str, count: int | None) -> None:
    image, found = gradients(splatter, SCENES[name], 0, torch.float32, count, intrinsics=False)
    exact_image, exact = gradients(TorchSplatter(64), SCENES[name], 0, torch.float64, count, intrinsics=False)
    assert (image - exact_image).abs().max() < 1e-4
    for kind, gradient in exact.items():
        error = float((found[kind] - gradient).abs().max() / gradient.abs().max())
        assert error < RELATIVE, f"{kind}: {error:.2g}"


def test_what_it_tells_of_gaussians_is_what_the_twin_tells(splatter: GsplatSplatter) -> None:
    twin = TorchSplatter(64)
    for each, dtype in ((splatter, torch.float32), (twin, torch.float64)):
        gradients(each, SCENES["degree 2"], 0, dtype, 30, intrinsics=False)
    assert (splatter.weights - twin.weights).abs().max() < 1e-3
    assert (splatter.peaks - twin.peaks).abs().max() < 1e-4
    assert splatter.pulls[:30].max() > 0 and not splatter.pulls[30:].any()


def test_intrinsics_are_refused(splatter: GsplatSplatter) -> None:
    bound, vertices, faces, camera = made(SCENES["degree 0"], 0)
    of = TensorCamera.of(camera)
    frames = frames_in_camera(vertices, faces, torch.from_numpy(camera.viewmat))
    with pytest.raises(ValueError, match="on the CPU"):
        splatter.render(bound, frames, replace(of, intrinsics=of.intrinsics.requires_grad_()))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where CUDA is missing")
def test_without_a_gpu_it_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="cannot train with gsplat here"):
        open_splatter("cuda")
    with pytest.raises(UserError, match="choose cpu or cuda"):
        open_splatter("tpu")


def test_all_raw_parameters_are_covered() -> None:
    assert set(RAW) == {"means", "quats", "log_scales", "logit_opacities", "sh"}
