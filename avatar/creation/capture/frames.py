"""Which pictures of a clip an avatar is made from: sharp ones that turn to every side, eyes open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from avatar.errors import UserError
from avatar.tracking.driving import DrivingModel
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.pictures import Clip

__all__ = ["ClipFrames", "choose_frames"]

_RATE_HZ = 8.0
_SIDE = 1600
_TURNS_DEG = (0.0, -12.0, 12.0, -25.0, 25.0, -40.0, 40.0)
_NEAR_DEG = 7.0
_LEAST_FACES = 3


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """Pictures of one clip, the frontmost first."""

    pictures: tuple[Image.Image, ...]
    missing: tuple[str, ...]
    """What the clip did not show, a line each."""


def choose_frames(clip: Clip, tell: Callable[[float], None] = lambda share: None) -> ClipFrames:
    """Look through a clip and pick the best picture for each of some turns of the head.

    Raises:
        UserError: if hardly any picture shows a face.
    """
    landmarker, model = FaceLandmarker(), DrivingModel.shipped()
    best: dict[float, tuple[float, Image.Image]] = {}
    faces = looked_at = 0
    widest_gap = 0.0
    for at_s, picture in clip.pictures(_SIDE, _RATE_HZ):
        tell(at_s / clip.duration_s if clip.duration_s else 0.0)
        looked_at += 1
        found = landmarker.follow(picture)
        if found is None:
            continue
        faces += 1
        forward = model.features(found).rotation[:, 2]
        turn = float(np.degrees(np.arctan2(forward[0], -forward[2])))
        lids = np.mean([np.linalg.norm(found.points[a, :2] - found.points[b, :2]) for a, b in ((159, 145), (386, 374))])
        gap = float(np.linalg.norm(found.points[13, :2] - found.points[14, :2])) / found.eye_distance
        widest_gap = max(widest_gap, gap)
        small = picture.convert("L").crop(found.box).resize((96, 96), Image.Resampling.BOX)
        grey = np.asarray(small, np.float64)
        sharp = float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
        for wanted in _TURNS_DEG:
            off = abs(turn - wanted)
            if off > _NEAR_DEG:
                continue
            score = (
                sharp * (1 - 0.5 * off / _NEAR_DEG) * (0.4 + min(lids / found.eye_distance / 0.16, 1.0)) / (1 + 6 * gap)
            )
            if wanted not in best or score > best[wanted][0]:
                best[wanted] = (score, picture)
    if faces < _LEAST_FACES or not best:
        raise UserError(f"{clip.path}: a face was found in {faces} of {looked_at} pictures; too few for an avatar")
    missing = []
    if not any(t < -20 for t in best) or not any(t > 20 for t in best):
        missing.append("the head was not turned to both sides: what was not seen is guessed")
    if widest_gap < 0.15:
        missing.append("the mouth was never open: teeth and tongue are made up")
    chosen = sorted(best, key=abs)
    return ClipFrames(tuple(best[turn][1] for turn in chosen), tuple(missing))
