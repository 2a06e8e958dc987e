"""Where the voice comes from: what is asked for, and what has come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Cause", "Source", "SourceState"]

Cause = Literal["silent", "stopped", "unavailable"]


@dataclass(frozen=True)
class Source:
    """Where the voice comes from."""

    device: str | None = None
    """Key of an input device; None is the system's default."""
    file: Path | None = None
    """Played instead of a device."""
    start_s: float = 0.0
    """Where in the file to begin."""
    loop: bool = False
    aloud: bool = False
    """The file is heard by the user too."""
    channel: int | None = None
    """The channel to hear, counted from 1; None takes those that speech is in."""
    track: int | None = None
    """The sound track of the file, counted from 1; None is its default one."""
    none: bool = False
    """Silence: neither device nor file."""


@dataclass(frozen=True)
class SourceState:
    """What the source is doing."""

    kind: str
    """`device`, `file`, `none` (nothing picked), `missing` (no device), `lost` (it failed; retrying)."""
    label: str = ""
    problem: str = ""
    """What is wrong with the microphone, also while a file is played; one line in English, empty while all is well."""
    cause: Cause | None = None
    """What kind of problem, for those who have words of their own: no sound arrives from the device, it has stopped, it
    cannot be opened."""
    file: Path | None = None
    """The file that is being played."""
