"""Audio files of any kind, read in blocks so that memory does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from jaxtyping import Float32

from avatar.errors import UserError

__all__ = ["AudioFile", "open_audio"]

_BLOCK_S = 0.5
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
    _reader: Any

    def blocks(self) -> Iterator[Float32[np.ndarray, "n c"]]:
        """Half-second blocks in -1..1; samples that are not finite are silence.

        Raises:
            UserError: if the file turns out to be damaged, or to hold no sound.
        """
        total = 0
        for block in self._reader(self):
            total += len(block)
            if not np.isfinite(block).all():
                block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
            yield np.clip(block, -1.0, 1.0)
        if total == 0:
            raise UserError(f"{self.path}: holds no sound (0 samples); record or export it again")


def open_audio(path: Path | str) -> AudioFile:
    """Open whatever libsndfile or FFmpeg can read, the sound of a video included.

    Raises:
        UserError: if the file is missing, empty, or holds no audio that can be read.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        info = soundfile.info(str(path))
        found = AudioFile(path, info.samplerate, info.channels, info.duration, _soundfile_blocks)
        if info.frames == 0:
            raise UserError(f"{path}: holds no sound (0 samples); record or export it again")
    except (soundfile.LibsndfileError, RuntimeError):
        found = _probe_with_ffmpeg(path)
    if not (100 <= found.sample_rate <= _MAX_RATE and 1 <= found.channels <= _MAX_CHANNELS):
        raise UserError(f"{path}: claims {found.sample_rate} Hz and {found.channels} channels, which no recording has")
    return found


def _soundfile_blocks(audio: AudioFile) -> Iterator[np.ndarray]:
    size = max(1, int(audio.sample_rate * _BLOCK_S))
    try:
        with soundfile.SoundFile(str(audio.path)) as file:
            while len(block := file.read(size, dtype="float32", always_2d=True)):
                yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UserError(f"{audio.path}: damaged ({error}); export it again") from error


def _probe_with_ffmpeg(path: Path) -> AudioFile:
    try:
        with closing(av.open(str(path))) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: holds no audio")
            stream = container.streams.audio[0]
            duration = float(container.duration or 0) / av.time_base
            return AudioFile(path, stream.rate or 0, stream.channels, duration, _ffmpeg_blocks)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not an audio file that can be read (try WAV, FLAC, MP3, OGG or M4A)") from error


def _ffmpeg_blocks(audio: AudioFile) -> Iterator[np.ndarray]:
    try:
        with closing(av.open(str(audio.path))) as container:
            resampler = av.AudioResampler(format="fltp", rate=audio.sample_rate)
            for packet in container.decode(audio=0):
                for frame in resampler.resample(packet):
                    yield frame.to_ndarray().T.astype(np.float32, copy=False)
            for frame in resampler.resample(None):
                yield frame.to_ndarray().T.astype(np.float32, copy=False)
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{audio.path}: damaged ({error}); export it again") from error
