"""The exact renderer against gsplat's own torch functions and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.render.conformance import SCENES, psnr_db
from avatar.render.reference import ReferenceRenderer, project, sh_basis


def _one(opacity: float, scale_m: float = 0.01, sh0: float = 1.0) -> GaussianCloud:
    return GaussianCloud(
        torch.zeros(1, 3),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), scale_m),
        torch.tensor([opacity]),
        torch.full((1, 1, 3), sh0),
    )


@pytest.mark.parametrize("name", ["edges of the view", "needles", "SH degree 3, white background"])
def test_projection_agrees_with_gsplats_torch_code(name: str) -> None:
    theirs = pytest.importorskip("gsplat.cuda._torch_impl")
    scene = SCENES[name]()
    cloud, camera = scene.cloud, scene.camera
    mine = project(cloud, camera)
    double = [t.double() for t in (cloud.means, cloud.quats, cloud.scales, cloud.sh)]
    means, quats, scales, sh = (t[torch.from_numpy(mine.index)] for t in double)
    viewmats, Ks = (torch.from_numpy(m).double()[None] for m in (camera.viewmat, camera.K))
    covars, _ = theirs._quat_scale_to_covar_preci(quats, scales)
    _, means2d, depths, conics, _ = theirs._fully_fused_projection(
        means, covars, viewmats, Ks, camera.width, camera.height
    )
    np.testing.assert_allclose(mine.means2d, means2d[0], rtol=1e-7, atol=1e-5)
    np.testing.assert_allclose(mine.depths, depths[0], rtol=1e-9)
    np.testing.assert_allclose(mine.conics, conics[0], rtol=1e-5, atol=1e-8)
    directions = torch.nn.functional.normalize(means - torch.from_numpy(camera.position).double(), dim=-1)
    colors = theirs._spherical_harmonics(cloud.sh_degree, directions, sh)
    np.testing.assert_allclose(mine.colors, (colors + 0.5).clamp_min(0), atol=1e-5)


def test_harmonics_are_orthonormal() -> None:
    z, weights = np.polynomial.legendre.leggauss(12)
    turns = np.arange(24) * 2 * np.pi / 24
    s = np.sqrt(1 - z * z)[:, None]
    directions = np.stack([s * np.cos(turns), s * np.sin(turns), z[:, None] + 0 * turns], -1).reshape(-1, 3)
    basis = sh_basis(directions, 16)
    area = np.repeat(weights * 2 * np.pi / 24, 24)
    np.testing.assert_allclose((basis * area[:, None]).T @ basis, np.eye(16), atol=1e-12)


@pytest.mark.parametrize("opacity", [0.3, 0.999, 1.0])
def test_one_gaussian_has_its_opacity_at_the_centre(opacity: float) -> None:
    camera = Camera.orbit(33, 33, target=(0, 0, 0))
    image = ReferenceRenderer().render_exact(_one(opacity), camera)
    assert image[16, 16, 3] == pytest.approx(min(opacity, 0.999), abs=1e-6)
    color = 0.28209479177387814 + 0.5
    np.testing.assert_allclose(image[..., :3], np.repeat(color * image[..., 3:], 3, -1), atol=1e-7)


def test_a_background_is_what_transparency_lets_through() -> None:
    scene = SCENES["SH degree 1, colored background"]()
    renderer, background = ReferenceRenderer(), np.array([0.2, 0.4, 0.8])
    clear = renderer.render_exact(scene.cloud, scene.camera, None)
    over = renderer.render_exact(scene.cloud, scene.camera, tuple(background))
    np.testing.assert_allclose(over[..., :3], clear[..., :3] + (1 - clear[..., 3:]) * background, atol=1e-12)
    assert (over[..., 3] == 1).all()


def test_moving_camera_and_cloud_together_changes_nothing() -> None:
    scene = SCENES["SH degree 0"]()
    renderer, shift = ReferenceRenderer(), np.array([0.3, -0.2, 0.5], np.float32)
    moved = GaussianCloud(
        scene.cloud.means + torch.from_numpy(shift),
        scene.cloud.quats,
        scene.cloud.scales,
        scene.cloud.opacities,
        scene.cloud.sh,
    )
    viewmat = scene.camera.viewmat.copy()
    viewmat[:3, 3] -= viewmat[:3, :3] @ shift
    camera = Camera(viewmat, scene.camera.K, scene.camera.width, scene.camera.height)
    assert psnr_db(renderer.render(scene.cloud, scene.camera), renderer.render(moved, camera)) > 85


def test_nothing_shows_behind_an_opaque_wall() -> None:
    camera = Camera.orbit(24, 24, target=(0, 0, 0))
    n = 8
    walls = torch.zeros(n, 3)
    walls[:, 2] = torch.linspace(0.1, 0.2, n)
    behind = torch.tensor([[0.0, 0, -0.3]])
    cloud = GaussianCloud(
        torch.cat([behind, walls]),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(n + 1, 1),
        torch.full((n + 1, 3), 2.0),
        torch.full((n + 1,), 0.95),
        torch.cat([torch.full((1, 1, 3), 1.5), torch.full((n, 1, 3), -2.0)]),
    )
    assert ReferenceRenderer().render_exact(cloud, camera)[..., :3].max() < 1e-6
