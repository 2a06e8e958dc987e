"""Audio files of any kind, read in blocks so that memory does not grow with their length.

One reader for all of them, FFmpeg's. It keeps time: what a file leaves out becomes silence of that length, and what is
damaged is skipped without shifting what follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from jaxtyping import Float32

from app.chained_ogg import ogg_parts
from app.decoding import Faults, chunks, open_container
from app.downmix import Downmix
from avatar.errors import UserError

__all__ = ["AudioFile", "open_audio"]

_log = logging.getLogger(__name__)

_BLOCK_S = 0.5
_CLIPPED = 1.01
"""Times full scale: lossy codecs overshoot a little; that is nobody's fault and not heard."""
_MAX_RATE = 768_000
_MAX_CHANNELS = 256


@dataclass(frozen=True)
class AudioFile:
    """An audio file that has been looked at, not yet read."""

    path: Path
    sample_rate: int
    channels: int
    duration_s: float
    """As the file declares it; 0 where it does not say."""
    tracks: int = 1
    """Sound tracks in the file."""
    track: int = 0
    """The one that is read, counted from 0."""
    channel: int | None = None
    """The channel that is heard, counted from 0; None leaves it to `app.downmix`."""
    parts: tuple[tuple[int, int], ...] = ()
    """Where the recordings of a chained file lie, bytes; empty for a file of one piece."""
    warn: Callable[[str], None] = field(default=_log.warning, compare=False)
    """Given one line for each kind of fault that the file turns out to have."""

    def blocks(self) -> Iterator[Float32[np.ndarray, " n"]]:
        """Mono blocks of about half a second in -1..1; samples that are not finite are silence.

        Raises:
            UserError: if the file turns out to hold no sound.
        """
        faults = Faults()
        total, loudest = 0, 0.0
        for block in _Assembly(self).blocks(faults):
            if not len(block):
                continue
            total += len(block)
            loudest = max(loudest, float(np.abs(block).max()))
            yield np.clip(block, -1.0, 1.0)
        if total == 0:
            raise UserError(f"{self.path}: holds no sound (0 samples); record or export it again")
        for line in faults.lines():
            self.warn(f"{self.path}: {line}")
        if loudest > _CLIPPED:
            self.warn(
                f"{self.path}: reaches {loudest:.2f} times full scale, and is clipped; export it at a lower level"
            )


def open_audio(
    path: Path | str,
    *,
    track: int | None = None,
    channel: int | None = None,
    warn: Callable[[str], None] = _log.warning,
) -> AudioFile:
    """Open whatever FFmpeg can read, the sound of a video included.

    Args:
        track: which sound track, counted from 1; the file's default one if None.
        channel: which channel of it, counted from 1; those that speech is in if None.
        warn: given one line for each kind of fault that turns up while reading; to the log if not given.

    Raises:
        UserError: if the file is missing, empty, or holds no audio that can be read; for a track or channel that it
            has not.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        parts = tuple(ogg_parts(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    parts = parts if len(parts) > 1 else ()
    duration_s = 0.0
    found: AudioFile | None = None
    for part in parts or (None,):
        with open_container(path, part) as container:
            duration_s += float(container.duration or 0) / av.time_base
            if found is None:
                found = _examined(path, container.streams.audio, track, channel)
    assert found is not None
    return replace(found, duration_s=duration_s, parts=parts, warn=warn)


def _examined(path: Path, streams: Any, track: int | None, channel: int | None) -> AudioFile:
    if track is not None and not 1 <= track <= len(streams):
        raise UserError(f"{path}: has {_counted(len(streams), 'sound track')}; there is no track {track}")
    chosen = _default_track(streams) if track is None else track - 1
    context = streams[chosen].codec_context
    if context is None:
        raise UserError(f"{path}: its sound is in a format that cannot be decoded here; convert it to WAV, FLAC or M4A")
    rate, channels = context.sample_rate or 0, context.layout.nb_channels
    if not (100 <= rate <= _MAX_RATE and 1 <= channels <= _MAX_CHANNELS):
        raise UserError(f"{path}: claims {rate} Hz and {channels} channels, which no recording has")
    if channel is not None and not 1 <= channel <= channels:
        raise UserError(f"{path}: has {_counted(channels, 'channel')}; there is no channel {channel}")
    return AudioFile(path, rate, channels, 0.0, len(streams), chosen, None if channel is None else channel - 1)


def _default_track(streams: Any) -> int:
    flagged = (i for i, stream in enumerate(streams) if stream.disposition & av.stream.Disposition.default)
    return next(flagged, 0)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class _Assembly:
    """Puts decoded sound together: silence where something is missing, one rate, one voice."""

    def __init__(self, audio: AudioFile) -> None:
        self._audio = audio
        self._form: tuple[int, int, tuple[str, ...]] | None = None
        self._downmix: Downmix | None = None
        self._resample: soxr.ResampleStream | None = None

    def blocks(self, faults: Faults) -> Iterator[Float32[np.ndarray, " n"]]:
        """Mono blocks; `faults` is told what is wrong."""
        waiting: list[np.ndarray] = []
        length = 0
        for chunk in chunks(self._audio.path, self._audio.track, self._audio.parts, faults):
            form = (chunk.rate, chunk.samples.shape[1], chunk.names)
            if waiting and (form != self._form or chunk.silence_s > 0 or length >= _BLOCK_S * chunk.rate):
                yield self._voice(waiting)
                waiting, length = [], 0
            if form != self._form:
                yield self._tail()
                self._begin(form)
            if chunk.silence_s > 0:
                yield from self._silence(chunk.silence_s)
            waiting.append(chunk.samples)
            length += len(chunk.samples)
        if waiting:
            yield self._voice(waiting)
        yield self._tail()

    def _begin(self, form: tuple[int, int, tuple[str, ...]]) -> None:
        """Sound of another rate, or of other channels, follows."""
        self._form = form
        rate, channels, names = form
        pick = self._audio.channel
        self._downmix = Downmix(channels, rate, names, pick if pick is not None and pick < channels else None)
        same = rate == self._audio.sample_rate
        self._resample = None if same else soxr.ResampleStream(rate, self._audio.sample_rate, 1, dtype="float32")

    def _voice(self, waiting: list[np.ndarray]) -> Float32[np.ndarray, " n"]:
        assert self._downmix is not None
        mono = self._downmix.feed(np.concatenate(waiting))
        return mono if self._resample is None else self._resample.resample_chunk(mono)

    def _silence(self, silence_s: float) -> Iterator[Float32[np.ndarray, " n"]]:
        assert self._form is not None
        left, most = round(silence_s * self._form[0]), round(_BLOCK_S * self._form[0])
        while left > 0:
            block = np.zeros(min(left, most), np.float32)
            left -= len(block)
            yield block if self._resample is None else self._resample.resample_chunk(block)

    def _tail(self) -> Float32[np.ndarray, " n"]:
        """What the change of rate still holds."""
        empty = np.zeros(0, np.float32)
        return empty if self._resample is None else self._resample.resample_chunk(empty, last=True)
