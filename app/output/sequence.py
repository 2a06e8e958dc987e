"""A numbered PNG for every image."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float32, UInt8

from app.output.files import check_options, writing
from app.output.pacer import Pacer
from app.output.still import straight, to_rgba
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = ["ImageSequenceWriter"]


class ImageSequenceWriter:
    """A folder of PNG files `000000.png ...` with straight alpha at a constant rate, and `sound.wav`."""

    def __init__(self, path: str | Path, width: int, height: int, sample_rate: int | None, fps: float) -> None:
        """See `open_writer`. The folder must be new or empty."""
        self.path = Path(path)
        self.size = (width, height)
        self.most_fps: float | None = None
        check_options("standard", fps, sample_rate)
        with writing(self.path):
            if self.path.is_dir() and any(self.path.iterdir()):
                raise UserError(f"{self.path}: this folder is not empty; an image sequence needs one of its own")
            self.path.mkdir(parents=True, exist_ok=True)
            self._sound = _Sound(self.path / "sound.wav", sample_rate) if sample_rate else None
        self._rate = sample_rate
        self._samples = 0
        self._pacer = Pacer(fps)
        self._encoder = _PngEncoder(width, height)
        self._last: np.ndarray | None = None  # a constant rate repeats an image where others were dropped
        self._encoded = b""
        self._closed = False

    @property
    def duration_s(self) -> float:
        """What has been written so far, seconds."""
        return max(self._samples / self._rate if self._rate else 0.0, (self._pacer.index + 1) / self._pacer.fps)

    def write_image(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        """Add an image that is shown from `time_s` on."""
        if bgra.shape != (self.size[1], self.size[0], 4) or bgra.dtype != np.uint8:
            raise ValueError(f"write_image: expected {(self.size[1], self.size[0], 4)} uint8, got {bgra.shape}")
        self._pacer.push(bgra.copy(), time_s, self._save)

    def write_audio(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Add the next samples, mono, -1..1."""
        if self._sound is None:
            raise ValueError("write_audio: this sequence was opened without sound (sample_rate=None)")
        pcm = np.round(np.clip(np.asarray(samples, np.float32), -1, 1) * 32767).astype("<i2")
        with writing(self.path):
            self._sound.write(pcm.tobytes())
        self._samples += pcm.size

    def close(self) -> None:
        """Write the last image. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with writing(self.path):
            self._pacer.finish(self._save)
            if self._sound is not None:
                self._sound.close()

    def abandon(self) -> None:
        """The same: a sequence has a folder of its own."""
        self.close()

    def __enter__(self) -> ImageSequenceWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _save(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        if bgra is not self._last:
            self._last, self._encoded = bgra, self._encoder.encode(bgra)
        with writing(self.path):
            write_bytes(self.path / f"{round(time_s * self._pacer.fps):06d}.png", self._encoded)


class _Sound:
    """A WAV file whose header is true at any moment, so that it plays after a crash."""

    def __init__(self, path: Path, rate: int) -> None:
        self._file = path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - closed by close()
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(rate)

    def write(self, pcm: bytes) -> None:
        """Add samples, and say so in the header."""
        self._wave.writeframes(pcm)
        self._file.flush()

    def close(self) -> None:
        """Idempotent."""
        try:
            self._wave.close()
        finally:
            self._file.close()


class _PngEncoder:
    """FFmpeg's: half the time of Pillow's."""

    def __init__(self, width: int, height: int) -> None:
        self._context = av.CodecContext.create("png", "w")
        self._context.width, self._context.height = width, height
        self._context.pix_fmt = "rgba"
        self._context.time_base = Fraction(1, 1000)
        self._context.options = {"compression_level": "1", "pred": "up"}
        self._context.thread_count = 1  # more would hold images back
        self._count = 0

    def encode(self, bgra: UInt8[np.ndarray, "h w 4"]) -> bytes:
        """A whole PNG file, alpha straight."""
        frame = av.VideoFrame.from_ndarray(to_rgba(straight(bgra)), format="rgba")
        frame.pts = self._count
        self._count += 1
        return b"".join(bytes(packet) for packet in self._context.encode(frame))
