"""Laws of what stands behind the avatar."""

from __future__ import annotations

import numpy as np
import pytest

from app.backdrop import STUDIO, Studio, parse_background
from app.gui.look.theme import DARK, LIGHT
from app.live.inference import PoseTiming
from app.live.scene import ImageRequest, Scene
from avatar.errors import UserError
from avatar.render import to_bgra
from avatar.render.composition import put_behind

STUDIOS = (STUDIO, DARK.studio, LIGHT.studio)


def test_backgrounds_are_a_studio_a_colour_or_nothing() -> None:
    assert parse_background("studio") == STUDIO
    assert parse_background("transparent") is None
    assert parse_background("#ff8000") == pytest.approx((1.0, 128 / 255, 0.0))
    assert parse_background("white") == (1.0, 1.0, 1.0)
    with pytest.raises(UserError, match="bluish"):
        parse_background("bluish")


@pytest.mark.parametrize("upside_down", [False, True])
def test_composing_is_over_rounded_to_nearest(upside_down: bool) -> None:
    rng = np.random.default_rng(2)
    alpha = rng.choice([0.0, 1.0, *rng.uniform(size=6)], (131, 57, 1))
    image = to_bgra(np.concatenate([rng.uniform(size=(131, 57, 3)) * alpha, alpha], -1).astype(np.float32))
    wall = rng.integers(0, 256, image.shape, np.uint8)
    wall[..., 3] = 255
    exact = image + wall * ((255.0 - image[..., 3:]) / 255)
    if upside_down:  # as OpenGL hands its pictures over
        image, wall, exact = image[::-1], wall[::-1], exact[::-1]
    put_behind(image, wall)
    np.testing.assert_array_equal(image, np.floor(exact + 0.5))
    assert (image[..., 3] == 255).all()


@pytest.mark.parametrize("studio", STUDIOS)
@pytest.mark.parametrize("size", [(512, 512), (1280, 720), (360, 640)])
def test_a_studio_is_smooth_brightest_behind_the_head_and_never_leaves_its_two_tones(
    studio: Studio, size: tuple[int, int]
) -> None:
    width, height = size
    picture = studio.picture(width, height).astype(int)
    assert picture.shape == (height, width, 4)
    assert (picture[..., 3] == 255).all()
    grey = picture[..., 1]
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    assert 0.3 < column / width < 0.7
    assert 0.25 < row / height < 0.55
    corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.max() < grey.max() - 20  # depth
    for axis in (0, 1):
        assert np.abs(np.diff(grey, axis=axis)).max() <= 2  # no ring, no edge
    low = 255 * np.array(studio.shade[::-1]) * (1 - studio._FLOOR)
    assert (picture[..., :3] >= np.floor(low)).all()
    assert (picture[..., :3] <= np.ceil(255 * np.array(studio.lit[::-1]))).all()


def test_a_studio_is_painted_once_and_cannot_be_spoilt() -> None:
    picture = STUDIO.picture(64, 48)
    assert STUDIO.picture(64, 48) is picture
    with pytest.raises(ValueError, match="read-only"):
        picture[0] = 0


def _request(scene: Scene) -> ImageRequest:
    return ImageRequest(1, None, None, scene, 1, 0.0, PoseTiming)  # type: ignore[arg-type]


def test_renderers_draw_over_colours_and_the_rest_comes_behind() -> None:
    picture = np.zeros((48, 64, 4), np.uint8)
    for scene, colour, behind in (
        (Scene(width=64, height=48), None, STUDIO.picture(64, 48)),
        (Scene(width=64, height=48, background=(1.0, 0.0, 0.0)), (1.0, 0.0, 0.0), None),
        (Scene(width=64, height=48, background=None), None, None),
        (Scene(width=64, height=48, backdrop=picture), None, picture),
        (Scene(width=64, height=48, background=None, backdrop=picture), None, picture),
    ):
        request = _request(scene)
        assert request.background == colour
        assert request.backdrop is behind
