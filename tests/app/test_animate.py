"""From sound to curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from animation.driver import DriverSettings
from app.animate import animate
from app.offline import RenderOptions
from app.output.curves import load_curves
from avatar.errors import UserError
from avatar.heads import open_head
from avatar.rig import Avatar
from tests.avatar.formats.samples import make_gaussians

RATE = 16_000


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    head, arkit = open_head()
    avatar = Avatar("somebody", head, make_gaussians(20, len(head.faces), sh=1), arkit)
    monkeypatch.setattr("app.offline_tools.open_avatar", lambda name: avatar)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Syllables of buzz, 0.8 s."""
    t = np.arange(int(0.8 * RATE)) / RATE
    buzz = 0.3 * np.sign(np.sin(2 * np.pi * 120 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)
    soundfile.write(tmp_path / "speech.wav", buzz.astype(np.float32), RATE)
    return tmp_path / "speech.wav"


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.arkit.npz", "a.json", "a.glb", "a.ply"])
def test_every_format_from_speech(tmp_path: Path, speech: Path, name: str) -> None:
    made = animate(speech, tmp_path / name, options=RenderOptions("somebody", DriverSettings(emotion="happy")))
    curves = load_curves(tmp_path / name)
    assert made.path == tmp_path / name and made.rate_hz == pytest.approx(50)
    assert len(curves) == (1 if name == "a.ply" else made.poses)
    assert curves.weights.max() > 0.05  # a smile at least
    assert 0.7 < made.duration_s < 1.0


def test_another_rate_and_the_same_result_twice(tmp_path: Path, speech: Path) -> None:
    one, other = (animate(speech, tmp_path / f"{k}.arkit.npz", rate_hz=25) for k in (1, 2))
    a, b = load_curves(one.path), load_curves(other.path)
    assert a.rate_hz == pytest.approx(25)
    np.testing.assert_array_equal(a.weights, b.weights)


def test_mistakes_are_noticed_before_the_work(tmp_path: Path, speech: Path) -> None:
    with pytest.raises(UserError, match="tells no format"):
        animate(speech, tmp_path / "a.xyz")
    with pytest.raises(UserError, match="this is the input"):
        animate(speech, speech, "livelink")
