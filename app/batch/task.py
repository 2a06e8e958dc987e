"""One file to be made: what it is made of, how, and the making itself."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.batch.receipt import Receipt
from app.offline import RenderOptions, render_audio, render_spoken
from app.offline_tools import OfflineTools
from avatar.errors import UserError

if TYPE_CHECKING:
    from animation.speech.voice.narrator import Narrator

__all__ = ["Made", "Task", "make", "remove_leftovers"]


@dataclass(frozen=True)
class Task:
    """Makes one output of one line. Plain data, so that it can travel to another process or machine; every path is
    absolute."""

    where: str
    """The line, for messages."""
    out: Path
    options: RenderOptions
    audio: Path | None = None
    text: str = ""
    """Spoken by a neural voice where there is no `audio`."""
    voice: str = ""
    language: str = ""
    speed: float = 1.0
    curves: str | None = None
    """Format of the curves to write; None renders a video."""
    rate_hz: float | None = None
    moment_s: float = 0.0
    flame: str | None = None
    inputs: tuple[Path, ...] = ()
    """Files that the output depends on; another content makes another output."""
    duration_s: float = field(default=0.0, compare=False)
    """Of the recording, for the progress."""
    receipts: Path = field(default=Path(), compare=False)
    """The folder of notes on what is done."""


@dataclass(frozen=True)
class Made:
    """How a task ended."""

    where: str
    out: Path
    status: str
    """`made`, `unchanged` or `failed`."""
    seconds: float = 0.0
    """It took."""
    duration_s: float = 0.0
    """Of the speech."""
    message: str = ""
    """Why it failed, in one line."""


_tools: OfflineTools | None = None
_narrators: dict[tuple[str, str, float], Narrator] = {}
_one_at_a_time = threading.Lock()


def make(task: Task) -> Made:
    """Make a task's output, unless it is there already. What has been opened is kept for the process's next task.

    The output is written under another name and takes its place when it is whole.

    Raises:
        KeyboardInterrupt: on Ctrl-C; nothing is left behind.
    """
    global _tools
    begun_s = time.perf_counter()
    with _one_at_a_time:  # a worker with several threads
        receipt = Receipt(task)
        if receipt.is_valid():
            return Made(task.where, task.out, "unchanged", 0.0, task.duration_s)
        if _tools is None:
            _tools = OfflineTools()
        task.out.parent.mkdir(parents=True, exist_ok=True)
        fresh = _partial(task.out, f"{socket.gethostname()}-{os.getpid()}")
        try:
            duration_s = _write(task, fresh, _tools)
            if task.out.is_dir():
                shutil.rmtree(task.out)
            fresh.replace(task.out)
        finally:
            _remove(fresh)
        receipt.write()
    return Made(task.where, task.out, "made", time.perf_counter() - begun_s, duration_s)


def remove_leftovers(task: Task) -> None:
    """Once a task is over: remove what processes that died left of its output, or of writing that atomically."""
    pattern = _partial(Path(glob.escape(task.out.name)), "*").name
    for form in (pattern, f".{pattern}"):
        for left in task.out.parent.glob(form):
            _remove(left)


def _partial(out: Path, maker: str) -> Path:
    """Where an output grows until it is whole."""
    return out.with_name(f".{out.stem}.{maker}.partial{out.suffix}")


def _write(task: Task, fresh: Path, tools: OfflineTools) -> float:
    """Write the output; seconds of speech."""
    if task.curves is not None:
        return _animate(task, fresh, tools)
    if task.audio is not None:
        made = render_audio(task.audio, fresh, task.options, tools=tools)
    else:
        made = render_spoken(_narrator(task).say(task.text), fresh, task.options, tools=tools)
    if not made.finished:
        raise KeyboardInterrupt
    return made.duration_s


def _animate(task: Task, fresh: Path, tools: OfflineTools) -> float:
    from app.animate import animate

    if task.audio is None:
        raise UserError("curves of a text cannot be written yet: render it, and animate the recording")
    return animate(
        task.audio,
        fresh,
        task.curves,
        options=task.options,
        rate_hz=task.rate_hz,
        moment_s=task.moment_s,
        flame=task.flame,
        tools=tools,
    ).duration_s


def _narrator(task: Task) -> Narrator:
    from animation.speech.voice.narrator import Narrator

    key = (task.voice, task.language, task.speed)
    if key not in _narrators:
        _narrators[key] = Narrator(*key)
    return _narrators[key]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
