"""Where this program keeps what belongs to its user: one place for every folder."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path, user_data_path, user_log_path

__all__ = ["cache_dir", "config_dir", "data_dir", "log_dir"]

_APP = "gaussian-avatar"


def _home() -> Path | None:
    home = os.environ.get("GAUSSIAN_AVATAR_HOME")
    return Path(home) if home else None


def config_dir() -> Path:
    """Of the settings. `GAUSSIAN_AVATAR_HOME` moves it, as all of these; none of them need exist yet."""
    return _home() or user_config_path(_APP, appauthor=False)


def data_dir() -> Path:
    """Of the user's own avatars and imported heads."""
    return _home() or user_data_path(_APP, appauthor=False)


def cache_dir() -> Path:
    """Of what can be made or fetched again."""
    home = _home()
    return home / "cache" if home else user_cache_path(_APP, appauthor=False)


def log_dir() -> Path:
    """Of the log files."""
    home = _home()
    return home / "log" if home else user_log_path(_APP, appauthor=False)
