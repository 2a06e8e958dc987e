"""A folder of short recordings, and an avatar of a few Gaussians to speak them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avatar.formats.native import save_avatar
from tests.app.conftest import make_avatar


@pytest.fixture(scope="session")
def tiny_avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("avatar") / "tiny.safetensors"
    save_avatar(make_avatar(300, "tiny"), path)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four buzzes of a third of a second."""
    folder = tmp_path / "clips"
    folder.mkdir()
    t = np.arange(5600) / 16000
    for k in range(4):
        soundfile.write(folder / f"{k}.wav", 0.2 * np.sign(np.sin(2 * np.pi * (110 + 20 * k) * t)), 16000)
    return folder
