"""Video files, image sequences and stills from BGRA images and float samples; synchronous, one thread.

Images come in as the renderers give them: (height, width, 4) uint8, BGRA, alpha premultiplied, sRGB. What keeps
its alpha is written with straight alpha, as editors expect; what does not is written as it is, over black.
"""

from __future__ import annotations

import errno
import os
import wave
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import Float32, UInt8
from PIL import Image

from avatar.errors import UserError

__all__ = ["QUALITIES", "ImageSequenceWriter", "VideoWriter", "Writer", "open_writer", "save_still"]

QUALITIES = ("draft", "standard", "high")

_TICKS = 90_000  # of a video second: fine enough for any display, and what MPEG uses
_KEYFRAME_S = 1.0
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_ANY_RATE: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Format:
    """What a suffix stands for."""

    container: str
    video: str
    pixels: str
    audio: str
    rates: tuple[int, ...]
    options: dict[str, str]

    @property
    def alpha(self) -> bool:
        return "a4" in self.pixels


# `hybrid_fragmented` writes fragments while running and turns the file into an ordinary mp4 on a clean close, so
# that a killed process loses only the last, open fragment. `frag_duration` (microseconds) bounds that fragment.
# `delay_moov` lets the header know of AAC's 1024 priming samples; without it all would start 21 ms late.
_FORMATS = {
    ".mp4": _Format(
        "mp4",
        "libx264",
        "yuv420p",
        "aac",
        _AAC_RATES,
        {
            "movflags": "hybrid_fragmented+frag_keyframe+delay_moov",
            "frag_duration": "250000",
            "flush_packets": "1",
            "max_interleave_delta": "500000",
        },
    ),
    ".mkv": _Format("matroska", "libx264", "yuv420p", "aac", _AAC_RATES, {"flush_packets": "1"}),
    ".mov": _Format("mov", "prores_aw", "yuva444p10le", "pcm_s16le", _ANY_RATE, {}),
    ".webm": _Format("webm", "libvpx-vp9", "yuva420p", "libopus", (48000,), {}),
}
_X264 = {"draft": ("ultrafast", 27), "standard": ("veryfast", 20), "high": ("fast", 15)}
_VP9 = {"draft": ("8", 40), "standard": ("6", 30), "high": ("4", 22)}


class Writer(Protocol):
    """A file, or folder of files, that images and sound go into."""

    path: Path

    def write_image(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        """Add an image that is shown from `time_s` on; times rise."""

    def write_audio(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Add the next samples, mono, -1..1. The first sample ever written is heard at time 0."""

    def close(self) -> None:
        """Finish the file. Idempotent."""

    @property
    def duration_s(self) -> float:
        """What has been written so far, seconds."""


def open_writer(
    path: str | Path,
    width: int,
    height: int,
    sample_rate: int | None = None,
    fps: float | None = None,
    quality: str = "standard",
    alpha: bool = False,
) -> Writer:
    """Open the writer that a path calls for.

    Args:
        path: `.mp4` or `.mkv` (H.264 + AAC), `.mov` (ProRes 4444 with alpha), `.webm` (VP9 with alpha + Opus), or a
            folder (no suffix, or ending in a slash) for a PNG sequence with alpha and a WAV file.
        width, height: of every image, pixels.
        sample_rate: of the sound, Hz; None for none.
        fps: constant rate; None keeps the time of every image (sequences then take 30).
        quality: one of `QUALITIES`.
        alpha: the background is transparent and must stay so: refuses a format that cannot.

    Raises:
        UserError: unknown suffix or quality, unwritable path, odd size where the format needs an even one.
    """
    target = Path(path)
    if target.suffix == "" or str(path).endswith(("/", os.sep)) or target.is_dir():
        return ImageSequenceWriter(target, width, height, sample_rate, 30.0 if fps is None else fps)
    suffix = target.suffix.lower()
    if alpha and suffix in _FORMATS and not _FORMATS[suffix].alpha:
        raise UserError(
            f"{target.name}: {suffix} cannot keep a transparent background; "
            "write a .mov (ProRes 4444), a .webm (VP9) or a folder (PNG sequence)"
        )
    return VideoWriter(target, width, height, sample_rate, fps, quality)


def save_still(path: str | Path, bgra: UInt8[np.ndarray, "h w 4"]) -> Path:
    """Write one image as PNG with straight alpha.

    Raises:
        UserError: if the path is not a .png, or cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise UserError(f"{target.name}: a still is a .png file")
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _save_png(target, bgra, compress_level=6)
    return target


class VideoWriter:
    """One video file with one picture track and, where wanted, one mono sound track."""

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        sample_rate: int | None = None,
        fps: float | None = None,
        quality: str = "standard",
    ) -> None:
        """See `open_writer`."""
        self.path = Path(path)
        form = _FORMATS.get(self.path.suffix.lower())
        if form is None:
            raise UserError(
                f"{self.path.name}: cannot write {self.path.suffix or 'a file without a suffix'}; "
                f"use {', '.join(_FORMATS)} or a folder for a PNG sequence"
            )
        _check(quality, fps, sample_rate)
        if "420" in form.pixels and (width % 2 or height % 2):
            raise UserError(f"{self.path.name}: a video's width and height must be even, got {width} x {height}")
        self.size = (width, height)
        self._format = form
        self._rate = sample_rate
        self._pacer = _Pacer(fps) if fps else None
        self._last_ticks = -1
        self._next_keyframe_s = 0.0
        self._samples = 0
        self._image_end_s = 0.0
        self._closed = False
        self._waiting: Any = None
        self._reformatter = VideoReformatter()
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self.path), "w", format=form.container, options=form.options)
            try:
                self._video = self._add_video(form, width, height, fps, quality)
                self._audio = self._add_audio(form, sample_rate) if sample_rate else None
                self._container.start_encoding()
            except BaseException:
                self._container.close()
                self.path.unlink(missing_ok=True)
                raise

    @property
    def duration_s(self) -> float:
        audio = self._samples / self._rate if self._rate else 0.0
        return max(audio, self._image_end_s)

    @property
    def keeps_alpha(self) -> bool:
        """Whether the format keeps a transparent background."""
        return self._format.alpha

    def write_image(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        """Add an image that is shown from `time_s` on; an image not later than the one before takes its place or
        is left out.

        Raises:
            UserError: when the disk is full or the file cannot be written any more.
            ValueError: for an image of another size.
        """
        if bgra.shape != (self.size[1], self.size[0], 4) or bgra.dtype != np.uint8:
            raise ValueError(
                f"write_image: expected {(self.size[1], self.size[0], 4)} uint8, got {bgra.shape} {bgra.dtype}"
            )
        frame = self._convert(bgra)
        if self._pacer is None:
            self._encode(frame, time_s)
        else:
            self._pacer.push(frame, time_s, self._encode)

    def write_audio(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Add the next samples, mono, -1..1."""
        if self._audio is None or self._rate is None:
            raise ValueError("write_audio: this file was opened without sound (sample_rate=None)")
        samples = np.ascontiguousarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"write_audio: expected mono samples (n,), got shape {samples.shape}")
        if not samples.size:
            return
        block = av.AudioFrame.from_ndarray(np.clip(samples, -1.0, 1.0)[None], format="fltp", layout="mono")
        block.sample_rate = self._rate
        block.time_base = Fraction(1, self._rate)
        block.pts = self._samples
        self._samples += samples.size
        with _writing(self.path):
            self._container.mux(self._audio.encode(block))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with _writing(self.path):
                if self._pacer is not None:
                    self._pacer.finish(self._encode)
                self._mux_video(self._video.encode(None))
                if self._waiting is not None:
                    self._container.mux(self._waiting)
                if self._audio is not None:
                    self._container.mux(self._audio.encode(None))
        finally:
            with _writing(self.path):
                self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _add_video(self, form: _Format, width: int, height: int, fps: float | None, quality: str) -> Any:
        hint = Fraction(fps if fps else 30).limit_denominator(1001)
        stream: Any = self._container.add_stream(form.video, rate=hint)
        stream.width, stream.height, stream.pix_fmt = width, height, form.pixels
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, _TICKS)
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = 1, 1  # BT.709
        if form.video == "libx264":
            preset, crf = _X264[quality]
            # Few images are held back in the encoder (a crash would lose them), and keyframes are set by time.
            stream.options = {
                "preset": preset, "crf": str(crf), "bf": "0", "rc-lookahead": "5", "g": "600", "forced-idr": "1",
                "x264-params": "sync-lookahead=0",
            }  # fmt: skip
            context.thread_count = 2
        elif form.video == "libvpx-vp9":
            speed, crf = _VP9[quality]
            stream.options = {
                "deadline": "realtime", "cpu-used": speed, "crf": str(crf), "b": "0", "row-mt": "1",
                "auto-alt-ref": "0", "lag-in-frames": "0", "g": "60",
            }  # fmt: skip
        else:
            stream.options = {"profile": "4", "vendor": "apl0"}  # 4444; 2.6 times as fast as prores_ks
            context.thread_count = 2
        return stream

    def _add_audio(self, form: _Format, sample_rate: int) -> Any:
        rate = sample_rate if not form.rates or sample_rate in form.rates else 48000
        stream: Any = self._container.add_stream(form.audio, rate=rate, layout="mono")
        if form.audio != "pcm_s16le":
            stream.codec_context.bit_rate = 128_000 if rate >= 32000 else 64_000
        return stream

    def _convert(self, bgra: UInt8[np.ndarray, "h w 4"]) -> av.VideoFrame:
        if self._format.alpha:
            frame = av.VideoFrame.from_ndarray(_straight(bgra), format="bgra")
        else:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgra), format="bgra")
        return self._reformatter.reformat(
            frame,
            format=self._format.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _encode(self, frame: av.VideoFrame, time_s: float) -> None:
        ticks = round(time_s * _TICKS)
        if ticks <= self._last_ticks:
            return
        self._last_ticks = ticks
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        frame.pict_type = PictureType.NONE
        if time_s >= self._next_keyframe_s:
            frame.pict_type = PictureType.I
            self._next_keyframe_s = time_s + _KEYFRAME_S - 1e-3
        with _writing(self.path):
            self._mux_video(self._video.encode(frame))
        self._image_end_s = time_s + (1 / self._pacer.fps if self._pacer else 0.0)

    def _mux_video(self, packets: list[Any]) -> None:
        """Write packets one late, each with its true duration: at the end of an mp4 fragment the muxer would guess,
        and the next image would be shown at the wrong time."""
        for packet in packets:
            if self._waiting is not None:
                self._waiting.duration = packet.pts - self._waiting.pts
                self._container.mux(self._waiting)
            self._waiting = packet


class ImageSequenceWriter:
    """A folder of PNG files `000000.png ...` with straight alpha at a constant rate, and `sound.wav`."""

    def __init__(self, path: str | Path, width: int, height: int, sample_rate: int | None, fps: float) -> None:
        """See `open_writer`. The folder must be new or empty."""
        self.path = Path(path)
        self.size = (width, height)
        _check("standard", fps, sample_rate)
        with _writing(self.path):
            if self.path.is_dir() and any(self.path.iterdir()):
                raise UserError(f"{self.path}: this folder is not empty; an image sequence needs one of its own")
            self.path.mkdir(parents=True, exist_ok=True)
            self._sound: wave.Wave_write | None = None
            if sample_rate:
                self._sound = wave.open(str(self.path / "sound.wav"), "wb")  # noqa: SIM115 - closed by close()
                self._sound.setnchannels(1)
                self._sound.setsampwidth(2)
                self._sound.setframerate(sample_rate)
        self._rate = sample_rate
        self._samples = 0
        self._pacer = _Pacer(fps)
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
        with _writing(self.path):
            self._sound.writeframesraw(pcm.tobytes())
        self._samples += pcm.size

    def close(self) -> None:
        """Write the last image. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with _writing(self.path):
            self._pacer.finish(self._save)
            if self._sound is not None:
                self._sound.close()

    def __enter__(self) -> ImageSequenceWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _save(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        with _writing(self.path):
            _save_png(self.path / f"{round(time_s * self._pacer.fps):06d}.png", bgra, compress_level=1)


class _Pacer:
    """Images at any times onto a constant rate: each is held until the next one's place on the grid.

    A picture is passed on once its place is past, so that a later one for the same place can still replace it.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.index = -1
        self._held: Any = None

    def push(self, image: Any, time_s: float, emit: Callable[[Any, float], None]) -> None:
        index = max(0, round(time_s * self.fps))
        if self._held is None:
            self.index = index
        while self.index < index:
            emit(self._held, self.index / self.fps)
            self.index += 1
        self._held = image

    def finish(self, emit: Callable[[Any, float], None]) -> None:
        if self._held is not None:
            emit(self._held, self.index / self.fps)
            self._held = None


def _check(quality: str, fps: float | None, sample_rate: int | None) -> None:
    if quality not in QUALITIES:
        raise UserError(f"unknown quality {quality!r}: choose one of {', '.join(QUALITIES)}")
    if fps is not None and not 1 <= fps <= 240:
        raise UserError(f"images a second must lie between 1 and 240, got {fps:g}")
    if sample_rate is not None and not 4000 <= sample_rate <= 384_000:
        raise UserError(f"the sample rate must lie between 4,000 and 384,000 Hz, got {sample_rate}")


def _straight(bgra: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Divide the colours by alpha."""
    alpha = bgra[..., 3:4]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(bgra)
    out = np.empty_like(bgra)
    scale = np.float32(255) / np.maximum(alpha, 1)
    out[..., :3] = np.minimum(bgra[..., :3] * scale + np.float32(0.5), 255)
    out[..., 3:4] = alpha
    return out


def _save_png(path: Path, bgra: UInt8[np.ndarray, "h w 4"], compress_level: int) -> None:
    rgba = np.ascontiguousarray(_straight(bgra)[..., [2, 1, 0, 3]])
    Image.fromarray(rgba, "RGBA").save(path, "PNG", compress_level=compress_level)


@contextmanager
def _writing(path: Path) -> Any:
    """Turn what the disk says into one line."""
    try:
        yield
    except UserError:
        raise
    except (OSError, av.error.FFmpegError) as error:
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{path}: the disk is full") from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path}: no permission to write here") from error
        if code in (errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG):
            raise UserError(f"{path}: cannot write here ({os.strerror(code)})") from error
        raise UserError(f"{path}: cannot be written ({error})") from error
