"""From a video of a face to curves in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.offline import Progress
from app.output.curves import Curves, format_of, write_curves
from avatar.errors import UserError
from avatar.library import default_name, open_avatar
from avatar.tracking.driving import FaceFeatures
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.pictures import Clip
from avatar.tracking.tracker import FaceTracker, Rest, TrackedFace

__all__ = ["TrackedClip", "track_clip", "track_curves"]

_SIDE = 1280
_LONGEST_GAP_S = 0.5
"""A face that is away for longer goes to rest meanwhile."""
_STILL_ENOUGH = 3


@dataclass(frozen=True)
class TrackedClip:
    """What `track_clip` wrote."""

    path: Path
    format: str
    poses: int
    rate_hz: float
    duration_s: float
    missed: int
    """Pictures in which no face was found."""


def track_clip(
    clip_path: Path | str,
    out_path: Path | str,
    format: str | None = None,
    *,
    avatar: str = "",
    neutral_s: tuple[float, float] | None = None,
    rate_hz: float | None = None,
    moment_s: float = 0.0,
    flame: str | None = None,
    progress: Progress = lambda done, total: None,
) -> TrackedClip:
    """Write what the face in a video does.

    Args:
        format: one of `app.output.curves.FORMATS`; told by the suffix of `out_path` if None.
        avatar: whose mesh or splats go into a GLB or PLY.
        neutral_s: from when to when the face is at rest; found in the clip if None.
        rate_hz: poses a second; if None the video's own, or its usual one where pictures come unevenly.
        moment_s, flame: as for `app.animate.animate`.

    Raises:
        UserError: for input or output that cannot be used, or if no face is seen.
    """
    out_path = Path(out_path)
    kind = format_of(out_path, format)
    if out_path.resolve() == Path(clip_path).resolve():
        raise UserError(f"{out_path}: this is the input; give the output another name")
    who = open_avatar(avatar or default_name())
    curves, missed = track_curves(Clip.open(clip_path), neutral_s, progress)
    if len(curves) > 1:
        curves = curves.even() if rate_hz is None else curves.resampled(rate_hz)
    write_curves(curves, out_path, kind, avatar=who, moment_s=moment_s, flame=flame)
    return TrackedClip(out_path, kind, len(curves), curves.rate_hz, float(curves.times_s[-1]), missed)


def track_curves(
    clip: Clip,
    neutral_s: tuple[float, float] | None = None,
    progress: Progress = lambda done, total: None,
    tracker: FaceTracker | None = None,
) -> tuple[Curves, int]:
    """What the face in a video does, and in how many pictures there was none.

    Raises:
        UserError: if no face is seen, or none while it should be at rest.
    """
    tracker = FaceTracker() if tracker is None else tracker
    times: list[float] = []
    seen: list[tuple[FaceLandmarks, FaceFeatures] | None] = []
    for at_s, picture in clip.pictures(_SIDE):
        times.append(at_s)
        seen.append(tracker.see(picture))
        progress(at_s, clip.duration_s)
    faces = [s for s in seen if s is not None]
    if not faces:
        raise UserError(
            f"{clip.path}: no face was found in {len(seen)} pictures; it should be seen from the front, lit"
        )
    resting = faces
    if neutral_s is not None:
        resting = [s for t, s in zip(times, seen, strict=True) if s is not None and neutral_s[0] <= t <= neutral_s[1]]
        if len(resting) < _STILL_ENOUGH:
            raise UserError(f"{clip.path}: no face is seen from {neutral_s[0]:g} to {neutral_s[1]:g} s (neutral)")
    tracker.rest = Rest.of(resting)
    poses = [None if s is None else tracker.interpret(*s) for s in seen]
    return _curves(np.array(times), poses), len(seen) - len(faces)


def _curves(times: np.ndarray, poses: list[TrackedFace | None]) -> Curves:
    """Gaps are bridged; in long ones, and before and after, the face goes to rest."""
    known = np.array([p is not None for p in poses])
    rows = np.array([_row(p) for p in poses if p is not None])
    at = times[known]
    keep_t, keep_rows = [at[:1]], [rows[:1]]
    for k in range(1, len(at)):
        if at[k] - at[k - 1] > _LONGEST_GAP_S:
            keep_t.append(np.array([at[k - 1] + _LONGEST_GAP_S / 2, at[k] - _LONGEST_GAP_S / 4]))
            keep_rows.append(np.zeros((2, rows.shape[1])))
        keep_t.append(at[k : k + 1])
        keep_rows.append(rows[k : k + 1])
    anchors, values = np.concatenate(keep_t), np.concatenate(keep_rows)
    table = np.stack([np.interp(times, anchors, values[:, c]) for c in range(values.shape[1])], 1).astype(np.float32)
    return Curves(times.astype(np.float64), table[:, :52], table[:, 52:55], table[:, 55:58])


def _row(face: TrackedFace) -> np.ndarray:
    return np.concatenate([face.weights, face.neck, face.transl])
