"""Which pictures of a clip an avatar is made from: sharp ones, of every turn of the head and everything that the face
does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from PIL import Image

from avatar.creation.capture.photo import Photo, sharpness
from avatar.creation.capture.rest import opened
from avatar.errors import UserError
from avatar.tracking.driving import DrivingModel
from avatar.tracking.fit import Intrinsics
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks
from avatar.tracking.pictures import Clip

__all__ = ["ClipFrames", "choose_frames"]

_RATE_HZ, _MOST_LOOKED_AT = 10.0, 240
_SIDE = 1600
_COUNT = 80
_FACE_PX = 200
"""Height that a face is brought to; never enlarged."""
_WINDOW = (-1.5, -1.25, 1.5, 1.5)
"""Left, top, right and bottom of what is of use, from the middle of the face, in heights of the face."""
_INSIDE = 0.95
_TURNS_DEG = (0.0, -12.0, 12.0, -25.0, 25.0, -40.0, 40.0)
_NEAR_DEG = 7.0
_LEAST_FACES = 3
_BLURRED = 0.6
"""Of the sharpness that is usual around a picture: less is left out."""
_APART = np.array([8.0, 8.0, 0.06, 0.10, 0.15])
"""Pictures are as far apart by so much in turn or nod (degrees) as by so much in lids, lips or width of the mouth
(distances between the eyes)."""
_SHUT, _OPEN = 0.10, 0.15


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """Pictures of one clip, cut alike."""

    photos: tuple[Photo, ...]
    painted: tuple[int, ...]
    """Which of them a first avatar is painted from: eyes open, lips closed, to every side; the frontmost first."""
    missing: tuple[str, ...]
    """What the clip did not show, a line each."""


@dataclass(frozen=True, eq=False)
class _Seen:
    photo: Photo
    sharp: float
    does: Float[np.ndarray, "5"]
    """Turn, nod, lids, lips, width of the mouth."""


def choose_frames(
    clip: Clip, tell: Callable[[float], None] = lambda share: None, focal_35mm: float | None = None
) -> ClipFrames:
    """Look through a clip.

    Raises:
        UserError: if hardly any picture shows a face.
    """
    landmarker, model = FaceLandmarker(), DrivingModel.shipped()
    seen: list[_Seen] = []
    looked_at = 0
    window: tuple[int, int, int, int] | None = None
    scale = 1.0
    rate_hz = min(_RATE_HZ, _MOST_LOOKED_AT / max(clip.duration_s, 1.0))
    for at_s, picture in clip.pictures(_SIDE, rate_hz):
        tell(at_s / clip.duration_s if clip.duration_s else 0.0)
        looked_at += 1
        found = landmarker.follow(picture)
        if found is None:
            continue
        if window is None:
            window, scale = _window(found)
        photo = _cut(picture, found, Intrinsics.guess(picture.size, focal_35mm), window, scale)
        if photo is None:
            continue
        face = model.features(found)
        does = np.array([face.turn_deg, face.nod_deg, *opened(found)])
        seen.append(_Seen(photo, sharpness(photo.picture, photo.landmarks), does))
        if len(seen) >= 2 * _MOST_LOOKED_AT:  # a file that does not say how long it is
            seen = seen[::2]
    if len(seen) < _LEAST_FACES:
        raise UserError(f"{clip.path}: a face was found in {len(seen)} of {looked_at} pictures; too few for an avatar")
    sharp = np.array([s.sharp for s in seen])
    usual = np.array([np.median(sharp[max(0, k - 8) : k + 9]) for k in range(len(sharp))])
    seen = [s for s, keep in zip(seen, sharp >= _BLURRED * usual, strict=True) if keep]
    does = np.array([s.does for s in seen])
    leading = _leading(seen)
    chosen = [*leading, *_spread(does / _APART, leading, _COUNT)]
    return ClipFrames(tuple(seen[k].photo for k in chosen), tuple(range(len(leading))), _missing(does))


def _window(face: FaceLandmarks) -> tuple[tuple[int, int, int, int], float]:
    left, top, right, bottom = face.box
    height, x, y = bottom - top, (left + right) / 2, (top + bottom) / 2
    low = np.round([x + _WINDOW[0] * height, y + _WINDOW[1] * height]).clip(0)
    high = np.round([x + _WINDOW[2] * height, y + _WINDOW[3] * height]).clip(max=face.size)
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1])), min(1.0, _FACE_PX / height)


def _cut(
    picture: Image.Image,
    face: FaceLandmarks,
    camera: Intrinsics,
    window: tuple[int, int, int, int],
    scale: float,
) -> Photo | None:
    """The window of a picture; None if the face has left it."""
    box = np.array(window)
    inside = ((face.points[:, :2] >= box[:2]) & (face.points[:, :2] <= box[2:])).all(1).mean()
    if inside < _INSIDE:
        return None
    size = (max(1, round((window[2] - window[0]) * scale)), max(1, round((window[3] - window[1]) * scale)))
    ratio = np.array(size) / (box[2:] - box[:2])
    moved = replace(
        face,
        points=(face.points - [box[0], box[1], 0]) * [*ratio, ratio[0]],
        irises=(face.irises - box[:2]) * ratio,
        size=size,
    )
    part = picture.crop(window)
    if part.size != size:
        part = part.resize(size, Image.Resampling.LANCZOS)
    own = Intrinsics(camera.focal * ratio[0], (camera.x - box[0]) * ratio[0], (camera.y - box[1]) * ratio[1])
    return Photo(part, moved, own)


def _leading(seen: Sequence[_Seen]) -> list[int]:
    """The best picture for each of some turns of the head, held as it mostly is."""
    best: dict[float, tuple[float, int]] = {}
    usual_nod = float(np.median([moment.does[1] for moment in seen]))
    for k, moment in enumerate(seen):
        turn, nod, lids, lips, _ = moment.does
        for wanted in _TURNS_DEG:
            off = float(np.hypot(turn - wanted, nod - usual_nod))
            if off > _NEAR_DEG:
                continue
            score = moment.sharp * (1 - 0.5 * off / _NEAR_DEG) * (0.4 + min(lids / 0.16, 1.0)) / (1 + 6 * lips)
            if wanted not in best or score > best[wanted][0]:
                best[wanted] = (score, k)
    if not best:
        return [int(np.argmin([abs(moment.does[0]) for moment in seen]))]
    return list(dict.fromkeys(best[turn][1] for turn in sorted(best, key=abs)))


def _spread(places: Float[np.ndarray, "n 5"], first: Sequence[int], count: int) -> list[int]:
    """More pictures until there are `count`, each the one that is least like those before."""
    away = np.min([np.linalg.norm(places - places[k], axis=1) for k in first], 0)
    found: list[int] = []
    while len(found) + len(first) < min(count, len(places)):
        away[[*first, *found]] = -1
        k = int(away.argmax())
        found.append(k)
        away = np.minimum(away, np.linalg.norm(places - places[k], axis=1))
    return found


def _missing(does: Float[np.ndarray, "n 5"]) -> tuple[str, ...]:
    missing = []
    if does[:, 0].min() > -20 or does[:, 0].max() < 20:
        missing.append("the head was not turned to both sides: what was not seen is guessed")
    if does[:, 2].min() > _SHUT:
        missing.append("the eyes were never shut: lids are guessed")
    if does[:, 3].max() < _OPEN:
        missing.append("the mouth was never open: teeth and tongue are made up")
    return tuple(missing)
