"""Video files from BGRA images and float samples; synchronous, one thread.

Images come in as the renderers give them: (height, width, 4) uint8, BGRA, alpha premultiplied, sRGB. What keeps
its alpha is written with straight alpha, as editors expect; what does not is written as it is, over black.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import Float32, UInt8

from app.output.files import Unfinished, check_options, writing
from app.output.formats import Format, format_of, video_options
from app.output.pacer import Pacer
from app.output.still import straight
from avatar.errors import UserError
from avatar.formats.media import media_url

__all__ = ["VideoWriter"]

_TICKS = 90_000  # of a video second: fine enough for any display, and what MPEG uses
_KEYFRAME_S = 1.0


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
        live: bool = False,
    ) -> None:
        """See `open_writer`."""
        self.path = Path(path)
        form = format_of(self.path)
        check_options(quality, fps, sample_rate)
        if "420" in form.pixels and (width % 2 or height % 2):
            raise UserError(f"{self.path.name}: a video's width and height must be even, got {width} x {height}")
        self.size = (width, height)
        self._format = form
        self._rate = sample_rate
        self._pacer = Pacer(fps) if fps else None
        self.most_fps = form.most_live_fps if live and not fps else None
        self._last_ticks = -1
        self._next_keyframe_s = 0.0
        self._samples = 0
        self._image_end_s = 0.0
        self._closed = self._broken = False
        self._waiting: Any = None
        self._converted: tuple[np.ndarray, av.VideoFrame] | None = None
        self._reformatter = VideoReformatter()
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = Unfinished(self.path)
            try:
                self._container = av.open(media_url(self._file.at), "w", format=form.container, options=form.options)
                try:
                    self._video = self._add_video(form, width, height, fps, video_options(form, quality, live))
                    self._audio = self._add_audio(form, sample_rate) if sample_rate else None
                    self._container.start_encoding()
                except BaseException:
                    self._container.close()
                    raise
            except BaseException:
                self._file.discard()
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
        if self._pacer is not None:  # converted when it is its turn: what another replaces costs nothing
            self._pacer.push(bgra.copy(), time_s, self._encode)
        else:
            self._encode(bgra, time_s)

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
        with self._writing():
            self._container.mux(self._audio.encode(block))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with writing(self.path):
                try:
                    self._finish()
                finally:
                    self._container.close()
                if not self._broken:
                    self._file.finish()
        except UserError as error:
            raise UserError(f"{error}; what there is of it is in {self._file.at.name}") from error

    def abandon(self) -> None:
        self._broken = True
        self.close()
        if self._last_ticks < 0:  # no image: nothing to be kept
            self._file.discard()

    def _finish(self) -> None:
        """Write what waits."""
        if self._pacer is not None:
            self._pacer.finish(self._encode)
        self._mux_video(self._video.encode(None))
        if self._waiting is not None:
            self._container.mux(self._waiting)
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _add_video(self, form: Format, width: int, height: int, fps: float | None, options: dict[str, str]) -> Any:
        hint = Fraction(fps if fps else 30).limit_denominator(1001)
        stream: Any = self._container.add_stream(form.video, rate=hint, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, form.pixels
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, _TICKS)
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = 1, 1  # BT.709
        context.thread_count = 2
        return stream

    def _add_audio(self, form: Format, sample_rate: int) -> Any:
        rate = sample_rate if not form.rates or sample_rate in form.rates else 48000
        stream: Any = self._container.add_stream(form.audio, rate=rate, layout="mono")
        if form.audio != "pcm_s16le":
            stream.codec_context.bit_rate = 128_000 if rate >= 32000 else 64_000
        return stream

    def _convert(self, bgra: UInt8[np.ndarray, "h w 4"]) -> av.VideoFrame:
        if self._pacer is not None and self._converted is not None and self._converted[0] is bgra:
            return self._converted[1]  # a constant rate repeats an image where others were dropped
        pixels = straight(bgra) if self._format.alpha else np.ascontiguousarray(bgra)
        frame = av.VideoFrame.from_ndarray(pixels, format="bgra")
        converted = self._reformatter.reformat(
            frame,
            format=self._format.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        self._converted = (bgra, converted)
        return converted

    def _encode(self, bgra: UInt8[np.ndarray, "h w 4"], time_s: float) -> None:
        ticks = round(time_s * _TICKS)
        if ticks <= self._last_ticks:
            return
        self._last_ticks = ticks
        frame = self._convert(bgra)
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        frame.pict_type = PictureType.NONE
        if time_s >= self._next_keyframe_s:
            frame.pict_type = PictureType.I
            self._next_keyframe_s = time_s + _KEYFRAME_S - 1e-3
        with self._writing():
            self._mux_video(self._video.encode(frame))
        self._image_end_s = time_s + (1 / self._pacer.fps if self._pacer else 0.0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What fails once is not whole any more."""
        try:
            with writing(self.path):
                yield
        except UserError:
            self._broken = True
            raise

    def _mux_video(self, packets: list[Any]) -> None:
        """Write packets one late, each with its true duration: at the end of an mp4 fragment the muxer would guess,
        and the next image would be shown at the wrong time."""
        for packet in packets:
            if self._waiting is not None:
                self._waiting.duration = packet.pts - self._waiting.pts
                self._container.mux(self._waiting)
            self._waiting = packet
