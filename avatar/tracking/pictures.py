"""Reading pictures and clips, whatever people have: upright, in RGB, no larger than is of use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from avatar.errors import UserError
from avatar.formats.media import open_media

__all__ = ["CLIPS", "Clip", "focal_35mm", "is_clip", "open_picture"]

_MAX_PIXELS = 250_000_000
_MAX_SIDE = 2400
_LEAST_SIDE = 64
_EXIF, _FOCAL_35MM = 0x8769, 0xA405
CLIPS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".mts", ".3gp", ".ogv", ".wmv")
"""Suffixes of videos."""


def is_clip(path: Path | str) -> bool:
    """Whether a file's name is that of a video."""
    return Path(path).suffix.lower() in CLIPS


def open_picture(path: Path | str, max_side: int = _MAX_SIDE) -> Image.Image:
    """A picture in RGB, turned as its EXIF says, shrunk to `max_side` if it is larger; transparent parts become grey.

    Raises:
        UserError: if it is no picture, damaged, too small, or absurdly large.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about a file is said below, or does not matter
            with Image.open(path) as file:
                if file.width * file.height > _MAX_PIXELS:
                    raise UserError(
                        f"{path}: has more pixels than this program takes in ({file.width} x {file.height})"
                    )
                if file.mode in ("RGB", "L", "YCbCr"):
                    file.draft("RGB", (max_side, max_side))  # a JPEG decodes at the size that is needed
                picture = ImageOps.exif_transpose(file)
                picture = _rgb(picture)
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a picture that can be read (use JPEG, PNG or WebP)") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: has more pixels than this program takes in") from error
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError) as error:
        raise UserError(f"{path}: the picture is damaged ({' '.join(str(error).split())[:120]})") from error
    if min(picture.size) < _LEAST_SIDE:
        raise UserError(f"{path}: {picture.width} x {picture.height} pixels are too few for a face")
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return picture


def focal_35mm(path: Path | str) -> float | None:
    """The equivalent focal length that a photo notes, millimetres; None if it does not, or if that makes no sense."""
    try:
        with Image.open(path) as file:
            value = file.getexif().get_ifd(_EXIF).get(_FOCAL_35MM)
        focal = float(value) if value is not None else 0.0
    except (OSError, ValueError, TypeError, SyntaxError, ArithmeticError):
        return None
    return focal if 10 <= focal <= 400 else None


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(picture, np.float64)
        peak = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        grey = Image.new("RGBA", picture.size, (160, 160, 160, 255))
        return Image.alpha_composite(grey, picture).convert("RGB")
    return picture.convert("RGB")


@dataclass(frozen=True)
class Clip:
    """A video file's pictures, one after the other."""

    path: Path
    duration_s: float
    """0 where the file does not say."""
    size: tuple[int, int]

    @classmethod
    def open(cls, path: Path | str) -> Clip:
        """Raises:
        UserError: if it is no video, or a list of other files.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            with open_media(path) as container:
                if not container.streams.video:
                    raise UserError(f"{path}: has no pictures in it, only sound")
                stream = container.streams.video[0]
                if stream.codec_context is None:
                    raise UserError(f"{path}: not a video that can be read (of an unknown kind)")
                if stream.duration is not None and stream.time_base is not None:
                    duration = float(stream.duration * stream.time_base)
                else:
                    duration = container.duration / av.time_base if container.duration else 0.0
                return cls(path, max(duration, 0.0), (stream.width, stream.height))
        except av.error.FFmpegError as error:
            raise UserError(f"{path}: not a video that can be read ({error.strerror or error})") from error

    def pictures(
        self, max_side: int = _MAX_SIDE, max_rate_hz: float | None = None
    ) -> Iterator[tuple[float, Image.Image]]:
        """Times (seconds from the first picture) and pictures, upright; what is damaged is left out.

        Args:
            max_rate_hz: leave out pictures beyond so many a second.

        Raises:
            UserError: if there is none that can be read.
        """
        start: float | None = None
        last = -1.0
        try:
            with open_media(self.path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                for frame in _frames(container, stream):
                    at = frame.time if frame.time is not None else last + 1 / 30
                    start = at if start is None else start
                    at -= start
                    if at <= last or (max_rate_hz and last >= 0 and at - last < 0.9 / max_rate_hz):
                        continue
                    last = at
                    yield at, _upright(frame, max_side)
        except av.error.FFmpegError as error:
            if start is None:
                raise UserError(f"{self.path}: not a video that can be read ({error.strerror or error})") from error
        if start is None:
            raise UserError(f"{self.path}: no picture in it can be read")


def _frames(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _upright(frame: av.VideoFrame, max_side: int) -> Image.Image:
    scale = min(1.0, max_side / max(frame.width, frame.height))
    if scale < 1:
        frame = frame.reformat(round(frame.width * scale), round(frame.height * scale), "rgb24")
    picture = frame.to_image()
    turn = round(getattr(frame, "rotation", 0) or 0)
    return picture.rotate(turn, expand=True) if turn % 360 else picture
