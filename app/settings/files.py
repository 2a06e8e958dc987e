"""The settings file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from app.settings.settings import VERSION, Settings
from avatar.formats.atomic import write_bytes
from avatar.home import config_dir

__all__ = ["load_settings", "save_settings", "settings_path"]


def settings_path() -> Path:
    """The settings file."""
    return config_dir() / "settings.json"


def load_settings(path: Path | None = None) -> tuple[Settings, str | None]:
    """The saved settings, and one line if they could not be used: then the file is kept aside and defaults hold."""
    path = path or settings_path()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings(), None
    except OSError as error:
        return Settings(), f"{path}: cannot be read ({error.strerror}); using the defaults"
    try:
        found = msgspec.json.decode(data, type=Settings)
        if found.version > VERSION:
            raise msgspec.ValidationError(f"made by a newer version ({found.version})")
        return found.checked(), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        aside = path.with_suffix(".unusable.json")
        with contextlib.suppress(OSError):
            path.replace(aside)
        return Settings(), f"{path.name}: {error}; using the defaults, the old file is kept as {aside.name}"


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Write the file, all or nothing.

    Raises:
        OSError: if it cannot be written.
    """
    write_bytes(path or settings_path(), msgspec.json.format(msgspec.json.encode(settings), indent=2))
