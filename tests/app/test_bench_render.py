"""The renderers' benchmark: its form, and that its numbers add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.benchmarks import render
from app.benchmarks.render import bench_render, plot_render
from avatar.errors import UserError
from avatar.render.probe import probe_avatar


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setattr(render, "_SIZES", {24: (24, 24), 40: (64, 40)})
    monkeypatch.setattr(render, "_COUNTS", (100, None))
    shown: list[np.ndarray] = []
    told: list[float] = []
    found = bench_render(
        True, lambda _, share: told.append(share), backends=["cpu"], avatar=probe_avatar(500), display=shown.append
    )
    assert told == sorted(told) and told[-1] == 1.0
    assert len(shown) == 4 * 14
    return found


def test_every_size_and_count_is_measured(report: dict, tmp_path: Path) -> None:
    assert {(r["backend"], r["size"], r["gaussians"]) for r in report["results"]} == {
        ("cpu", size, count) for size in (24, 40) for count in (100, 500)
    }
    for row in report["results"]:
        assert set(row["stages"]) == {"posing", "projection", "sort", "binning", "raster", "display"}
        assert sum(row["stages"].values()) <= 2 * 1e3 / row["images_per_s"]
        assert row["p95_ms"] >= 0.9e3 / row["images_per_s"]
    assert report["machine"]["cores"] >= 1
    assert set(report["growth"]["cpu"]) == {"base_ms", "ms_per_10k_gaussians", "ms_per_million_pixels"}
    pytest.importorskip("matplotlib")
    plot_render(report, tmp_path / "images" / "plot.png")
    assert (tmp_path / "images" / "plot.png").stat().st_size > 5000


def test_growth_is_the_plane_through_the_times() -> None:
    rows = [
        {"size": size, "gaussians": n, "images_per_s": 1e3 / (2 + 0.7 * n / 1e4 + 3 * w * h / 1e6)}
        for size, (w, h) in render._SIZES.items()
        for n in (10_000, 50_000)
    ]
    assert render._growth(rows) == {"base_ms": 2.0, "ms_per_10k_gaussians": 0.7, "ms_per_million_pixels": 3.0}


def test_backends_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UserError, match="unknown renderer"):
        bench_render(backends=["vulkan"], avatar=probe_avatar(10))
