"""The CPU backend against the exact one, and its manners."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.arkit import NAMES
from avatar.render.conformance import (
    EXPRESSION_THRESHOLD_DB,
    SCENES,
    THRESHOLD_DB,
    conformance_db,
    expression_db,
    psnr_db,
)
from avatar.render.cpu import CpuRenderer
from avatar.render.probe import probe_avatar
from avatar.render.protocol import BUFFERS, to_bgra
from avatar.render.reference import ReferenceRenderer

WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def renderer() -> CpuRenderer:
    return CpuRenderer()


@pytest.mark.parametrize("name", SCENES)
def test_conformance(renderer: CpuRenderer, name: str) -> None:
    assert conformance_db(renderer, SCENES[name]()) >= THRESHOLD_DB["cpu"]


def test_expressions_change_colors(renderer: CpuRenderer) -> None:
    assert expression_db(renderer) >= EXPRESSION_THRESHOLD_DB


def test_an_expression_leaves_nothing_behind(renderer: CpuRenderer) -> None:
    """Whatever was drawn before, with however many Gaussians: a pose looks the same."""
    avatar, camera = probe_avatar(3000, 1, expressive=True), Camera.orbit(64, 64)
    rest = avatar.head.neutral()
    open_wide = rest.replace(blendshape_weights=np.where(np.arange(52) == NAMES.index("jawOpen"), 0.8, 0))
    first, wide = (renderer.draw(avatar, params, camera).copy() for params in (rest, open_wide))
    assert (first != wide).any()
    for params, count in ((open_wide, 500), (rest, 1000), (open_wide, None)):
        renderer.draw(avatar, params, camera, max_gaussians=count)
    np.testing.assert_array_equal(renderer.draw(avatar, rest, camera), first)
    np.testing.assert_array_equal(renderer.draw(avatar, open_wide, camera), wide)


@pytest.mark.parametrize("background", [None, (0.2, 0.5, 0.9)])
@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_drawing_an_avatar_is_posing_and_rendering_it(
    renderer: CpuRenderer, sh_degree: int, background: tuple[float, float, float] | None
) -> None:
    avatar = probe_avatar(4000, sh_degree)
    params = avatar.head.neutral().replace(
        shape=[0.7, -1.0],
        expression=np.linspace(-1, 1, 8),
        jaw_pose=[0.3, 0.0, 0.05],
        neck_pose=[0.1, 0.4, 0.0],
        transl=[0.01, -0.01, 0.02],
    )
    camera = Camera.orbit(150, 131, 20, 5)
    drawn = renderer.draw(avatar, params, camera, background)
    exact = to_bgra(ReferenceRenderer().render_exact(avatar.pose(params), camera, background))
    assert psnr_db(drawn / 255, exact / 255) > 52  # the rounding of bytes alone gives 59
    assert (np.abs(drawn.astype(int) - exact) > 2).mean() < 1e-3
    assert (drawn[..., :3] <= drawn[..., 3:]).all()  # premultiplied, as Qt wants it


def test_level_of_detail_draws_the_first(renderer: CpuRenderer) -> None:
    avatar, camera = probe_avatar(3000), Camera.orbit(96, 96)
    first = replace(avatar, gaussians=avatar.gaussians.first(1200))
    params = avatar.head.neutral()
    np.testing.assert_array_equal(
        renderer.draw(avatar, params, camera, WHITE, max_gaussians=1200), renderer.draw(first, params, camera, WHITE)
    )
    everything = renderer.draw(avatar, params, camera, WHITE)
    np.testing.assert_array_equal(everything, renderer.draw(avatar, params, camera, WHITE, max_gaussians=10**9))
    assert (renderer.draw(avatar, params, camera, WHITE, max_gaussians=0) == 255).all()


def test_a_picture_is_kept_while_others_are_drawn(renderer: CpuRenderer) -> None:
    avatar, camera = probe_avatar(500), Camera.orbit(64, 64)
    params = avatar.head.neutral()
    first = renderer.draw(avatar, params, camera, WHITE)
    copy = first.copy()
    for _ in range(BUFFERS - 1):
        assert not np.shares_memory(renderer.draw(avatar, params, camera, (0.0, 0.0, 0.0)), first)
    np.testing.assert_array_equal(first, copy)


def test_pictures_of_another_size_leave_earlier_ones_alone(renderer: CpuRenderer) -> None:
    avatar = probe_avatar(500)
    params = avatar.head.neutral()
    first = renderer.draw(avatar, params, Camera.orbit(64, 64), WHITE)
    copy = first.copy()
    for size in (31, 80, 64):
        assert renderer.draw(avatar, params, Camera.orbit(size, size), None).shape == (size, size, 4)
    np.testing.assert_array_equal(first, copy)


def test_the_number_of_threads_changes_no_bit() -> None:
    avatar, camera = probe_avatar(5000, 2), Camera.orbit(200, 200)
    one, all_of_them = CpuRenderer(threads=1), CpuRenderer()
    params = avatar.head.neutral()
    np.testing.assert_array_equal(
        one.draw(avatar, params, camera, WHITE), all_of_them.draw(avatar, params, camera, WHITE)
    )


def test_two_threads_may_draw_at_once(renderer: CpuRenderer) -> None:
    avatar = probe_avatar(2000)
    params = avatar.head.neutral()
    cameras = [Camera.orbit(90, 90, yaw) for yaw in (-30, 30)]
    other = CpuRenderer()
    expected = [renderer.draw(avatar, params, c, WHITE).copy() for c in cameras]
    wrong: list[int] = []

    def draw(which: int) -> None:
        mine = (renderer, other)[which]
        for _ in range(20):
            if not np.array_equal(mine.draw(avatar, params, cameras[which], WHITE), expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


@given(
    st.integers(0, 10_000),
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([0, 1, 5, 60, 300]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_cloud_at_any_size(seed: int, width: int, height: int, count: int, opaque: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    cloud = GaussianCloud(
        torch.randn(count, 3, generator=generator) * 0.1,
        torch.randn(count, 4, generator=generator),
        (torch.randn(count, 3, generator=generator) * 1.5 - 5).exp(),
        torch.rand(count, generator=generator),
        torch.randn(count, 4, 3, generator=generator),
    )
    camera = Camera.orbit(width, height, seed % 360, seed % 60 - 30)
    background = (0.1, 0.2, 0.3) if opaque else None
    exact = ReferenceRenderer().render_exact(cloud, camera, background)
    assert psnr_db(_shared().render(cloud, camera, background), exact) > 60


_renderers: list[CpuRenderer] = []


def _shared() -> CpuRenderer:
    """One renderer for all examples, so that its scratch arrays shrink and grow."""
    if not _renderers:
        _renderers.append(CpuRenderer())
    return _renderers[0]


def test_broken_gaussians_are_left_out(renderer: CpuRenderer) -> None:
    scene = SCENES["SH degree 0"]()
    clean = renderer.render(scene.cloud, scene.camera)
    n = 6
    means, quats = torch.zeros(n, 3), torch.ones(n, 4)
    scales, opacities, sh = torch.full((n, 3), 0.05), torch.full((n,), 0.8), torch.ones(n, 1, 3)
    means[0, 0], means[1, 2], scales[2, 1] = torch.nan, torch.inf, torch.nan
    opacities[3], scales[4, 0], means[5, 1] = torch.nan, torch.inf, -torch.inf
    parts = zip(
        (scene.cloud.means, scene.cloud.quats, scene.cloud.scales, scene.cloud.opacities, scene.cloud.sh),
        (means, quats, scales, opacities, sh),
        strict=True,
    )
    mixed = GaussianCloud(*(torch.cat(pair) for pair in parts))
    np.testing.assert_array_equal(renderer.render(mixed, scene.camera), clean)


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_pictures_of_changing_size_do_not_leak() -> None:
    renderer = CpuRenderer()
    avatar = probe_avatar(1500)
    params = avatar.head.neutral()

    def draw(count: int) -> None:
        for i in range(count):
            size = 16 + (i * 37) % 200
            renderer.draw(avatar, params, Camera.orbit(size, 250 - size), None, 200 + (i * 101) % 1300)

    draw(300)
    gc.collect()
    before = _resident_mib()
    draw(1200)
    gc.collect()
    assert _resident_mib() - before < 8


def test_dropped_avatars_are_freed(renderer: CpuRenderer) -> None:
    camera = Camera.orbit(32, 32)
    for seed in range(3):
        avatar = probe_avatar(100, seed=seed)
        renderer.draw(avatar, avatar.head.neutral(), camera)
    del avatar
    gc.collect()
    assert len(renderer._prepared) == 0


def test_a_pose_of_another_head_is_refused(renderer: CpuRenderer) -> None:
    avatar = probe_avatar(10)
    with pytest.raises(ValueError, match="expected 8 expression coefficients"):
        renderer.draw(avatar, avatar.head.neutral().replace(expression=np.zeros(7)), Camera.orbit(16, 16))
