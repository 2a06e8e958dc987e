"""Where pictures and sound go: video files, image sequences, stills."""

from __future__ import annotations

from app.output.files import QUALITIES
from app.output.recorder import Recorder, RecorderStatus
from app.output.sequence import ImageSequenceWriter
from app.output.still import save_still
from app.output.video import VideoWriter
from app.output.writer import Writer, open_writer

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
