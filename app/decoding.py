"""What FFmpeg finds in a sound file, piece by piece, each in its place in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float32

from app.chained_ogg import FilePart
from avatar.errors import UserError
from avatar.formats.media import open_media

__all__ = ["Chunk", "Faults", "chunks", "open_container"]

_MOST_STUMBLES = 100
_TIMED = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mpegts", "mpeg", "flv", "asf", "ogg", "nut", "mxf", "rm"}
"""Containers that store times. Elsewhere FFmpeg computes them from the first header, wrongly where the rate changes."""
_WITHOUT_ZERO = {"mpegts", "mpeg"}
"""Containers whose times begin anywhere; in the others 0 is the beginning."""
_WITHOUT_GAPS = {"ogg"}
"""Containers in which a gap is a damaged page that FFmpeg has dropped."""
_LATEST_START_S = 10.0
"""A file that begins later was cut out of something longer: its time counts from its own beginning."""
_JITTER_S = 0.03
"""Times in containers are rounded, by some writers generously; a gap is what exceeds that."""
_ROUNDING_S = 0.005
"""The same where a gap is expected: at the start of a track, and after damage."""
_MOST_SILENCE_S = 3600.0

_SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0, "flt": 1.0, "dbl": 1.0}


@dataclass
class Chunk:
    """Sound as it was decoded."""

    samples: Float32[np.ndarray, "n c"]
    rate: int
    names: tuple[str, ...]
    """Of the channels: FL, FR, FC, LFE ..., or NONE."""
    silence_s: float
    """What was left out of the file before it."""


@dataclass
class Faults:
    """What turns out to be wrong with a file."""

    damaged: int = 0
    first_s: float = 0.0
    """Where the first damaged packet is."""
    jumps: int = 0
    ended: str = ""
    """That reading ended before the file did, and why."""

    def count(self, at_s: float) -> None:
        """A packet could not be decoded."""
        self.first_s = self.first_s if self.damaged else at_s
        self.damaged += 1

    def lines(self) -> Iterator[str]:
        """One line for each kind."""
        if self.damaged:
            what = "1 damaged packet was" if self.damaged == 1 else f"{self.damaged} damaged packets were"
            yield f"{what} skipped, the first at {self.first_s:.1f} s; time is kept"
        if self.ended:
            yield self.ended
        if self.jumps:
            yield "its times jump by more than an hour; that gap is left out"


@contextmanager
def open_container(path: Path, part: tuple[int, int] | None = None) -> Iterator[Any]:
    """A file, or those bytes of it, opened by FFmpeg; it has a sound track.

    Raises:
        UserError: if it has none, or is nothing that FFmpeg knows.
    """
    source = None if part is None else FilePart(path, *part)
    try:
        try:
            container = open_media(path, source)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"{path}: not an audio file that can be read (try WAV, FLAC, MP3, OGG or M4A)") from error
        with closing(container):
            if not container.streams.audio:
                raise UserError(f"{path}: holds no audio")
            yield container
    finally:
        if source is not None:
            source.close()


def chunks(path: Path, track: int, parts: tuple[tuple[int, int], ...], faults: Faults) -> Iterator[Chunk]:
    """The decoded sound of a file, recording after recording.

    Args:
        track: which sound track, counted from 0.
        parts: where the recordings of a chained file lie; empty for a file of one piece.
        faults: told what is wrong.
    """
    done_s = 0.0
    for part in parts or (None,):
        with open_container(path, part) as container:
            streams = container.streams.audio
            played_s = 0.0
            for chunk in _decoded(container, streams[min(track, len(streams) - 1)], faults, done_s):
                played_s += chunk.silence_s + len(chunk.samples) / chunk.rate
                yield chunk
        done_s += played_s


def _decoded(container: Any, stream: Any, faults: Faults, done_s: float) -> Iterator[Chunk]:
    """The sound of one track, `done_s` after the beginning of the file."""
    timed = container.format.name in _TIMED
    zero_s = _zero_s(container)
    played_s, lost_s, unsure = 0.0, 0.0, True
    for packet in _packets(container, stream, faults):
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            if not _is_header(packet):
                faults.count(done_s + played_s)
                unsure = True
                lost_s += float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0
            continue
        for frame in frames:
            silence_s = lost_s
            if timed and frame.pts is not None:
                silence_s = float(frame.pts * frame.time_base) - zero_s - played_s
                faults.jumps += silence_s > _MOST_SILENCE_S
                if silence_s < -_JITTER_S or silence_s > _MOST_SILENCE_S:  # times begin anew: the sound goes on
                    zero_s += silence_s
            if not (_ROUNDING_S if unsure else _JITTER_S) < silence_s <= _MOST_SILENCE_S:
                silence_s = 0.0
            elif played_s > 0 and not unsure and container.format.name in _WITHOUT_GAPS:
                faults.count(done_s + played_s)
            lost_s, unsure = 0.0, False
            samples = _floats(frame)
            played_s += silence_s + len(samples) / frame.sample_rate
            yield Chunk(samples, frame.sample_rate, tuple(c.name for c in frame.layout.channels), silence_s)
    declared_s = _declared_s(container, stream) if timed else 0.0
    if declared_s > played_s + max(1.0, 0.02 * declared_s) and not faults.ended:
        faults.ended = f"ends at {done_s + played_s:.1f} s, {declared_s - played_s:.1f} s before it says that it does"


def _zero_s(container: Any) -> float:
    """The moment that is the beginning, in the container's own time."""
    start_s = float(container.start_time or 0) / av.time_base
    if container.format.name in _WITHOUT_ZERO or start_s > _LATEST_START_S:
        return start_s
    return min(start_s, 0.0)


def _declared_s(container: Any, stream: Any) -> float:
    """How long a track says it lasts, from the beginning; 0 if it does not say."""
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - _zero_s(container)
    alone = len(container.streams) == 1
    return float(container.duration or 0) / av.time_base - _zero_s(container) if alone else 0.0


def _packets(container: Any, stream: Any, faults: Faults) -> Iterator[Any]:
    """The packets of a track; damage between them is stepped over as far as FFmpeg can."""
    for _ in range(_MOST_STUMBLES):
        try:
            yield from container.demux(stream)
            return
        except (av.FFmpegError, OSError) as error:
            problem = error
    faults.ended = f"cannot be read to its end ({problem.strerror or problem}); what comes before is used"


def _is_header(packet: Any) -> bool:
    """Whether a packet of an MP3 holds no sound but what an encoder says about the file: joined files have several."""
    return any(mark in bytes(packet)[:512] for mark in (b"Xing", b"Info", b"VBRI", b"TAG"))


def _floats(frame: Any) -> Float32[np.ndarray, "n c"]:
    """A frame's samples, 1 being full scale; what is not finite is 0."""
    name = frame.format.name.removesuffix("p")
    if name not in _SCALES:
        raise UserError(f"sound in samples of type {name} cannot be read; convert it to WAV or FLAC")
    raw = frame.to_ndarray()
    raw = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    values = raw.astype(np.float32)
    if name == "u8":
        values -= 128.0
    if _SCALES[name] != 1.0:
        values /= np.float32(_SCALES[name])
    elif not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return values
