"""A picture of what `bench_render` has measured: times against Gaussians and pixels, and what the stages cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.benchmarks.render import SIZES, STAGES
from avatar.errors import UserError

__all__ = ["check_plotting", "plot_render"]


def check_plotting() -> None:
    """Make sure that a plot can be drawn, before minutes are spent on measuring.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("drawing a plot needs matplotlib: pip install matplotlib") from error


def plot_render(report: dict[str, Any], path: Path) -> None:
    """Draw a report of `bench_render`, a row of three plots for each backend.

    Raises:
        UserError: if matplotlib is not installed, or the file cannot be written.
    """
    check_plotting()
    from matplotlib.figure import Figure

    backends = list(report["growth"])
    figure = Figure(figsize=(12, 0.5 + 3.2 * len(backends)), layout="constrained")
    rows = figure.subplots(len(backends), 3, squeeze=False)
    for backend, axes in zip(backends, rows, strict=True):
        _plot_backend(axes, backend, [r for r in report["results"] if r["backend"] == backend])
    machine = report["machine"]
    figure.suptitle(
        f"{report['avatar']} on {machine['processor']}, {machine['cores']} cores; GPU: {machine['gpu'] or 'none'}",
        fontsize=9,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write the plot {path}: {error}") from error


def _plot_backend(axes: Any, backend: str, results: list[dict[str, Any]]) -> None:
    by_count, by_pixels, by_stage = axes
    counts = sorted({r["gaussians"] for r in results})
    for size in SIZES:
        line = sorted((r["gaussians"] / 1e3, 1e3 / r["images_per_s"]) for r in results if r["size"] == size)
        by_count.plot(*zip(*line, strict=True), marker="o", label=f"{SIZES[size][0]} x {SIZES[size][1]}")
    for count in counts:
        line = sorted((_megapixels(r), 1e3 / r["images_per_s"]) for r in results if r["gaussians"] == count)
        by_pixels.plot(*zip(*line, strict=True), marker="o", label=f"{count:,} Gaussians")
    names = [f"{r['gaussians'] / 1e3:.0f}k\n{r['size']}" for r in results]
    bottom = [0.0] * len(results)
    for stage in (s for s in STAGES if s in results[0]["stages"]):
        values = [r["stages"][stage] for r in results]
        if max(values) > 0:
            by_stage.bar(names, values, bottom=bottom, label=stage)
        bottom = [b + v for b, v in zip(bottom, values, strict=True)]
    by_count.set_xlabel("thousand Gaussians")
    by_pixels.set_xlabel("million pixels")
    by_stage.set_xlabel("Gaussians, height of the picture")
    by_stage.tick_params(axis="x", labelsize=7)
    for plot in axes:
        plot.set_ylabel("ms an image")
        plot.set_ylim(bottom=0)
        plot.grid(alpha=0.3)
        plot.legend(fontsize=7)
    by_count.set_title(f"{backend}: {results[0]['device']}", fontsize=8, loc="left")


def _megapixels(result: dict[str, Any]) -> float:
    width, height = SIZES[result["size"]]
    return width * height / 1e6
