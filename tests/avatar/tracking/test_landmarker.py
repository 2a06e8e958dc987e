"""The networks on a rendered head, and what happens without a face or without their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.library import open_avatar
from avatar.render import open_renderer
from avatar.tracking import models
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.matte import PersonSegmenter, soft_matte
from avatar.tracking.topology import NOSE_TIP


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    avatar = open_avatar("clara")
    camera = Camera.preset("portrait", 320, 320)
    drawn = open_renderer("cpu").draw(avatar, avatar.head.neutral(), camera, background=(0.2, 0.5, 0.8))
    return Image.fromarray(np.ascontiguousarray(drawn[..., 2::-1]))


@pytest.mark.usefixtures("tracking_models")
def test_one_face_where_it_is(portrait: Image.Image) -> None:
    (face,) = FaceLandmarker().faces(portrait)
    assert face.score > 0.8
    assert np.abs(face.points[NOSE_TIP, :2] - [160, 160]).max() < 25
    assert face.irises[0, 0, 0] < face.irises[1, 0, 0]  # the subject's right is left in the picture
    turned = FaceLandmarker().faces(portrait.rotate(90, expand=True))
    assert len(turned) == 1  # a picture on its side still has its face


@pytest.mark.usefixtures("tracking_models")
def test_two_faces_and_none(portrait: Image.Image) -> None:
    both = Image.new("RGB", (640, 320))
    both.paste(portrait, (0, 0))
    both.paste(portrait, (320, 0))
    landmarker = FaceLandmarker()
    assert len(landmarker.faces(both)) == 2
    assert landmarker.faces(Image.new("RGB", (300, 300), "grey")) == []
    assert landmarker.follow(Image.new("RGB", (300, 300), "grey")) is None
    assert landmarker.follow(portrait) is not None


@pytest.mark.usefixtures("tracking_models")
def test_the_matte_is_the_person(portrait: Image.Image) -> None:
    matte = soft_matte(portrait, PersonSegmenter()(portrait))
    assert matte.alpha[160, 160] == 1 and matte.alpha[10, 10] == 0
    blue = matte.foreground[..., 2] - matte.foreground[..., 0]
    rim = (matte.alpha > 0.2) & (matte.alpha < 0.8)
    assert rim.any() and np.median(blue[rim]) < 0.15  # the background does not shine through


def test_without_a_connection_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "models_dir", lambda: tmp_path)
    monkeypatch.setattr(models.sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="connect once"):
        models.fetch_models()


def test_a_damaged_model_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "models_dir", lambda: tmp_path)
    (tmp_path / "face_landmark.tflite").write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged"):
        models.model_file("face_landmark.tflite")
