"""The hand-written way back against autograd of the readable twin in float64, against differences, against itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.binding import bind, triangle_frames
from avatar.creation.training.cpu.splatter import CpuSplatter
from avatar.creation.training.reference import TorchSplatter
from avatar.creation.training.splatting import TensorCamera, frames_in_camera
from avatar.render.reference import ReferenceRenderer
from tests.avatar.creation.training.scenes import RAW, SCENES, gradients, loss_of, made

RELATIVE = 1e-5
"""Largest error of a gradient against the largest of its kind."""
RELATIVE_CAMERA = 3e-5
"""The same of a camera's numbers, each a sum over everything in the picture in which much cancels."""


@pytest.mark.parametrize("name", SCENES)
def test_gradients_are_those_of_autograd(name: str) -> None:
    for seed in (0, 1):
        image, found = gradients(CpuSplatter(2), SCENES[name], seed, torch.float32)
        exact_image, exact = gradients(TorchSplatter(64), SCENES[name], seed, torch.float64)
        assert (image - exact_image).abs().max() < 1e-5
        for kind, gradient in exact.items():
            error = float((found[kind] - gradient).abs().max() / gradient.abs().max())
            limit = RELATIVE_CAMERA if kind in ("rotation", "translation", "intrinsics") else RELATIVE
            assert error < limit, f"{kind}: {error:.2g}"


def test_the_twin_draws_what_the_exact_renderer_draws() -> None:
    for name in ("degree 3", "crowded", "beyond the edges"):
        bound, vertices, faces, camera = made(SCENES[name], 5)
        frames = triangle_frames(vertices.double(), faces)
        wide = replace(bound, **{f: getattr(bound, f).double() for f in RAW})
        cloud = bind(wide, frames)
        exact = ReferenceRenderer().render_exact(cloud, camera)
        seen = frames_in_camera(vertices.double(), faces, torch.from_numpy(camera.viewmat).double())
        twin = TorchSplatter(16).render(wide, seen, TensorCamera.of(camera, torch.from_numpy(camera.viewmat).double()))
        np.testing.assert_allclose(twin.numpy(), exact, atol=1e-6)


@pytest.mark.parametrize("kind", [*RAW, "vertices", "rotation", "translation", "intrinsics"])
def test_gradients_are_differences(kind: str) -> None:
    """A step along a random direction changes the loss by its product with the gradient.

    The step is short: alphas end at 1/255, and where a pixel crosses that edge the loss jumps.
    """
    scene, seed = SCENES["degree 3"], 3
    _, found = gradients(CpuSplatter(2), scene, seed, torch.float32)
    direction = torch.randn(found[kind].shape, generator=torch.Generator().manual_seed(1))
    direction *= found[kind].abs().mean() / direction.abs().mean()
    direction = direction + found[kind]  # so that the change is not lost among others' rounding
    slope = float((direction.double() * found[kind]).sum())
    step = 1e-7 / float(direction.abs().max())
    ahead, behind = (
        float(
            loss_of(TorchSplatter(64), scene, seed, torch.float64, changes={kind: sign * step * direction})[1].detach()
        )
        for sign in (1, -1)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_gradients_repeat_bit_by_bit() -> None:
    splatter = CpuSplatter(2)
    first = gradients(splatter, SCENES["crowded"], 0, torch.float32)
    for again in (splatter, CpuSplatter(2)):
        image, found = gradients(again, SCENES["crowded"], 0, torch.float32)
        assert torch.equal(image, first[0])
        assert all(torch.equal(found[kind], gradient) for kind, gradient in first[1].items())


def test_a_prefix_is_a_picture_of_its_own() -> None:
    """What lies beyond the count is not drawn, has no gradient and no weight; what lies before is as if alone."""
    scene, count = SCENES["degree 2"], 17
    splatter = CpuSplatter(2)
    gradients(splatter, scene, 0, torch.float32)  # something from before to be forgotten
    image, found = gradients(splatter, scene, 0, torch.float32, count)
    exact_image, exact = gradients(TorchSplatter(64), scene, 0, torch.float64, count)
    assert (image - exact_image).abs().max() < 1e-5
    for kind in RAW:
        assert not found[kind][count:].any()
        assert (found[kind] - exact[kind]).abs().max() < RELATIVE * exact[kind].abs().max()
    assert not splatter.weights[count:].any() and splatter.weights[:count].any()


def test_weights_are_those_of_the_picture() -> None:
    splatter, twin = CpuSplatter(2), TorchSplatter(16)
    image, _ = gradients(splatter, SCENES["crowded"], 2, torch.float32)
    gradients(twin, SCENES["crowded"], 2, torch.float64)
    assert (splatter.weights - twin.weights).abs().max() < 1e-4
    assert (splatter.peaks - twin.peaks).abs().max() < 1e-5
    assert float(splatter.weights.sum()) == pytest.approx(float(image[..., 3].sum()), rel=1e-5)
