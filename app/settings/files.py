"""The settings file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from app.settings.settings import VERSION, Settings
from avatar.formats.atomic import write_bytes
from avatar.home import config_dir

__all__ = ["load_settings", "save_settings", "settings_path"]


def settings_path() -> Path:
    """The settings file."""
    return config_dir() / "settings.json"


def load_settings(path: Path | None = None) -> tuple[Settings, str | None]:
    """The saved settings, and one line if some could not be used: then the file is kept aside and defaults hold."""
    path = path or settings_path()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings(), None
    except OSError as error:
        return Settings(), f"{path}: cannot be read ({error.strerror}); using the defaults"
    try:
        values = msgspec.json.decode(data, type=dict[str, Any])
        if values.get("version", VERSION) > VERSION:
            raise msgspec.ValidationError(f"made by a newer version ({values['version']})")
        settings, refused = _usable(values)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
        return Settings(), f"{path.name}: {error}; using the defaults, {_kept_aside(path)}"
    if not refused:
        return settings, None
    return settings, f"{path.name}: {', '.join(refused)} cannot be used, the defaults hold; {_kept_aside(path)}"


def _usable(values: dict[str, Any]) -> tuple[Settings, list[str]]:
    """What can be used of the saved values, and the names of those that cannot: one that is bad costs no other."""
    kinds = get_type_hints(Settings, include_extras=True)
    found, refused = {}, []
    for name in Settings.__struct_fields__:
        if name in values:
            try:
                found[name] = msgspec.convert(values[name], kinds[name])
            except msgspec.ValidationError:
                refused.append(name)
    return Settings(**found).checked(), refused


def _kept_aside(path: Path) -> str:
    aside = path.with_suffix(".unusable.json")
    with contextlib.suppress(OSError):
        path.replace(aside)
    return f"the old file is kept as {aside.name}"


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Write the file, all or nothing.

    Raises:
        OSError: if it cannot be written.
    """
    write_bytes(path or settings_path(), msgspec.json.format(msgspec.json.encode(settings), indent=2))
