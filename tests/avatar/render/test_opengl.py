"""The OpenGL backend against the exact one. Runs wherever there is an OpenGL 3.3, in software too."""

from __future__ import annotations

import ctypes
import gc
import threading
from pathlib import Path

import numpy as np
import pytest

from avatar.camera import Camera
from avatar.render.conformance import (
    EXPRESSION_THRESHOLD_DB,
    SCENES,
    THRESHOLD_DB,
    conformance_db,
    expression_db,
    psnr_db,
)
from avatar.render.cpu import CpuRenderer
from avatar.render.fallback import FallbackRenderer
from avatar.render.opengl import OpenGLRenderer, WindowPainter, is_software, unavailable_reason
from avatar.render.opengl.context import OffscreenContext
from avatar.render.opengl.program import Program
from avatar.render.probe import probe_avatar
from avatar.render.protocol import BUFFERS, to_bgra
from avatar.render.reference import ReferenceRenderer
from shaders import ShaderError

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=f"OpenGL: {unavailable_reason()}")

AVATAR = probe_avatar(1500, 2)
PARAMS = AVATAR.head.neutral().replace(expression=np.linspace(-1, 1, 8), jaw_pose=[0.2, 0, 0])
CAMERA = Camera.orbit(75, 52, 20)


@pytest.fixture(scope="module")
def renderer() -> OpenGLRenderer:
    opened = OpenGLRenderer()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SCENES)
def test_conformance(renderer: OpenGLRenderer, name: str) -> None:
    assert conformance_db(renderer, SCENES[name]()) >= THRESHOLD_DB["opengl"]


def test_expressions_change_colors(renderer: OpenGLRenderer) -> None:
    assert expression_db(renderer) >= EXPRESSION_THRESHOLD_DB


@pytest.mark.parametrize("background", [None, (0.9, 0.5, 0.1)])
@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_binding_in_the_shader_is_binding(renderer: OpenGLRenderer, sh_degree: int, background: tuple | None) -> None:
    avatar = probe_avatar(1500, sh_degree)
    exact = to_bgra(ReferenceRenderer().render_exact(avatar.pose(PARAMS), CAMERA, background))
    drawn = renderer.draw(avatar, PARAMS, CAMERA, background)
    assert psnr_db(drawn / 255, exact / 255) > 50
    assert (drawn[..., :3] <= drawn[..., 3:]).all()


def test_level_of_detail_draws_the_first(renderer: OpenGLRenderer) -> None:
    few = renderer.draw(AVATAR, PARAMS, CAMERA, None, max_gaussians=400).copy()
    exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(PARAMS, 400), CAMERA, None))
    assert psnr_db(few / 255, exact / 255) > 50
    assert (renderer.draw(AVATAR, PARAMS, CAMERA, None, max_gaussians=0) == 0).all()


def test_moving_pictures_are_close_to_their_own_order_and_still_ones_have_it(renderer: OpenGLRenderer) -> None:
    exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(PARAMS), CAMERA, None))
    renderer.draw(AVATAR, PARAMS, Camera.orbit(CAMERA.width, CAMERA.height, 19.8), None)
    moving = renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()
    still = renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()
    assert not np.array_equal(moving, still)
    assert psnr_db(moving / 255, exact / 255) > 45
    assert psnr_db(still / 255, exact / 255) > 50


def test_pictures_are_kept_for_a_while(renderer: OpenGLRenderer) -> None:
    first = renderer.draw(AVATAR, PARAMS, CAMERA, (1.0, 1.0, 1.0))
    copy = first.copy()
    for _ in range(BUFFERS - 1):
        renderer.draw(AVATAR, PARAMS, CAMERA, None)
    np.testing.assert_array_equal(first, copy)


def test_any_thread_may_draw(renderer: OpenGLRenderer) -> None:
    expected = renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()
    drawn: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(drawn) == 3
    assert all(np.array_equal(picture, expected) for picture in drawn)


def _foreign_loader() -> object:
    """How a window toolkit would look functions up."""
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    return lambda name: egl.eglGetProcAddress(name.encode())


@pytest.mark.skipif(not Path("/proc").exists(), reason="uses EGL")
def test_drawing_into_a_windows_framebuffer() -> None:
    window = OffscreenContext()

    def painted() -> np.ndarray:
        texture = window.gl.texture((100, 80), 4)
        framebuffer = window.gl.framebuffer([texture])
        framebuffer.clear(0.0, 0.0, 0.0, 0.0)
        painter = WindowPainter(_foreign_loader())
        painter.paint(framebuffer.glo, AVATAR, PARAMS, CAMERA, (0.3, 0.6, 0.9), offset=(10, 20))
        pixels = np.frombuffer(framebuffer.read(components=4), np.uint8).reshape(80, 100, 4)[::-1]
        painter.close()
        painter.close()
        with pytest.raises(ValueError, match="closed"):
            painter.paint(framebuffer.glo, AVATAR, PARAMS, CAMERA)
        return pixels

    pixels = window.run(painted)
    window.close()
    exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(PARAMS), CAMERA, (0.3, 0.6, 0.9)))
    picture = pixels[80 - 20 - 52 : 80 - 20, 10 : 10 + 75]
    assert psnr_db(picture[..., [2, 1, 0, 3]] / 255, exact / 255) > 50
    assert pixels[:, :10].max() == 0 and pixels[:8].max() == 0  # nothing beside the picture


def test_uniforms_must_be_given_exactly() -> None:
    context = OffscreenContext()
    program = context.run(lambda: Program(context.gl, "resolve.vert", "resolve.frag"))
    with pytest.raises(ShaderError, match=r"no value for uniform 'swap'.*no uniform 'swop'"):
        program.set(accumulated=0, background=(0, 0, 0, 0), offset=(0, 0), flip_height=0, swop=1)
    context.close()


def test_what_the_driver_complains_of_makes_way_for_another_backend() -> None:
    broken = OpenGLRenderer()
    notices: list[str] = []
    renderer = FallbackRenderer(broken, [("cpu", CpuRenderer)], notices.append)
    expected = renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()
    assert renderer.name == "opengl"
    broken._context.run(lambda: broken._context.gl.enable_direct(0xFFFF))  # there is no such thing to enable
    drawn = renderer.draw(AVATAR, PARAMS, CAMERA, None)
    assert renderer.name == "cpu" and psnr_db(drawn / 255, expected / 255) > 45
    assert notices == ["The opengl renderer failed (OpenGL reports GL_INVALID_ENUM); going on with cpu"]
    renderer.close()
    again = OpenGLRenderer()  # in a context of its own, not in the broken one
    assert again._context.gl is not broken._context.gl
    np.testing.assert_array_equal(again.draw(AVATAR, PARAMS, CAMERA, None), expected)
    again.close()


def test_the_driver_says_what_it_is(renderer: OpenGLRenderer) -> None:
    vendor, _, what = renderer.device.partition(" ")
    assert vendor and what.strip(), "asked on a thread without the context, it says nothing"
    assert renderer.is_software == is_software(renderer.device)


def test_software_is_recognised() -> None:
    assert is_software("Mesa/X.org llvmpipe (LLVM 15.0.6, 256 bits)")
    assert is_software("Google Inc. Google SwiftShader")
    assert not is_software("NVIDIA Corporation NVIDIA GeForce RTX 3060/PCIe/SSE2")
    assert not is_software("Intel Mesa Intel(R) UHD Graphics 620 (KBL GT2)")


def _resident_mib() -> float:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_pictures_of_changing_size_and_new_avatars_do_not_leak(renderer: OpenGLRenderer) -> None:
    def draw(count: int) -> None:
        for i in range(count):
            size = 8 + (i * 37) % 60
            avatar = probe_avatar(300, seed=i) if i % 10 == 0 else AVATAR
            renderer.draw(avatar, PARAMS, Camera.orbit(size, 80 - size), None, 300)

    draw(60)
    gc.collect()
    before = _resident_mib()
    draw(150)
    gc.collect()
    assert _resident_mib() - before < 12


def test_opening_and_closing_many_times() -> None:
    expected = None
    for _ in range(10):
        renderer = OpenGLRenderer()
        picture = renderer.draw(AVATAR, PARAMS, CAMERA, None).copy()
        renderer.close()
        renderer.close()
        expected = picture if expected is None else expected
        np.testing.assert_array_equal(picture, expected)
