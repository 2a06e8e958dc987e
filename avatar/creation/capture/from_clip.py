"""A clip of a person -> an avatar: tracked, painted from its best pictures, then trained on many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from avatar.creation.capture.frames import ClipFrames
from avatar.creation.capture.from_photos import with_lips_of
from avatar.creation.capture.hull import hair_hull
from avatar.creation.capture.painted import hair_carriers, paint_avatar
from avatar.creation.capture.plate import Plate
from avatar.creation.capture.rest import calm_pictures, person_at_rest
from avatar.creation.capture.turning import on_still_body
from avatar.creation.lids import BLINKS, LIDS, SHUT
from avatar.creation.training.checkpoint import belongs
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.emphasis import face_emphasis
from avatar.creation.training.run import RunOptions, RunReport, run_training, state_path
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.heads import open_head
from avatar.rig import Avatar
from avatar.tracking.matte import PersonSegmenter

__all__ = ["CLIP_TRAINING", "TrackedClipPictures", "clip_trainer", "track_pictures", "train_on_clip"]

T = TypeVar("T")
Progress = Callable[[float, str], None]

CLIP_TRAINING = TrainingConfig(
    steps=2500,
    rates=Rates(means_m=2e-5, color=6e-3, offsets_m=2e-4),
    sh_count=1,
    learn_offsets=True,
    learn_poses=True,
    learn_exposure=True,
)
"""One camera that stands still sees each Gaussian from one side of the world: a color each is all that it can tell."""
_OPEN = 0.25
"""Weight up to which an eye is surely open."""


@dataclass(frozen=True, eq=False)
class TrackedClipPictures:
    """Pictures of a clip with poses of one head, as views; and the first avatar, painted from a few of them."""

    first: Avatar
    views: tuple[View, ...]


def track_pictures(
    frames: ClipFrames, name: str, tell: Progress = lambda share, what: None, *, threads: int = 2
) -> TrackedClipPictures:
    """Find the person's head in all pictures, and lay a first avatar on it."""
    tell(0.0, "shape")
    head, arkit = open_head()
    marks, lenses = [p.landmarks for p in frames.photos], [p.intrinsics for p in frames.photos]
    pictures = calm_pictures(marks)
    person = person_at_rest(head, arkit, marks, lenses, pictures, lambda share: tell(0.05 + 0.2 * share, "poses"))
    body = on_still_body(person, marks, lenses, pictures.calm)
    person, poses = body.person, body.poses
    cameras = [body.still.camera(p.intrinsics, p.picture.size) for p in frames.photos]

    def some(values: Sequence[T]) -> list[T]:
        return [values[k] for k in frames.painted]

    segmenter, people, mattes = PersonSegmenter(threads), [], []
    for photo in frames.photos:
        tell(0.3, "cutting out")
        people.append(segmenter(photo.picture))
    plate = Plate.of([photo.picture for photo in frames.photos], people, lambda _: tell(0.32, "cutting out"))
    for k, (photo, where) in enumerate(zip(frames.photos, people, strict=True)):
        tell(0.34 + 0.26 * k / len(cameras), "cutting out")
        mattes.append(plate.matte(photo.picture, where))
    tell(0.6, "hair")
    carrying = hair_carriers(person.head)
    places = person.head.v_template.double().numpy()[person.head.faces.numpy()[carrying]].mean(1)
    hair = hair_hull(
        person.head, person.fits, lenses, mattes, (places, carrying), lambda share: tell(0.6 + 0.05 * share, "hair")
    )
    few = replace(person, fits=(body.still, *some(person.fits)[1:]))
    first = paint_avatar(
        few,
        with_lips_of(few, some(frames.photos)),
        some(cameras),
        some(poses),
        name,
        lambda share, what: tell(0.65 + 0.35 * share, what),
        mattes=some(mattes),
        hair=hair,
    )
    views = []
    for k, (camera, pose, matte) in enumerate(zip(cameras, poses, mattes, strict=True)):
        shown = np.concatenate([matte.foreground * matte.alpha[..., None], matte.alpha[..., None]], 2)
        picture = (255 * shown).round().clip(0, 255).astype(np.uint8)
        views.append(View(f"picture {k + 1}", camera, pose, picture, timestep=k))
    return TrackedClipPictures(replace(first.avatar, metadata={"description": "made from a clip"}), tuple(views))


def train_on_clip(
    tracked: TrackedClipPictures,
    options: RunOptions,
    tell: Progress = lambda share, what: None,
    config: TrainingConfig = CLIP_TRAINING,
) -> RunReport:
    """Train, going on where the same training was interrupted, and write the avatar.

    Raises:
        KeyboardInterrupt, StoppedError: see `run_training`.
    """
    trainer = clip_trainer(tracked, config)
    left = state_path(options.out)
    if left.is_file() and not belongs(trainer, left):  # of another clip under the same name
        left.unlink()
    return run_training(trainer, (), options, lambda what, share: tell(share, what))


def clip_trainer(tracked: TrackedClipPictures, config: TrainingConfig = CLIP_TRAINING) -> Trainer:
    """A training of the first avatar on all pictures.

    Lids and lashes learn where the eyes are surely open or shut, and stay as they are elsewhere. Of a blink a clip has
    pictures in which the eye is still open by a fifth, which landmarks cannot tell from shut: lids would learn the
    iris's color where they meet.
    """
    first = tracked.first
    lids = torch.cat([first.head.regions[name] for name in LIDS])
    on_lids = torch.isin(first.head.faces, lids).all(1)[first.gaussians.triangles]

    def sure(view: View) -> bool:
        blink = first.arkit.weights(view.params)[BLINKS]
        return bool((blink < _OPEN).all() or (blink > SHUT).all())

    return Trainer(first, tracked.views, config, emphasis=face_emphasis(first.head), fixed=on_lids, teaching_fixed=sure)
