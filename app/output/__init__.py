"""Where pictures and sound go: video files, image sequences, stills."""

from __future__ import annotations

from app.output.recorder import Recorder, RecorderStatus
from app.output.video import QUALITIES, ImageSequenceWriter, VideoWriter, Writer, open_writer, save_still

__all__ = [
    "QUALITIES",
    "ImageSequenceWriter",
    "Recorder",
    "RecorderStatus",
    "VideoWriter",
    "Writer",
    "open_writer",
    "save_still",
]
