"""The weights that ship keep what docs/fusion.md says of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from app.cli import main


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_the_shipped_fusion_is_as_good_as_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "blendshapes.png"
    assert main(["evaluate", "fusion", "--json", "--picture", str(picture)]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["secondary_reduction"] > 0.74
    assert min(scores["secondary_reduction_by_domain"].values()) > 0.71
    assert scores["lve_increase_mm"] < 0.007
    assert scores["lve_mm"] < 0.3 * scores["ablations"]["direct_interpolation"]["lve_mm"]
    neutral = scores["closure_rate_by_emotion"]["neutral"]
    assert neutral > 0.9 and all(neutral - rate <= 0.01 for rate in scores["closure_rate_by_emotion"].values())
    assert {"fdd", "eve_mm", "poses_per_s"} <= set(scores)
    with Image.open(picture) as sheet:
        assert sheet.width > 1000
