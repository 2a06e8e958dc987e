"""Choosing a backend, and going on without one that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.render import BACKENDS, Renderer, RendererUnavailableError, available_renderers, open_renderer, selection
from avatar.render.fallback import FallbackRenderer
from avatar.render.probe import probe_avatar
from avatar.render.protocol import DrawsInMemory

AVATAR = probe_avatar(50)
PARAMS = AVATAR.head.neutral()
CAMERA = Camera.orbit(20, 20)


class _Fake(DrawsInMemory):
    """Draws as often as it is told to, then raises."""

    def __init__(self, name: str, pictures: int = 10**9, error: Exception | None = None) -> None:
        super().__init__()
        self.name, self.left, self.closed = name, pictures, 0
        self.device = "a device"
        self.error = error or RuntimeError("the device is gone\nwith a second line")

    def draw(self, *args: Any) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return np.zeros((20, 20, 4), np.uint8)

    render = draw

    def close(self) -> None:
        self.closed += 1


def _unavailable() -> Renderer:
    raise RendererUnavailableError("no such device")


def test_every_backend_says_whether_it_works() -> None:
    found = available_renderers()
    assert tuple(found) == BACKENDS
    assert found["cpu"] == found["reference"] == "ok"
    assert all(reason and "\n" not in reason for reason in found.values())


def test_unknown_names_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"unknown renderer 'vulkan': choose auto, gsplat, opengl, cpu") as caught:
        open_renderer("vulkan")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_opened_renderers_keep_the_protocol(name: str) -> None:
    renderer = open_renderer(name)
    assert isinstance(renderer, Renderer) and renderer.name == name
    assert renderer.draw(AVATAR, PARAMS, CAMERA, None).shape == (20, 20, 4)
    renderer.close()
    renderer.close()


def test_auto_always_finds_one() -> None:
    renderer = open_renderer("auto")
    assert renderer.draw(AVATAR, PARAMS, CAMERA, (1.0, 1.0, 1.0)).dtype == np.uint8
    renderer.close()


def test_auto_skips_backends_that_do_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_why_not", lambda name: "ok")
    monkeypatch.setattr(selection, "_open_gsplat", lambda notice: _unavailable())
    monkeypatch.setattr(selection, "_open_opengl", _unavailable)
    assert open_renderer("auto").name == "cpu"


@pytest.mark.parametrize(
    ("software", "slow", "expected"), [(True, 1, "cpu"), (False, 1, "opengl"), (False, 1e9, "cpu")]
)
def test_auto_takes_opengl_only_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, software: bool, slow: float, expected: str
) -> None:
    fake = _Fake("opengl")
    fake.is_software = software
    monkeypatch.setattr(selection, "_why_not", lambda name: "ok" if name == "opengl" else "no")
    monkeypatch.setattr(selection, "_open_opengl", lambda: fake)
    monkeypatch.setattr(selection, "_trial_ms", lambda r: slow if r is fake else 2.0)
    assert open_renderer("auto").name == expected
    assert fake.closed == (expected == "cpu")


def test_a_named_backend_that_cannot_be_used_is_a_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_open_opengl", _unavailable)
    with pytest.raises(UserError, match="opengl renderer cannot be used here: no such device"):
        open_renderer("opengl")


def test_a_failing_backend_is_replaced_and_the_picture_still_drawn() -> None:
    first, last = _Fake("gsplat", pictures=2), _Fake("cpu")
    notices: list[str] = []
    renderer = FallbackRenderer(first, [("opengl", _unavailable), ("cpu", lambda: last)], notices.append)
    for _ in range(5):
        assert renderer.draw(AVATAR, PARAMS, CAMERA).shape == (20, 20, 4)
    assert renderer.name == "cpu" and first.closed == 1
    assert notices == ["The gsplat renderer failed (the device is gone); going on with cpu"]
    renderer.close()
    assert last.closed == 1


def test_the_last_failure_is_raised() -> None:
    renderer = FallbackRenderer(_Fake("gsplat", 0), [("opengl", _unavailable)])
    with pytest.raises(RuntimeError, match="device is gone"):
        renderer.draw(AVATAR, PARAMS, CAMERA)


def test_a_show_goes_on_through_every_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the application opens it: both GPUs fail while drawing; each time one notice, and no picture is missing."""
    gsplat, opengl = _Fake("gsplat", pictures=2), _Fake("opengl", pictures=3)
    monkeypatch.setattr(selection, "_why_not", lambda name: "ok")
    monkeypatch.setattr(selection, "_open_gsplat", lambda notice: gsplat)
    monkeypatch.setattr(selection, "_open_opengl", lambda: opengl)
    notices: list[str] = []
    renderer = open_renderer("auto", notices.append)
    names = []
    for _ in range(8):
        assert renderer.draw(AVATAR, PARAMS, CAMERA, (1.0, 1.0, 1.0)).shape == (20, 20, 4)
        names.append(renderer.name)
    renderer.close()
    assert names == ["gsplat"] * 2 + ["opengl"] * 3 + ["cpu"] * 3
    assert notices == [
        "The gsplat renderer failed (the device is gone); going on with opengl",
        "The opengl renderer failed (the device is gone); going on with cpu",
    ]
    assert gsplat.closed == opengl.closed == 1


def test_software_does_not_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    software = _Fake("opengl")
    software.is_software = True
    monkeypatch.setattr(selection, "_open_gsplat", lambda notice: _Fake("gsplat", pictures=0))
    monkeypatch.setattr(selection, "_open_opengl", lambda: software)
    renderer = open_renderer("gsplat")
    renderer.draw(AVATAR, PARAMS, CAMERA)
    assert renderer.name == "cpu" and software.closed == 1
    renderer.close()


def test_a_gpu_that_cannot_be_used_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(selection, "_why_not", lambda name: "nvcc of CUDA 12 not found")
    notices: list[str] = []
    assert open_renderer("auto", notices.append).name == "cpu"
    assert notices == ["The NVIDIA GPU cannot be used with gsplat: nvcc of CUDA 12 not found"]


def test_callers_mistakes_do_not_change_the_backend() -> None:
    renderer = FallbackRenderer(_Fake("gsplat", 0, ValueError("bad pose")), [("cpu", lambda: _Fake("cpu"))])
    with pytest.raises(ValueError, match="bad pose"):
        renderer.draw(AVATAR, PARAMS, CAMERA)
    assert renderer.name == "gsplat"


def test_switching_backends_many_times() -> None:
    names = [name for name, why in available_renderers().items() if why == "ok" and name != "reference"]
    first: dict[str, np.ndarray] = {}
    for k in range(30):
        renderer = open_renderer(names[k % len(names)])
        picture = renderer.draw(AVATAR, PARAMS, CAMERA, (1.0, 1.0, 1.0)).copy()
        renderer.close()
        np.testing.assert_array_equal(picture, first.setdefault(renderer.name, picture))
