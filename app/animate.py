"""From speech to curves: into a file for other programs, or live over the network, without a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from app.offline import Progress, RenderOptions, poses_of_audio
from app.output.curves import Curves, format_of, write_curves
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.params import FlameParams
from avatar.library import default_name, open_avatar

__all__ = ["Animation", "PoseSink", "animate", "send_poses", "weights_of"]


class PoseSink(Protocol):
    """A live output: VMC, Live Link, or whatever takes a pose at a time."""

    def send(self, params: FlameParams, weights: np.ndarray) -> None:
        """Take one pose and its 52 ARKit weights; never waits."""

    def close(self) -> None:
        """Stop; closing twice is fine."""


@dataclass(frozen=True)
class Animation:
    """What `animate` wrote."""

    path: Path
    format: str
    poses: int
    rate_hz: float
    duration_s: float


def animate(
    audio_path: Path | str,
    out_path: Path | str,
    format: str | None = None,
    *,
    options: RenderOptions | None = None,
    rate_hz: float | None = None,
    moment_s: float = 0.0,
    flame: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Animation:
    """Write the animation of an audio file.

    Args:
        format: one of `app.output.curves.FORMATS`; told by the suffix of `out_path` if None.
        options: emotion, seed and avatar, as for a video; the defaults if None.
        rate_hz: poses a second; 50, the driver's own, if None.
        moment_s: which moment a PLY shows.
        flame: the imported FLAME model whose coefficients an npz is to hold.

    Raises:
        UserError: for input or output that cannot be used.
    """
    out_path = Path(out_path)
    kind = format_of(out_path, format)  # a mistake is noticed before the work is done
    if out_path.resolve() == Path(audio_path).resolve():
        raise UserError(f"{out_path}: this is the input; give the output another name")
    options = RenderOptions(default_name()) if options is None else options
    avatar = open_avatar(options.avatar)
    poses = list(poses_of_audio(audio_path, avatar, options, progress))
    curves = Curves.from_poses(poses, avatar.arkit)
    if rate_hz is not None and len(curves) > 1:
        curves = curves.resampled(rate_hz)
    write_curves(curves, out_path, kind, avatar=avatar, moment_s=moment_s, flame=flame)
    return Animation(out_path, kind, len(curves), curves.rate_hz, float(curves.times_s[-1]))


def weights_of(pose: FlameParams, arkit: ArkitMap) -> np.ndarray:
    """The 52 ARKit weights of a pose: those it was made from, else those that come nearest to it."""
    known = getattr(pose, "blendshape_weights", None)
    return arkit.weights(pose) if known is None else np.asarray(known, np.float32)


def send_poses(
    poses: Iterable[FlameParams],
    arkit: ArkitMap,
    sinks: Sequence[PoseSink],
    *,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Send poses when they are due, as a performer would; returns how many were sent. Closes the sinks at the end.

    Args:
        wait: how to pass seconds; given by tests, and by callers who want to be able to stop in between.
    """
    sent, start = 0, None
    try:
        for pose in poses:
            if start is None:
                start = clock() - pose.stream_time_s
            early = start + pose.stream_time_s - clock()
            if early > 0:
                wait(early)
            weights = weights_of(pose, arkit)
            for sink in sinks:
                sink.send(pose, weights)
            sent += 1
    finally:
        for sink in sinks:
            sink.close()
    return sent
