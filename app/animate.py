"""From speech to curves in a file, for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.offline import Progress, RenderOptions, poses_of_audio
from app.offline_tools import OfflineTools
from app.output.curves import Curves, format_of, write_curves
from avatar.errors import UserError

__all__ = ["Animation", "animate"]


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
    tools: OfflineTools | None = None,
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
    options = options or RenderOptions()
    tools = tools or OfflineTools()
    avatar = tools.avatar(options.avatar)
    poses = list(poses_of_audio(audio_path, options, tools, progress))
    curves = Curves.from_poses(poses, avatar.arkit)
    if rate_hz is not None and len(curves) > 1:
        curves = curves.resampled(rate_hz)
    write_curves(curves, out_path, kind, avatar=avatar, moment_s=moment_s, flame=flame)
    return Animation(out_path, kind, len(curves), curves.rate_hz, float(curves.times_s[-1]))
