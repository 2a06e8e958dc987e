"""Sound files for tests, written packet by packet with PyAV: with gaps, late starts, several tracks, other codecs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Piece = tuple[float, np.ndarray]
"""When it begins, seconds, and its samples, (n,) or (n, c), -1..1."""


def tone(rate: int, seconds: float, hz: float = 300.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def write_sound(
    path: Path,
    codec: str,
    tracks: Sequence[Sequence[Piece]],
    rate: int = 48_000,
    *,
    layout: str = "mono",
    container: str | None = None,
    picture_s: float = 0.0,
    default: int | None = None,
) -> Path:
    """Write sound tracks, each of pieces at times of their own; beside a black picture that begins at 0, if wanted.

    Args:
        default: the track that is marked as the default one.
    """
    with av.open(f"file:{path}", "w", format=container) as out:
        picture = out.add_stream("mpeg4", rate=10) if picture_s else None
        streams = [out.add_stream(codec, rate=rate, layout=layout) for _ in tracks]
        if default is not None:
            for i, stream in enumerate(streams):
                stream.disposition = av.stream.Disposition.default if i == default else 0
        if picture is not None:
            _write_picture(out, picture, picture_s)
        for stream, pieces in zip(streams, tracks, strict=True):
            for start_s, samples in pieces:
                _write_piece(out, stream, start_s, samples, rate, layout)
            out.mux(stream.encode(None))
    return path


def _write_picture(out: Any, stream: Any, seconds: float) -> None:
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for k in range(round(10 * seconds)):
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts, frame.time_base = k, Fraction(1, 10)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _write_piece(out: Any, stream: Any, start_s: float, samples: np.ndarray, rate: int, layout: str) -> None:
    context = stream.codec_context
    size = context.frame_size or 960
    first = round(start_s * rate)
    convert = av.AudioResampler(format=context.format.name, layout=layout, rate=rate)
    planes = np.ascontiguousarray(np.atleast_2d(samples.T), np.float32)
    for at in range(0, planes.shape[1], size):
        block = planes[:, at : at + size]
        if context.frame_size:
            block = np.pad(block, ((0, 0), (0, size - block.shape[1])))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
        frame.sample_rate = rate
        for converted in convert.resample(frame):
            converted.pts, converted.time_base = first + at, Fraction(1, rate)
            out.mux(stream.encode(converted))


def joined(path: Path, *parts: Path) -> Path:
    """One file after the other, byte by byte."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def loud_spans(samples: np.ndarray, rate: int, above: float = 0.1) -> np.ndarray:
    """Seconds at which sound begins and ends, in turn; 10 ms fine."""
    step = rate // 100
    loud = np.abs(samples[: len(samples) // step * step].reshape(-1, step)).max(1) > above
    return np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0)) * 0.01
