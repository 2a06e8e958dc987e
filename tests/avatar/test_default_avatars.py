"""Laws of the avatars that ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.creation.forge.build import MAX_GAUSSIANS
from avatar.creation.forge.recipe import recipes
from avatar.flame.arkit import weights_from_dict
from avatar.heads import assets_dir
from avatar.library import open_avatar
from avatar.render import open_renderer
from avatar.rig import Avatar

NAMES = sorted(recipes())
SIZE = 320
GREY = (0.8, 0.82, 0.85)


@pytest.fixture(scope="module", params=NAMES)
def avatar(request: pytest.FixtureRequest) -> Avatar:
    return open_avatar(request.param)


def _picture(cloud: GaussianCloud, camera: Camera, background: tuple[float, float, float] | None = GREY) -> np.ndarray:
    renderer = open_renderer("cpu")
    try:
        return renderer.render(cloud, camera, background)
    finally:
        renderer.close()


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a[..., :3] - b[..., :3]) ** 2)))


def test_the_assets_are_those_of_the_recipes_and_small() -> None:
    files = {p.stem: p for p in Path(assets_dir()).glob("*.safetensors") if p.stem != "head"}
    assert sorted(files) == NAMES
    assert all(p.stat().st_size <= 8_000_000 for p in files.values())


@pytest.mark.parametrize("preset", ["portrait", "three-quarter", "profile"])
def test_the_camera_stands_as_high_as_the_eyes(avatar: Avatar, preset: str) -> None:
    """As in a video call: eyes at its own height, in the upper half of the picture."""
    eyes = avatar.head.joints(avatar.head.v_template)[3:].mean(0).numpy()
    camera = Camera.preset(preset, SIZE, SIZE)
    assert abs(camera.position[1] - eyes[1]) < 0.012
    seen = camera.K @ (camera.viewmat[:3, :3] @ eyes + camera.viewmat[:3, 3])
    assert 0.36 < seen[1] / seen[2] / SIZE < 0.47


def test_gaussians_are_finite_and_within_the_budget(avatar: Avatar) -> None:
    g = avatar.gaussians
    trained = avatar.least_gaussians < 36_000
    least, most = (20_000, 45_000) if trained else (30_000, MAX_GAUSSIANS)
    assert least < len(g) <= most <= 120_000
    for value in (g.means, g.quats, g.log_scales, g.logit_opacities, g.sh):
        assert torch.isfinite(value).all()
    cloud = avatar.pose(avatar.head.neutral())
    assert cloud.scales.max() < 0.03
    assert cloud.means.abs().max() < 0.6


def test_each_is_called_as_its_file_is() -> None:
    assert [open_avatar(name).name for name in NAMES] == NAMES


def test_a_description_and_a_licence_travel_along(avatar: Avatar) -> None:
    assert avatar.metadata["description"]
    assert avatar.metadata["licence"]


@pytest.mark.parametrize(("share", "floor_db"), [(0.28, 18.5), (0.54, 23.5), (0.8, 28.5)])
def test_the_first_gaussians_are_a_good_picture(avatar: Avatar, share: float, floor_db: float) -> None:
    count = int(share * len(avatar.gaussians))
    camera = Camera.preset("portrait", SIZE, SIZE)
    neutral = avatar.head.neutral()
    full = _picture(avatar.pose(neutral), camera)
    assert _psnr(_picture(avatar.pose(neutral, count), camera), full) > floor_db


@pytest.mark.parametrize("whole", [False, True])
def test_the_face_has_no_holes(avatar: Avatar, whole: bool) -> None:
    count = None if whole else min(30_000, avatar.least_gaussians)
    camera = Camera.preset("face", SIZE, SIZE)
    alpha = _picture(avatar.pose(avatar.head.neutral(), count), camera, None)[..., 3]
    middle = alpha[SIZE // 4 : 3 * SIZE // 4, SIZE // 3 : 2 * SIZE // 3]
    assert middle.min() > 0.97


def _without(avatar: Avatar, triangles: torch.Tensor) -> Avatar:
    """The avatar less everything that hangs on some triangles."""
    g = avatar.gaussians
    kept = ~torch.isin(g.triangles, triangles)
    rest = BoundGaussians(
        *(getattr(g, f)[kept] for f in ("means", "quats", "log_scales", "logit_opacities", "sh", "triangles"))
    )
    appearance = None if avatar.appearance is None else avatar.appearance.reordered(kept.nonzero().squeeze(1))
    return Avatar(avatar.name, avatar.head, rest, avatar.arkit, appearance=appearance)


def test_closed_lids_hide_the_eyes(avatar: Avatar) -> None:
    """Taking the eyeballs out behind closed lids changes next to nothing; behind open ones it does."""
    on_eye = torch.isin(avatar.head.faces, avatar.head.regions["eyes"]).all(1).nonzero().squeeze(1)
    blind = _without(avatar, on_eye)
    camera = Camera.preset("close", SIZE, SIZE)
    shut = avatar.arkit.params(weights_from_dict({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    rest = avatar.head.neutral()
    closed = np.abs(_picture(avatar.pose(shut), camera) - _picture(blind.pose(shut), camera))
    opened = np.abs(_picture(avatar.pose(rest), camera) - _picture(blind.pose(rest), camera))
    assert opened.max() > 0.3
    assert closed.max() < 0.12
    assert closed.mean() < 5e-4


def test_closed_lids_have_the_colour_of_skin(avatar: Avatar) -> None:
    shut = avatar.arkit.params(weights_from_dict({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    camera = Camera.preset("close", SIZE, SIZE)
    picture = _picture(avatar.pose(shut), camera)[..., :3]
    vertices = avatar.head.vertices(shut).numpy()

    def colour(points: np.ndarray) -> np.ndarray:
        seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        x = (seen[:, 0] / seen[:, 2] * camera.K[0, 0] + camera.K[0, 2]).astype(int)
        y = (seen[:, 1] / seen[:, 2] * camera.K[1, 1] + camera.K[1, 2]).astype(int)
        return picture[np.clip(y, 0, SIZE - 1), np.clip(x, 0, SIZE - 1)]

    eye = vertices[avatar.head.regions["eye_left"].numpy()].mean(0)
    lid = colour(eye + np.array([[dx, 0.004, 0.013] for dx in np.linspace(-0.006, 0.006, 9)]))
    cheek = colour(eye + np.array([[dx, -0.028, 0.013] for dx in np.linspace(-0.006, 0.006, 9)]))
    assert lid.mean() > 0.55 * cheek.mean()
    hue = lid.mean(0) / lid.mean() - cheek.mean(0) / cheek.mean()
    assert np.abs(hue).max() < 0.22
