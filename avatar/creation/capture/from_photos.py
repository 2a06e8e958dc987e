"""One or several photos of a person -> an avatar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from avatar.camera import Camera
from avatar.creation.capture.mouth_place import with_mouth_at
from avatar.creation.capture.painted import paint_avatar
from avatar.creation.capture.person_head import Person, fit_person, mouth_at_rest, person_head
from avatar.creation.capture.photo import Photo
from avatar.creation.capture.refine import refine
from avatar.creation.capture.turning import pose_of
from avatar.errors import UserError
from avatar.heads import open_head
from avatar.render import open_renderer
from avatar.rig import Avatar
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFitter

__all__ = ["capture", "portrait", "with_lips_of"]

Progress = Callable[[float, str], None]

_PREVIEW_PX = 320


def capture(
    photos: Sequence[Photo],
    name: str,
    tell: Progress = lambda share, what: None,
    show: Callable[[Image.Image], None] = lambda picture: None,
    *,
    threads: int = 2,
    steps: int | None = None,
) -> Avatar:
    """Make an avatar of the person in these photos; the first one, the frontmost, gives hair and clothes.

    Args:
        show: given a picture of the avatar as it is so far, once or twice.
        steps: of the training at the end; what a photo needs if None.

    Raises:
        UserError: if there is no photo.
    """
    if not photos:
        raise UserError("an avatar needs at least one photo")
    tell(0.02, "shape")
    head, arkit = open_head()
    landmarks, intrinsics = [p.landmarks for p in photos], [p.intrinsics for p in photos]
    person = person_head(head, arkit, landmarks, intrinsics, fit_person(head, arkit, landmarks, intrinsics))
    photos = with_lips_of(person, photos)
    cameras = [f.camera(p.intrinsics, p.picture.size) for p, f in zip(photos, person.fits, strict=True)]
    poses = [pose_of(person.arkit, f) for f in person.fits]
    first = paint_avatar(
        person, photos, cameras, poses, name, lambda share, what: tell(0.15 + 0.5 * share, what), threads=threads
    )
    show(portrait(first.avatar))
    finished = refine(
        first.avatar,
        first.shown,
        first.trust,
        lambda share, what: tell(0.65 + 0.35 * share, what),
        threads=threads,
        steps=steps,
    )
    show(portrait(finished))
    return finished


def with_lips_of(person: Person, photos: Sequence[Photo]) -> list[Photo]:
    """The photos with their lips where the person's head has them; those whose lips are at rest, where fits are good,
    as they are."""
    fitter = FaceFitter(FaceModel(person.head, person.arkit))
    bent = []
    for photo, fit in zip(photos, person.fits, strict=True):
        picture, landmarks = photo.picture, photo.landmarks
        if not mouth_at_rest(fit):
            picture, landmarks = with_mouth_at(picture, landmarks, fitter.projected(fit, photo.intrinsics))
        bent.append(replace(photo, picture=picture, landmarks=landmarks))
    return bent


def portrait(avatar: Avatar) -> Image.Image:
    """A small picture of it."""
    camera = Camera.preset("portrait", _PREVIEW_PX, _PREVIEW_PX)
    drawn = open_renderer("cpu").draw(avatar, avatar.head.neutral(), camera, background=(0.86, 0.87, 0.89))
    return Image.fromarray(np.ascontiguousarray(drawn[..., 2::-1]))
