"""From files of photos to an avatar in the user's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from animation.life.style import PersonalStyle
from app.track import track_curves
from avatar.creation.capture.frames import choose_frames
from avatar.creation.capture.from_clip import track_pictures, train_on_clip
from avatar.creation.capture.from_photos import capture
from avatar.creation.capture.photo import look_at, turned_away
from avatar.creation.training.run import RunOptions
from avatar.errors import UserError
from avatar.formats.native import load_avatar, save_avatar
from avatar.importing import avatar_path
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.pictures import Clip, focal_35mm, is_clip, open_picture

__all__ = ["CONSENT", "Captured", "capture_files", "capture_pictures"]

CONSENT = (
    "Use only faces of people who have agreed. Everything stays on this machine; the avatar's file holds no photo."
)

_MOST_PHOTOS = 8


@dataclass(frozen=True)
class Captured:
    """What `capture_files` made."""

    path: Path
    gaussians: int
    notes: tuple[str, ...]
    """What could be better, a line each."""


def capture_files(
    sources: Sequence[Path],
    name: str,
    out: Path | None = None,
    tell: Callable[[str, float], None] = lambda what, share: None,
    style: Path | None = None,
    show: Callable[[Image.Image], None] = lambda picture: None,
    preview: Path | None = None,
) -> Captured:
    """Make an avatar of the person in some photos, or in one clip. A clip is trained on for minutes.

    Args:
        out: the file to write; the user's own folder, where it is found by name, if None.
        style: a video of the person talking, which says how they move; a clip that the avatar is made from says it
            itself if somebody talks in it.
        show: given a picture of the avatar as it is so far; what else `tell` or this raises ends the work.
        preview: a picture of a clip's training, to look at meanwhile.

    Raises:
        UserError: for files or a name that cannot be used.
        KeyboardInterrupt: a clip's training was interrupted: the avatar can be used as it is, and the same call goes
            on from there.
    """
    if not sources:
        raise UserError("name at least one photo")
    if len(sources) > _MOST_PHOTOS:
        raise UserError(f"{len(sources)} photos: at most {_MOST_PHOTOS} are used together")
    if any(is_clip(source) for source in sources) and len(sources) > 1:
        raise UserError("give photos or one clip, not both")
    path = avatar_path(name) if out is None else out  # a mistake is noticed before the work is done
    moves = None if style is None else _style(style, lambda share: tell("how the person moves", 0.2 * share))
    if is_clip(sources[0]):
        return _capture_clip(sources[0], name, RunOptions(path, preview, show), tell, moves)
    tell("looking at the photos", 0.2)
    pictures = [(open_picture(s), s.name, focal_35mm(s)) for s in sources]
    return capture_pictures(pictures, name, path, lambda share, what: tell(what, 0.2 + 0.8 * share), show, moves)


def _capture_clip(
    source: Path, name: str, options: RunOptions, tell: Callable[[str, float], None], style: PersonalStyle | None
) -> Captured:
    frames = choose_frames(Clip.open(source), lambda share: tell("looking through the clip", 0.04 * share))
    missing = frames.missing
    if style is None:
        try:
            style = _style(source, lambda share: tell("how the person moves", 0.04 + 0.04 * share))
        except UserError as error:
            missing = (*missing, f"how the person moves is not known: {str(error).removeprefix(f'{source}: ')}")
    tracked = track_pictures(frames, name, lambda share, what: tell(what, 0.08 + 0.12 * share))
    if style is not None:
        first = replace(tracked.first, metadata=tracked.first.metadata | {"style": style.stored})
        tracked = replace(tracked, first=first)
    train_on_clip(tracked, options, lambda share, what: tell(what, 0.2 + 0.8 * share))
    return Captured(options.out, len(load_avatar(options.out).gaussians), missing)


def _style(clip: Path, tell: Callable[[float], None]) -> PersonalStyle:
    curves, _ = track_curves(Clip.open(clip), progress=lambda done, total: tell(done / total if total else 0.0))
    try:
        return PersonalStyle.measured(curves.times_s, curves.weights, curves.neck)
    except UserError as error:
        raise UserError(f"{clip}: {error}") from error


def capture_pictures(
    pictures: Sequence[tuple[Image.Image, str, float | None]],
    name: str,
    path: Path,
    tell: Callable[[float, str], None] = lambda share, what: None,
    show: Callable[[Image.Image], None] = lambda picture: None,
    style: PersonalStyle | None = None,
) -> Captured:
    """Make an avatar of pictures in memory.

    Args:
        pictures: each with a name for messages, and the focal length that it notes.
        show: given a picture of the avatar as it is so far.
        style: how the person moves, kept with the avatar.

    Raises:
        UserError: if a face cannot be used.
    """
    landmarker = FaceLandmarker()
    photos = [look_at(picture, landmarker, label, focal) for picture, label, focal in pictures]
    photos.sort(key=lambda photo: turned_away(photo.landmarks))  # the frontmost leads
    avatar = capture(photos, name, tell, show)
    if style is not None:
        avatar = replace(avatar, metadata=avatar.metadata | {"style": style.stored})
    save_avatar(avatar, path)
    notes = tuple(dict.fromkeys(note for photo in photos for note in photo.notes))
    return Captured(path, len(avatar.gaussians), notes)
