"""Commands that measure, and that train."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from app.cli.terminal import console, messages, print_json, registry

__all__: list[str] = []

_CORPUS = Path("out/corpus")


@registry.command(name="corpus speech")
def corpus_speech(out: Positional[Path] = _CORPUS) -> int:
    """Fetch recordings from Debian's packages, synthesize voices, and align both with their phonemes.

    Args:
        out: folder for the corpus; about 2 GB.
    """
    from animation.training.preparation import prepare_corpus

    with messages() as progress:
        minutes = prepare_corpus(out, progress)
    for source, length in minutes.items():
        console.print(f"{source}: {length:.0f} min")
    return 0


@registry.command(name="train speech")
def train_speech(*, data: Path = _CORPUS, out: Path = Path("out/speech.safetensors"), steps: int | None = None) -> int:
    """Train the speech model; started again, it goes on where it was stopped.

    Args:
        data: the folder that `corpus speech` made.
        out: the weights.
        steps: how long; as the shipped weights were trained if not given.
    """
    from animation.training.speech import TrainingConfig
    from animation.training.speech import train_speech as train

    config = TrainingConfig() if steps is None else TrainingConfig(steps=steps)
    with messages() as progress:
        train(data, out, config, progress)
    console.print(f"Wrote {out}")
    return 0


@registry.command(name="evaluate speech")
def evaluate_speech(
    *, data: Path = _CORPUS, weights: Path | None = None, minutes: float | None = None, json: bool = False
) -> int:
    """Score the lips on held-out real recordings, for every emotion.

    Args:
        data: the folder that `corpus speech` made.
        weights: a speech model; the one that ships if not given.
        minutes: of each source at most; all if not given.
        json: print JSON.
    """
    from animation.evaluation import evaluate_speech as evaluate

    with messages() as progress:
        scores = evaluate(data, progress, minutes_per_source=minutes, weights=weights)
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0


@registry.command(name="bench render")
def bench_render(*, json: bool = False, quick: bool = False) -> int:
    """Measure the renderers: sizes, numbers of Gaussians, stages.

    Args:
        json: print JSON.
        quick: fewer repetitions.
    """
    from app.benchmarks.render import bench_render as bench

    with messages() as progress:
        report = bench(quick, progress)
    if json:
        print_json(report)
        return 0
    console.print(report["machine"])
    for row in report["results"]:
        console.print(
            f"{row['backend']:8} {row['size']:>5} px {row['gaussians']:>8,} Gaussians  "
            f"{row['images_per_s']:7.1f} images/s  p95 {row['p95_ms']:.1f} ms"
        )
    return 0


@registry.command(name="bench latency")
def bench_latency(*, json: bool = False, seconds: float = 30.0) -> int:
    """Measure the time from sound at the device to the painted image.

    Args:
        json: print JSON.
        seconds: how long to measure.
    """
    from app.benchmarks.latency import bench_latency as bench

    report = bench(seconds=seconds)
    if json:
        print_json(report)
    else:
        for name, value in report.items():
            console.print(f"{name}: {value}")
    return 0


@registry.command(name="bench soak")
def bench_soak(*, minutes: float = 30.0, json: bool = False) -> int:
    """Let the window run and watch memory, threads and overflows.

    Args:
        minutes: how long.
        json: print JSON.
    """
    from app.benchmarks.latency import bench_soak as soak

    with messages() as progress:
        report = soak(minutes, report=lambda row: progress(f"{row['memory_mb']:.0f} MB", row["seconds"] / 60 / minutes))
    if json:
        print_json(report)
    else:
        for name in ("minutes", "memory_mb", "threads", "images_per_s", "overflows"):
            console.print(f"{name}: {report[name]}")
    return 0
