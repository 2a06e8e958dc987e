"""Commands that measure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from app.cli.corpora import SPEECH_CORPUS
from app.cli.terminal import Output, console, messages, print_json, registry

__all__: list[str] = []


@registry.command(name="bench render")
def bench_render(*, json: bool = False, quick: bool = False, plot: Path | None = None) -> int:
    """Measure the renderers: sizes, numbers of Gaussians, stages.

    Args:
        json: print JSON.
        quick: fewer pictures.
        plot: draw a picture of the figures to this file, such as bench.png.
    """
    from app.benchmarks.render import bench_render as bench
    from app.benchmarks.render_plot import check_plotting, plot_render

    if plot is not None:
        check_plotting()
    with messages() as progress:
        report = bench(quick, progress)
    if plot is not None:
        plot_render(report, plot)
    if json:
        print_json(report)
        return 0
    console.print(", ".join(f"{name}: {value}" for name, value in report["machine"].items()))
    for row in report["results"]:
        stages = "  ".join(f"{name} {value:.1f}" for name, value in row["stages"].items())
        console.print(
            f"{row['backend']:8} {row['size']:>5} px {row['gaussians']:>8,} Gaussians  "
            f"{row['images_per_s']:7.1f} images/s  p95 {row['p95_ms']:6.1f} ms   {stages} ms"
        )
    for backend, plane in report["growth"].items():
        console.print(
            f"{backend}: {plane['base_ms']} ms + {plane['ms_per_10k_gaussians']} ms for each 10,000 Gaussians "
            f"+ {plane['ms_per_million_pixels']} ms for each million pixels (r2 {plane['r2']})"
        )
    for backend, line in report["failed"].items():
        console.print(f"{backend}: {line}")
    return 0


@registry.command(name="bench latency")
def bench_latency(*, json: bool = False, seconds: float = 30.0, lookahead: Literal[70, 30, 10] = 70) -> int:
    """Measure the time from sound at the device to the painted image.

    Args:
        json: print JSON.
        seconds: how long to measure.
        lookahead: how much sound after a moment the speech model waits for, milliseconds.
    """
    from app.benchmarks.latency import LatencyOptions
    from app.benchmarks.latency import bench_latency as bench

    report = bench(seconds, LatencyOptions(lookahead_ms=lookahead))
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


@registry.command(name="bench sync")
def bench_sync(*, minutes: float = 10.0, json: bool = False) -> int:
    """Record bursts of sound through the live engine and measure how far sound and lips are apart in the file.

    Args:
        minutes: how long to record; 0.1 or more.
        json: print JSON.
    """
    from app.benchmarks.sync import bench_sync as bench

    report = bench(minutes)
    if json:
        print_json(report)
    else:
        for name, value in report.items():
            console.print(f"{name}: {value}")
    return 0


@registry.command(name="bench capture")
def bench_capture(*, people: int = 4, each: int = 25, clips: int = 0, brief: bool = False, json: bool = False) -> int:
    """Measure capture and tracking on rendered people whose shape, pose and expression are known.

    Args:
        people: how many, none of whom the tracker has learned from.
        each: pictures of each, for driving.
        clips: measure avatars from clips of so many people instead, some minutes each.
        brief: with clips: half the size, fewer Gaussians, 600 steps; less than what the program makes of a clip.
        json: print JSON.
    """
    from app.benchmarks.capture import measure
    from app.benchmarks.capture_clip import measure_clips

    with messages() as progress:
        report = measure_clips(clips, progress, brief) if clips else measure(people, each, progress)
    if json:
        print_json(report)
        return 0
    for name, values in report.items():
        text = ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, dict) else values
        console.print(f"{name}: {text}")
    return 0


@registry.command(name="bench lips")
def bench_lips(
    *, data: Path = SPEECH_CORPUS, quick: bool = False, weights: Path | None = None, json: bool = False
) -> int:
    """Race our lips against those of other programs, on recordings that ours have not learned from.

    Args:
        data: the corpus of "corpus speech"; only its held-out recordings are used.
        quick: some seconds of each source.
        weights: of our speech model; those that ship if not given.
        json: print JSON.
    """
    from app.benchmarks.lips import GROUPS
    from app.benchmarks.lips import bench_lips as bench

    with messages() as progress:
        report = bench(data, quick, weights, progress)
    if json:
        print_json(report)
        return 0
    console.print(", ".join(f"{name}: {value}" for name, value in report["machine"].items()))
    console.print("visemes right, all / in speech, %; p, b and m hit, %; false closures a minute")
    for group in ("all", *GROUPS):
        rows = [row for row in report["results"] if group in row["by_group"]]
        if rows:
            first = rows[0]["by_group"][group]
            console.print(f"\n{group}: {first['minutes']} minutes, {first['closures']} p, b and m")
        for row in rows:
            found = row["by_group"][group]
            hit = "-" if found["closure_rate"] is None else f"{100 * found['closure_rate']:.0f}"
            console.print(
                f"  {row['name']:26} sound {row['sound_after_ms']:3} ms later  "
                f"{100 * found['viseme_accuracy']:.0f} / {100 * (found['viseme_accuracy_in_speech'] or 0):.0f}  "
                f"hit {hit}  false {found['false_closures_per_min']:.0f}  CPU {row['cpu_s_per_s']:.4f} s a second"
            )
    for name, line in report["absent"].items():
        console.print(f"{name}: {line}")
    return 0


@registry.command(name="bench strip")
def bench_strip(*, out: Output = Path("out/speech-strip.jpg"), avatar: str = "", heard: bool = False) -> int:
    """Draw spoken phrases in three languages mouth by mouth; needs the extra `voice`.

    Args:
        out: the picture.
        avatar: a name or a file; the first that ships if not given.
        heard: move the mouth by what the speech model hears; by the known phonemes, as "say" does, if not given.
    """
    from app.benchmarks.speech_strip import draw_speech_strip
    from avatar.library import default_name

    with messages() as progress:
        draw_speech_strip(out, avatar or default_name(), heard, progress)
    console.print(f"Wrote {out}")
    return 0


@registry.command(name="evaluate effort")
def evaluate_effort(
    *, data: Path = SPEECH_CORPUS, weights: Path | None = None, sentences: int = 3, json: bool = False
) -> int:
    """Measure how far the mouth moves in speech from a whisper to a shout, beside people.

    Args:
        data: the corpus of "corpus speech"; its English neural voices that are kept for tests are used.
        weights: of the speech model; those that ship if not given.
        sentences: of each voice, at most.
        json: print JSON.
    """
    from animation.lab.evaluation.articulation import CAPTURED
    from animation.lab.evaluation.effort import evaluate_effort as evaluate

    with messages() as progress:
        table = evaluate(data, weights, sentences, progress)
    if json:
        print_json({"people": CAPTURED} | table)
        return 0
    for effort, figures in ({"people": CAPTURED} | table).items():
        console.print(f"{effort:10} " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return 0


@registry.command(name="bench train")
def bench_train(
    *,
    avatar: str = "",
    steps: int = 60,
    size: int = 512,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    json: bool = False,
) -> int:
    """Measure how fast Gaussians are trained: parts of a step, and torch's autograd alone beside them.

    Args:
        avatar: whose pictures are trained on, a name or a file; the first that ships if not given.
        steps: that are timed for each number of Gaussians.
        size: width and height of the pictures, pixels.
        device: cpu, cuda or auto.
        json: print JSON.
    """
    from app.benchmarks.training import bench_train as bench
    from avatar.library import default_name, open_avatar

    with messages() as progress:
        chosen = open_avatar(avatar or default_name())
        report = bench(steps=steps, size=size, device=device, avatar=chosen, tell=progress)
    if json:
        print_json(report)
        return 0
    console.print(", ".join(f"{name}: {value}" for name, value in report["machine"].items()))
    for row in report["results"]:
        console.print(
            f"{report['device']} {row['size']} px {row['gaussians']:>7,} Gaussians: forward {row['forward_ms']:.1f}, "
            f"loss {row['loss_ms']:.1f}, backward {row['backward_ms']:.1f}, step {row['step_ms']:.1f} ms; "
            f"{row['iterations_per_s']:.1f} iterations/s"
        )
    for row in report["peers"]:
        console.print(
            f"{row['name']}, {row['gaussians']:,} Gaussians: {row['iterations_per_s']} iterations/s, "
            f"{row['times_slower']} times slower"
        )
    return 0


@registry.command(name="evaluate emotion")
def evaluate_emotion(
    *,
    avatars: tuple[str, ...] = (),
    pictures: int = 6,
    voices: tuple[str, ...] = (),
    grid: Path | None = None,
    strips: Path | None = None,
    json: bool = False,
) -> int:
    """Measure whether emotions can be told, lips stay readable, and head and feeling follow the voice.

    Args:
        avatars: names or files, the first two of which teach the classifier; those that ship if not given.
        pictures: of each avatar, emotion and intensity, silent and talking.
        voices: synthetic voices for head and arousal, such as "espeak en-us+f4"; those that training never heard if
            not given (some need the extra `voice`).
        grid: draw every avatar and emotion to this file.
        strips: draw the first avatar's emotions as they set in to this file.
        json: print JSON.
    """
    from animation.lab.data.stresses import HELD_OUT_VOICES, check_voices
    from animation.lab.evaluation.motion import evaluate_motion
    from animation.lab.evaluation.readability import evaluate_lips
    from app.benchmarks.emotion import draw_grid, draw_strips, evaluate_faces
    from avatar.errors import UserError
    from avatar.library import shipped_names

    if pictures < 1:
        raise UserError(f"--pictures {pictures}: expected 1 or more")
    names, voices = avatars or tuple(shipped_names()), voices or HELD_OUT_VOICES
    check_voices(voices)
    with messages() as progress:
        if grid is not None:
            draw_grid(grid, names)
        if strips is not None:
            draw_strips(strips, names[0])
        scores = evaluate_faces(names, pictures, progress)
        scores["lips"] = evaluate_lips(progress)
        scores |= evaluate_motion(voices, progress)
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0
