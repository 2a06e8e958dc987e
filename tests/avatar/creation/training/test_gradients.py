"""The hand-written way back against autograd of the readable twin in float64, against differences, against itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from avatar.binding import BoundGaussians, bind, triangle_frames
from avatar.camera import Camera
from avatar.creation.training.cpu.splatter import CpuSplatter
from avatar.creation.training.reference import TorchSplatter
from avatar.creation.training.splatting import TensorCamera, frames_in_camera
from avatar.render.reference import ReferenceRenderer

RELATIVE = 1e-5
"""Largest error of a gradient against the largest of its kind."""
RELATIVE_CAMERA = 3e-5
"""The same of a camera's numbers, each a sum over everything in the picture in which much cancels."""


@dataclass(frozen=True)
class Scene:
    gaussians: int
    size: tuple[int, int]
    harmonics: int
    scale: float
    opaque: float = 0.0
    fov_deg: float = 20.0
    distance_m: float = 1.0


SCENES = {
    "degree 0": Scene(12, (24, 24), 1, 0.4),
    "degree 1": Scene(12, (24, 24), 4, 0.4),
    "degree 2": Scene(40, (24, 24), 9, 0.6, opaque=3),
    "degree 3": Scene(40, (40, 24), 16, 0.6),
    "crowded": Scene(300, (33, 49), 9, 0.5, opaque=3),
    "a pixel wide": Scene(200, (50, 50), 16, 0.12),
    "beyond the edges": Scene(60, (32, 24), 9, 0.8, fov_deg=75, distance_m=0.15),
}


def _made(scene: Scene, seed: int) -> tuple[BoundGaussians, Tensor, Tensor, Camera]:
    """Gaussians on a few large triangles, the triangles' vertices and faces, and a camera."""
    r = np.random.default_rng(seed)
    vertices = torch.from_numpy(r.normal(size=(8, 3)) * 0.06).float()
    faces = torch.from_numpy(np.array([[0, 1, 2], [2, 1, 3], [3, 4, 5], [5, 6, 7], [0, 6, 4]]))
    n, k = scene.gaussians, scene.harmonics

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(r.normal(size=shape)).float()

    sh = 0.3 * normal(n, k, 3)
    sh[:, 0] = 1.2 * normal(n, 3) + 0.3
    bound = BoundGaussians(
        0.5 * normal(n, 3), normal(n, 4), np.log(scene.scale) + 0.6 * normal(n, 3), 1.5 * normal(n) + scene.opaque,
        sh, torch.from_numpy(r.integers(0, len(faces), n)),
    )  # fmt: skip
    camera = Camera.orbit(*scene.size, 25, 10, scene.distance_m, (0.0, 0.0, 0.0), scene.fov_deg)
    return bound, vertices, faces, camera


RAW = ("means", "quats", "log_scales", "logit_opacities", "sh")


def _loss(
    splatter: CpuSplatter | TorchSplatter,
    scene: Scene,
    seed: int,
    dtype: torch.dtype,
    count: int | None = None,
    changes: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A picture, a loss of it, and everything that it was made of."""
    bound, vertices, faces, camera = _made(scene, seed)
    g = torch.Generator().manual_seed(seed)
    n = len(bound)
    leaves = {name: getattr(bound, name) for name in RAW}
    leaves |= {"vertices": vertices, "viewmat": torch.from_numpy(camera.viewmat)}
    leaves |= {"intrinsics": TensorCamera.of(camera).intrinsics}
    leaves |= {"tint": 0.1 * torch.randn(n, 3, generator=g), "fade": 0.1 * torch.randn(n, generator=g)}
    changed = {name: leaf.to(dtype) + (changes or {}).get(name, 0) for name, leaf in leaves.items()}
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in changed.items()}
    frames = frames_in_camera(leaves["vertices"], faces, leaves["viewmat"])
    if dtype == torch.float64 and not changes:  # both are to go back from the same frames
        given = frames_in_camera(leaves["vertices"].float(), faces, leaves["viewmat"].float())
        frames = frames + (given - frames).detach()
    seen = replace(TensorCamera.of(camera, leaves["viewmat"]), intrinsics=leaves["intrinsics"])
    raw = replace(bound, **{name: leaves[name] for name in RAW})
    image = splatter.render(raw, frames, seen, count, leaves["tint"], leaves["fade"])
    return image.detach(), (image * torch.randn(image.shape, generator=g).to(dtype)).sum(), leaves


def _gradients(
    splatter: CpuSplatter | TorchSplatter, scene: Scene, seed: int, dtype: torch.dtype, count: int | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    image, loss, leaves = _loss(splatter, scene, seed, dtype, count)
    loss.backward()
    return image, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


@pytest.mark.parametrize("name", SCENES)
def test_gradients_are_those_of_autograd(name: str) -> None:
    for seed in (0, 1):
        image, found = _gradients(CpuSplatter(2), SCENES[name], seed, torch.float32)
        exact_image, exact = _gradients(TorchSplatter(64), SCENES[name], seed, torch.float64)
        assert (image - exact_image).abs().max() < 1e-5
        for kind, gradient in exact.items():
            error = float((found[kind] - gradient).abs().max() / gradient.abs().max())
            limit = RELATIVE_CAMERA if kind in ("viewmat", "intrinsics") else RELATIVE
            assert error < limit, f"{kind}: {error:.2g}"


def test_the_twin_draws_what_the_exact_renderer_draws() -> None:
    for name in ("degree 3", "crowded", "beyond the edges"):
        bound, vertices, faces, camera = _made(SCENES[name], 5)
        frames = triangle_frames(vertices.double(), faces)
        wide = replace(bound, **{f: getattr(bound, f).double() for f in RAW})
        cloud = bind(wide, frames)
        exact = ReferenceRenderer().render_exact(cloud, camera)
        seen = frames_in_camera(vertices.double(), faces, torch.from_numpy(camera.viewmat).double())
        twin = TorchSplatter(16).render(wide, seen, TensorCamera.of(camera, torch.from_numpy(camera.viewmat).double()))
        np.testing.assert_allclose(twin.numpy(), exact, atol=1e-6)


@pytest.mark.parametrize("kind", [*RAW, "vertices", "viewmat", "intrinsics"])
def test_gradients_are_differences(kind: str) -> None:
    """A step along a random direction changes the loss by its product with the gradient.

    The step is short: alphas end at 1/255, and where a pixel crosses that edge the loss jumps.
    """
    scene, seed = SCENES["degree 3"], 3
    _, found = _gradients(CpuSplatter(2), scene, seed, torch.float32)
    direction = torch.randn(found[kind].shape, generator=torch.Generator().manual_seed(1))
    direction *= found[kind].abs().mean() / direction.abs().mean()
    direction = direction + found[kind]  # so that the change is not lost among others' rounding
    slope = float((direction.double() * found[kind]).sum())
    step = 1e-7 / float(direction.abs().max())
    ahead, behind = (
        float(_loss(TorchSplatter(64), scene, seed, torch.float64, changes={kind: sign * step * direction})[1].detach())
        for sign in (1, -1)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_gradients_repeat_bit_by_bit() -> None:
    splatter = CpuSplatter(2)
    first = _gradients(splatter, SCENES["crowded"], 0, torch.float32)
    for again in (splatter, CpuSplatter(2)):
        image, found = _gradients(again, SCENES["crowded"], 0, torch.float32)
        assert torch.equal(image, first[0])
        assert all(torch.equal(found[kind], gradient) for kind, gradient in first[1].items())


def test_a_prefix_is_a_picture_of_its_own() -> None:
    """What lies beyond the count is not drawn, has no gradient and no weight; what lies before is as if alone."""
    scene, count = SCENES["degree 2"], 17
    splatter = CpuSplatter(2)
    _gradients(splatter, scene, 0, torch.float32)  # something from before to be forgotten
    image, found = _gradients(splatter, scene, 0, torch.float32, count)
    exact_image, exact = _gradients(TorchSplatter(64), scene, 0, torch.float64, count)
    assert (image - exact_image).abs().max() < 1e-5
    for kind in RAW:
        assert not found[kind][count:].any()
        assert (found[kind] - exact[kind]).abs().max() < RELATIVE * exact[kind].abs().max()
    assert not splatter.weights[count:].any() and splatter.weights[:count].any()


def test_weights_are_those_of_the_picture() -> None:
    splatter, twin = CpuSplatter(2), TorchSplatter(16)
    image, _ = _gradients(splatter, SCENES["crowded"], 2, torch.float32)
    _gradients(twin, SCENES["crowded"], 2, torch.float64)
    assert (splatter.weights - twin.weights).abs().max() < 1e-4
    assert float(splatter.weights.sum()) == pytest.approx(float(image[..., 3].sum()), rel=1e-5)
