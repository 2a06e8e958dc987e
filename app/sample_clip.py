"""The recording of speech that ships with the program."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["sample_clip"]


def sample_clip() -> Path:
    """The bundled clip, played where none is given."""
    return Path(str(resources.files("app") / "assets" / "sample.flac"))
