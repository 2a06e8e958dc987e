"""The command line: the only module that parses arguments. Commands are thin; what they call is imported late."""

from __future__ import annotations

import json as json_module
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from tyro.conf import OMIT_ARG_PREFIXES, FlagCreatePairsOff, Positional, arg

from avatar.errors import UserError

__all__ = ["main"]

_log = logging.getLogger(__name__)
_app = tyro.extras.SubcommandApp()
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

Output = Annotated[Path, arg(aliases=["-o"])]


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; expected errors become one line and exit code 2, an interrupt 130, anything else 1 and a log."""
    from app.log import configure, log_path

    configure()
    argv = list(sys.argv[1:] if args is None else args)
    try:
        code = _app.cli(
            prog="gaussian-avatar",
            description="Talk, and watch a photorealistic 3D Gaussian head speak with the emotion you pick.",
            args=argv or ["run"],
            config=(FlagCreatePairsOff, OMIT_ARG_PREFIXES),
        )
    except UserError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except OSError as error:
        _log.info("stopped by the system", exc_info=True)
        return _complain(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except Exception as error:
        logging.getLogger().handlers[0].setLevel(logging.CRITICAL)  # the traceback goes to the file alone
        _log.exception("unexpected error")
        return _complain(f"unexpected {type(error).__name__}: {error}; details are in {log_path()}", 1)
    return int(code or 0)


@_app.command
def run() -> int:
    """Open the application; without a display, render the sample clip to out/demo.mp4."""
    from app.doctor import has_display

    if has_display():
        from app.gui import run as run_window

        return run_window()
    out = Path("out/demo.mp4")
    _out.print("No display here, so there is no window to open: rendering the sample clip to a video instead.")
    code = render(sample_clip(), out=out)
    if code == 0:
        _out.print(
            "Next: gaussian-avatar render YOUR.wav -o YOUR.mp4 --emotion happy   (gaussian-avatar --help for more)"
        )
    return code


@_app.command
def render(
    source: Positional[Path],
    *,
    out: Output = Path("out/speech.mp4"),
    avatar: str = "",
    emotion: str = "neutral",
    intensity: float = 1.0,
    emotion_track: Path | None = None,
    size: str = "512",
    fps: float = 30.0,
    background: str = "#dbdde2",
    camera: str = "portrait",
    seed: int = 0,
    backend: str = "auto",
    gaussians: int | None = None,
    quality: str = "standard",
) -> int:
    """Render an audio file to a video of the avatar speaking it.

    Args:
        source: the speech: any audio file, or a video with sound.
        out: the video: .mp4, .mkv, .mov or .webm (both can be transparent), or a folder for a PNG sequence.
        avatar: a name from `gaussian-avatar avatars`, or a file.
        emotion: neutral, happy, sad, surprised, afraid, disgusted, angry or contempt.
        intensity: of the emotion, 0 to 1.
        emotion_track: a file of emotions over time, lines of: seconds emotion intensity.
        size: pixels, 512 or 1280x720.
        fps: images a second.
        background: a colour name, #rrggbb, or transparent.
        camera: portrait, face, close, mouth, three-quarter or profile.
        seed: of blinks, gaze and head motion; the same seed gives the same video.
        backend: auto, gsplat, opengl or cpu.
        gaussians: level of detail: draw only the so many most important Gaussians.
        quality: draft, standard or high.
    """
    from app.offline import RenderOptions, parse_background, parse_size, render_audio
    from avatar.library import default_name

    width, height = parse_size(size)
    options = RenderOptions(
        avatar=avatar or default_name(),
        emotion=emotion,
        intensity=intensity,
        emotion_track=emotion_track,
        width=width,
        height=height,
        fps=fps,
        background=parse_background(background),
        camera=camera,
        seed=seed,
        backend=backend,
        max_gaussians=gaussians,
        quality=quality,
    )
    with _progress(f"Rendering {source.name}") as progress:
        made = render_audio(source, out, options, progress)
    text = f"{made.path}: {made.duration_s:.1f} s, {made.images} images, drawn by {made.backend}"
    if not made.finished:
        _err.print(f"Stopped early; the file plays. {text}")
        return 130
    _out.print(f"Wrote {text}")
    return 0


@_app.command
def avatars() -> int:
    """List the avatars."""
    from avatar.library import describe

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "Gaussians", "about"):
        table.add_column(heading)
    for row in describe():
        table.add_row(row.name, f"{row.gaussians:,}", row.about)
    _out.print(table)
    return 0


@_app.command
def doctor(*, json: bool = False) -> int:
    """Say what this machine has and what the program will use of it.

    Args:
        json: print JSON.
    """
    from app.doctor import examine

    findings = examine()
    if json:
        _print_json([vars(f) for f in findings])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        colours = {"ok": "green", "info": "dim", "missing": "yellow", "problem": "red"}
        for f in findings:
            table.add_row(f.topic, f"[{colours[f.state]}]{f.state}[/]", f.text)
        _out.print(table)
    return 1 if any(f.state == "problem" for f in findings) else 0


def sample_clip() -> Path:
    """The bundled sample of speech."""
    return Path(str(resources.files("app") / "assets" / "sample.flac"))


@contextmanager
def _progress(title: str) -> Iterator[Callable[[float, float], None]]:
    """A progress bar with the time left; calls with a total of 0 show activity only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _print_json(value: Any) -> None:
    sys.stdout.write(json_module.dumps(value, indent=2) + "\n")


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"gaussian-avatar: {' '.join(message.split())}\n")
    return code
