"""A photo of a person, looked at: what of it is of use, and what could be better about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from avatar.errors import UserError
from avatar.tracking.fit import Intrinsics
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks

__all__ = ["Photo", "cut", "look_at", "sharpness", "turned_away"]

_FACE_PX = 340
"""Width that a face is brought to: more costs time and cannot be seen."""
_SMALL_PX = 200
"""Narrower faces are enlarged to this, at most twofold, so that splats can be as fine as the picture."""
_LEAST_FACE_PX = 60
_MOST_TURNED = 0.5
"""How far the tip of the nose may lie off the middle of the face, relative to its half width, in the first photo."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture with one face in it, cut to what is of use."""

    picture: Image.Image
    landmarks: FaceLandmarks
    intrinsics: Intrinsics
    notes: tuple[str, ...] = ()
    """What could be better about it, in a line each."""


def look_at(
    picture: Image.Image, landmarker: FaceLandmarker, name: str = "the photo", focal_35mm: float | None = None
) -> Photo:
    """Find the face and cut the photo to head and shoulders.

    Raises:
        UserError: if there is no face in it, or one that cannot be used; it says why.
    """
    faces = landmarker.faces(picture)
    if not faces:
        raise UserError(f"{name}: no face was found; it should be seen from the front, whole, sharp and well lit")
    face, notes = faces[0], []
    if len(faces) > 1 and faces[1].eye_distance > 0.6 * face.eye_distance:
        notes.append(f"{len(faces)} faces are in the picture: the largest was taken")
    left, _, right, _ = face.box
    if face.eye_distance < _LEAST_FACE_PX / 2.2:
        if right - left >= _LEAST_FACE_PX and turned_away(face) > _MOST_TURNED:
            raise UserError(f"{name}: the face is turned away too far; it should be seen from the front")
        raise UserError(
            f"{name}: the face is only {right - left:.0f} pixels wide; {_LEAST_FACE_PX} are needed at least"
        )
    inside = ((face.points[:, :2] >= 0) & (face.points[:, :2] <= picture.size)).all(1).mean()
    if inside < 0.95:
        raise UserError(f"{name}: the picture's border cuts the face off")
    if turned_away(face) > _MOST_TURNED:
        notes.append("the face is turned away: its far side is guessed")
    gap = float(np.linalg.norm(face.points[13, :2] - face.points[14, :2])) / face.eye_distance
    if gap > 0.12:
        notes.append("the mouth is open: a photo with the lips closed gives a better one")
    sharp = sharpness(picture, face)
    if sharp < 2.0:
        notes.append("the face is blurred")
    brightness = float(np.asarray(picture.convert("L").crop(face.box)).mean())
    if brightness < 50:
        notes.append("the face is dark")
    width = right - left
    scale = min(_FACE_PX / width, 1.0) if width > _SMALL_PX else min(_SMALL_PX / width, 2.0)
    return cut(picture, face, Intrinsics.guess(picture.size, focal_35mm), scale, tuple(notes))


def turned_away(face: FaceLandmarks) -> float:
    """How far the tip of the nose lies off the middle of the face, along the line through the eyes, relative to half
    of the face's width: 0 from the front."""
    eyes = face.points[263, :2] - face.points[33, :2]
    across = face.points[:, :2] @ (eyes / max(float(np.linalg.norm(eyes)), 1e-6))
    cheeks = across[[234, 454]]
    return abs(float(across[4] - cheeks.mean())) / max(abs(float(cheeks[1] - cheeks[0])) / 2, 1e-6)


def cut(
    picture: Image.Image, face: FaceLandmarks, intrinsics: Intrinsics, scale: float, notes: tuple[str, ...] = ()
) -> Photo:
    """Head and shoulders around a face, at another scale."""
    left, top, right, bottom = face.box
    width = right - left
    box = np.array([left - 1.5 * width, top - 1.3 * width, right + 1.5 * width, bottom + 1.6 * width])
    box = np.clip(box, 0, [picture.width, picture.height] * 2).round().astype(int)
    part = picture.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    ratio = np.array(size) / np.array(part.size)
    moved = replace(
        face,
        points=(face.points - [box[0], box[1], 0]) * [*ratio, ratio[0]],
        irises=(face.irises - box[:2]) * ratio,
        size=size,
    )
    camera = Intrinsics(
        intrinsics.focal * ratio[0], (intrinsics.x - box[0]) * ratio[0], (intrinsics.y - box[1]) * ratio[1]
    )
    return Photo(part.resize(size, Image.Resampling.LANCZOS), moved, camera, notes)


def sharpness(picture: Image.Image, face: FaceLandmarks) -> float:
    """Spread of the Laplacian over a face brought to a fixed size, in levels of 255."""
    grey = np.asarray(picture.convert("L").crop(face.box).resize((128, 128), Image.Resampling.BOX), np.float64)
    return float(
        np.abs(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]).mean()
    )
