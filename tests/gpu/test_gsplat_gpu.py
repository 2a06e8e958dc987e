"""The gsplat backend on a CUDA GPU."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from avatar.camera import Camera
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render import open_renderer
from avatar.render.conformance import (
    EXPRESSION_THRESHOLD_DB,
    SCENES,
    THRESHOLD_DB,
    conformance_db,
    expression_db,
    psnr_db,
)
from avatar.render.gsplat import GsplatRenderer, unavailable_reason
from avatar.render.gsplat.listing import TILE
from avatar.render.gsplat.pictures import STAGES
from avatar.render.gsplat.posing import covariances
from avatar.render.gsplat.rasterization import list_gaussians, project
from avatar.render.probe import probe_avatar
from avatar.render.protocol import BUFFERS, to_bgra
from avatar.render.reference import ReferenceRenderer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(unavailable_reason() is not None, reason=f"gsplat: {unavailable_reason()}"),
]

AVATAR = probe_avatar(5000, 2)
CAMERA = Camera.orbit(150, 131, 20, 5)


def _params(k: int = 0):
    rng = np.random.default_rng(k)
    return AVATAR.head.neutral().replace(expression=rng.normal(size=8), jaw_pose=rng.normal(scale=0.2, size=3))


@pytest.fixture(scope="module")
def renderer() -> Iterator[GsplatRenderer]:
    opened = GsplatRenderer()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SCENES)
def test_conformance(renderer: GsplatRenderer, name: str) -> None:
    assert conformance_db(renderer, SCENES[name]()) >= THRESHOLD_DB["gsplat"]


def test_expressions_change_colors(renderer: GsplatRenderer) -> None:
    assert expression_db(renderer) >= EXPRESSION_THRESHOLD_DB


@pytest.mark.parametrize("background", [None, (0.2, 0.5, 0.9)])
@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_drawing_is_posing_and_rendering(renderer: GsplatRenderer, sh_degree: int, background: tuple | None) -> None:
    avatar = probe_avatar(5000, sh_degree)
    drawn = renderer.draw(avatar, _params(), CAMERA, background)
    exact = to_bgra(ReferenceRenderer().render_exact(avatar.pose(_params()), CAMERA, background))
    assert psnr_db(drawn / 255, exact / 255) > 52


def test_recorded_pictures_are_those_drawn_afresh(renderer: GsplatRenderer) -> None:
    """Forty pictures pass the point from which they are replayed from CUDA graphs."""
    for k in range(40):
        drawn = renderer.draw(AVATAR, _params(k), CAMERA, (1.0, 1.0, 1.0))
        assert tuple(renderer.stages_ms) == (*STAGES, "download")
        if k % 13 == 0:
            exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(_params(k)), CAMERA, (1.0, 1.0, 1.0)))
            assert psnr_db(drawn / 255, exact / 255) > 52
    assert renderer._record, "recording failed"
    assert renderer._prepared[AVATAR].pictures(len(AVATAR.gaussians), CAMERA.width, CAMERA.height).recorded


def test_a_recording_without_room_draws_again(renderer: GsplatRenderer) -> None:
    for k in range(40):
        renderer.draw(AVATAR, _params(k), CAMERA, None)
    closer = Camera.orbit(CAMERA.width, CAMERA.height, 20, 5, fov_deg=8)
    exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(_params()), closer, None))
    assert psnr_db(renderer.draw(AVATAR, _params(), closer, None) / 255, exact / 255) > 50


def test_pictures_may_stay_on_the_gpu(renderer: GsplatRenderer) -> None:
    for k in range(40):
        there = renderer.draw_on_device(AVATAR, _params(k), CAMERA, (0.2, 0.4, 0.6))
        copy = there.clone()  # on the caller's stream, in order
    renderer.finish()
    assert there.is_cuda
    drawn = renderer.draw(AVATAR, _params(39), CAMERA, (0.2, 0.4, 0.6))
    assert psnr_db(copy.cpu().numpy() / 255, drawn / 255) > 60


def test_tile_lists_are_gsplats() -> None:
    import gsplat

    cloud = AVATAR.pose(_params()).to("cuda")
    half = quaternion_to_matrix(cloud.quats) * cloud.scales[:, None, :]
    viewmat, K, position = (torch.from_numpy(a.copy()).cuda() for a in (CAMERA.viewmat, CAMERA.K, CAMERA.position))
    seen = project(
        cloud.means, covariances(half), cloud.opacities, cloud.sh, viewmat[None], K[None], position,
        CAMERA.width, CAMERA.height,
    )  # fmt: skip
    columns, rows = -(-CAMERA.width // TILE), -(-CAMERA.height // TILE)
    _, pairs, ids = gsplat.isect_tiles(seen.means2d, seen.radii, seen.depths, TILE, columns, rows)
    found = list_gaussians(seen, CAMERA.width, CAMERA.height)
    torch.testing.assert_close(found.ids, ids)
    torch.testing.assert_close(found.offsets[:-1], gsplat.isect_offset_encode(pairs, 1, columns, rows)[0])


def test_pictures_are_kept_for_a_while(renderer: GsplatRenderer) -> None:
    first = renderer.draw(AVATAR, _params(), CAMERA, (1.0, 1.0, 1.0))
    copy = first.copy()
    for k in range(1, BUFFERS):
        renderer.draw(AVATAR, _params(k), CAMERA, None)
    np.testing.assert_array_equal(first, copy)


def test_any_thread_may_draw(renderer: GsplatRenderer) -> None:
    expected = renderer.draw(AVATAR, _params(), CAMERA, None).copy()
    drawn: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(renderer.draw(AVATAR, _params(), CAMERA, None).copy()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(drawn) == 3
    assert all(psnr_db(picture / 255, expected / 255) > 60 for picture in drawn)


def test_pictures_of_changing_size_do_not_leak(renderer: GsplatRenderer) -> None:
    def draw(count: int) -> None:
        for i in range(count):
            size = 16 + (i * 37) % 200
            renderer.draw(AVATAR, _params(), Camera.orbit(size, 250 - size), None, 500 + (i * 101) % 4500)

    draw(300)
    gc.collect()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    draw(1000)
    gc.collect()
    assert torch.cuda.memory_allocated() - before < 2**20


def test_auto_takes_it() -> None:
    renderer = open_renderer("auto")
    assert renderer.name == "gsplat"
    renderer.close()
