"""The small pictures of avatars."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PyQt6.QtWidgets import QApplication

from app.gui.panels.thumbnails import Thumbnails, draw_thumbnail, shipped_thumbnail
from avatar.library import path_of, shipped_names


@pytest.mark.parametrize("name", shipped_names())
def test_avatars_that_ship_have_pictures_of_what_they_are_now(name: str, tmp_path: Path) -> None:
    draw_thumbnail(str(path_of(name)), str(tmp_path / "drawn.png"))
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(shipped_thumbnail(name)) as shipped:
        a, b = (np.asarray(picture.convert("RGBA"), np.float64) for picture in (drawn, shipped))
    assert a.shape == b.shape
    assert np.abs(a - b).mean() < 0.5


def test_pictures_that_ship_are_shown_at_once(qapp: QApplication) -> None:
    shown: list[tuple[str, str]] = []
    thumbnails = Thumbnails()
    thumbnails.ready.connect(lambda name, path: shown.append((name, path)))
    thumbnails.request({name: path_of(name) for name in shipped_names()})
    thumbnails.stop()
    assert shown == [(name, str(shipped_thumbnail(name))) for name in shipped_names()]


def test_a_users_avatar_of_the_same_name_gets_a_picture_of_its_own(
    qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path))
    name = shipped_names()[0]
    own = Path(shutil.copy(path_of(name), tmp_path / f"{name}.safetensors"))
    shown: list[tuple[str, str]] = []
    thumbnails = Thumbnails()
    thumbnails.ready.connect(lambda name, path: shown.append((name, path)))
    thumbnails.request({name: own}, delay_s=60.0)
    thumbnails.stop()
    assert shown == []
