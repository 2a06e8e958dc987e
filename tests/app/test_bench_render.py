"""The renderers' benchmark: its form, and that its numbers add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from app.benchmarks import render, render_plot
from app.benchmarks.render import STAGES, bench_render
from app.benchmarks.render_plot import plot_render
from app.cli import laboratory
from avatar.camera import Camera
from avatar.errors import UserError
from avatar.render.cpu import CpuRenderer
from avatar.render.fallback import FallbackRenderer
from avatar.render.probe import probe_avatar

_SMALL = {24: (24, 24), 40: (64, 40)}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict:
    for module in (render, render_plot):
        monkeypatch.setattr(module, "SIZES", _SMALL)
    monkeypatch.setattr(render, "_COUNTS", (100, None))
    told: list[float] = []
    found = bench_render(True, lambda _, share: told.append(share), backends=["cpu"], avatar=probe_avatar(500))
    assert told == sorted(told) and told[-1] == 1.0
    return found


def test_every_size_and_count_is_measured(report: dict) -> None:
    assert {(r["backend"], r["size"], r["gaussians"]) for r in report["results"]} == {
        ("cpu", size, count) for size in (24, 40) for count in (100, 500)
    }
    for row in report["results"]:
        assert tuple(row["stages"]) == tuple(row["stages_p95"]) == STAGES
        drawn = sum(value for stage, value in row["stages"].items() if stage != "display")
        assert 0 < drawn <= 2 * 1e3 / row["images_per_s"]
        assert row["stages"]["display"] > 0 == row["stages"]["download"]
        assert all(row["stages_p95"][stage] >= row["stages"][stage] for stage in STAGES)
        assert row["p95_ms"] >= 0.9e3 / row["images_per_s"]
        assert row["pictures"] == 4
    assert report["machine"]["cores"] >= 1
    assert set(report["growth"]["cpu"]) == {"base_ms", "ms_per_10k_gaussians", "ms_per_million_pixels", "r2"}


def test_the_plot_is_drawn(report: dict, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_render(report, tmp_path / "images" / "plot.png")
    assert (tmp_path / "images" / "plot.png").stat().st_size > 5000
    with pytest.raises(UserError, match="cannot write the plot"):
        plot_render(report, tmp_path / "plot.nonsense")


def test_the_command_prints_json(
    report: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "bench_render", lambda quick, progress: report)
    assert laboratory.bench_render(json=True) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert laboratory.bench_render() == 0
    assert "images/s" in capsys.readouterr().out


class _OnGpu:
    """Stands in for gsplat: pictures that may stay where they are; fails when told to."""

    name = "gsplat"
    device = "a GPU"
    is_software = False
    stages_ms: ClassVar = {"posing": 0.1, "sort": 0.1, "raster": 0.2, "download": 0.1}

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.finished = fails, 0

    def draw(self, avatar: Any, params: Any, camera: Camera, *args: Any) -> np.ndarray:
        if self.fails:
            raise RuntimeError("out of memory")
        return np.zeros((camera.height, camera.width, 4), np.uint8)

    draw_on_device = draw

    def finish(self) -> None:
        self.finished += 1

    def close(self) -> None:
        pass


def test_pictures_that_stay_on_the_gpu_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "SIZES", _SMALL)
    monkeypatch.setattr(render, "available_renderers", lambda: {"gsplat": "ok", "reference": "ok", "opengl": "no"})
    gpu = _OnGpu()
    monkeypatch.setattr(render, "open_renderer", lambda name, notice: FallbackRenderer(gpu, [], notice))
    found = bench_render(True, avatar=probe_avatar(50))
    assert [row["gaussians"] for row in found["results"]] == [50, 50]
    for row in found["results"]:
        assert row["images_per_s_without_download"] > 0
        assert row["stages"]["raster"] == 0.2
    assert gpu.finished == 2 * len(found["results"]) and found["failed"] == {}


def test_a_backend_that_gives_up_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "SIZES", _SMALL)
    monkeypatch.setattr(render, "available_renderers", lambda: {"gsplat": "ok", "opengl": "ok", "cpu": "ok"})

    def opened(name: str, notice: Any) -> Any:
        if name == "opengl":
            raise UserError("the opengl renderer cannot be used here: no display")
        if name == "gsplat":
            return FallbackRenderer(_OnGpu(fails=True), [("cpu", CpuRenderer)], notice)
        return CpuRenderer()

    monkeypatch.setattr(render, "open_renderer", opened)
    found = bench_render(True, avatar=probe_avatar(50))
    assert {row["backend"] for row in found["results"]} == set(found["growth"]) == {"cpu"}
    assert found["failed"] == {
        "gsplat": "The gsplat renderer failed (out of memory); going on with cpu",
        "opengl": "the opengl renderer cannot be used here: no display",
    }


def test_growth_is_the_plane_through_the_times() -> None:
    rows = [
        {"size": size, "gaussians": n, "images_per_s": 1e3 / (2 + 0.7 * n / 1e4 + 3 * w * h / 1e6)}
        for size, (w, h) in render.SIZES.items()
        for n in (10_000, 50_000)
    ]
    expected = {"base_ms": 2.0, "ms_per_10k_gaussians": 0.7, "ms_per_million_pixels": 3.0, "r2": 1.0}
    assert render._growth(rows) == expected


def test_backends_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UserError, match="unknown renderer"):
        bench_render(backends=["vulkan"], avatar=probe_avatar(10))
