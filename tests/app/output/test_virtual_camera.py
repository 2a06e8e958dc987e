"""The virtual camera, with a stand-in for pyvirtualcam: a real one needs a kernel module."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.output.virtual_camera import VirtualCamera
from avatar.errors import UserError


class FakeCamera:
    device = "/dev/video9"

    def __init__(self, **settings: Any) -> None:
        if settings["width"] == 666:
            raise RuntimeError("v4l2loopback: no\ndevice")
        self.settings, self.images, self.closed = settings, [], 0
        FakeCamera.last = self

    def send(self, image: np.ndarray) -> None:
        self.images.append(image.copy())

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def _pyvirtualcam(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(Camera=FakeCamera, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", fake)


@pytest.mark.usefixtures("_pyvirtualcam")
def test_images_arrive_as_rgb() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    with VirtualCamera(6, 4, 25.0) as camera:
        camera.send_image(image)
        assert camera.device == "/dev/video9"
    made = FakeCamera.last
    assert made.settings == {"width": 6, "height": 4, "fps": 25.0, "device": None, "fmt": "rgb"} and made.closed == 1
    np.testing.assert_array_equal(made.images[0], image[..., [2, 1, 0]])


@pytest.mark.usefixtures("_pyvirtualcam")
def test_problems_are_said_in_one_line() -> None:
    with pytest.raises(UserError, match="v4l2loopback: no device") as refusal:
        VirtualCamera(666, 4)
    assert "\n" not in str(refusal.value)
    with VirtualCamera(6, 4) as camera, pytest.raises(ValueError, match="expected"):
        camera.send_image(np.zeros((5, 6, 4), np.uint8))


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UserError, match="virtual-camera"):
        VirtualCamera(6, 4)
