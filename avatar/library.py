"""Where avatars are found: those that ship, those the user made or imported, and files by path."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from platformdirs import user_data_path

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.native import load_avatar, load_head
from avatar.rig import Avatar

__all__ = ["assets_dir", "names", "open_avatar", "open_head", "user_dir"]

_HEAD = "head"


def assets_dir() -> Path:
    """The folder of the avatars that ship."""
    return Path(str(resources.files("avatar") / "assets"))


def user_dir() -> Path:
    """The folder of the user's own avatars; it may not exist yet. `GAUSSIAN_AVATAR_HOME` moves it."""
    home = os.environ.get("GAUSSIAN_AVATAR_HOME")
    return (Path(home) if home else user_data_path("gaussian-avatar", appauthor=False)) / "avatars"


def _available() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (assets_dir(), user_dir()):  # the user's own come last and win
        if folder.is_dir():
            found |= {p.stem: p for p in sorted(folder.glob("*.safetensors")) if p.stem != _HEAD}
    return found


def names() -> list[str]:
    """Avatars that can be opened by name."""
    return sorted(_available())


def open_avatar(name_or_path: str | Path) -> Avatar:
    """Open an avatar by name, or from a file.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    found = _available()
    text = str(name_or_path)
    if text in found:
        return load_avatar(found[text])
    path = Path(text)
    if path.is_file():
        return load_avatar(path)
    raise UserError(f"no avatar {text!r}: neither a file nor one of {', '.join(sorted(found)) or 'none installed'}")


def open_head() -> tuple[HeadModel, ArkitMap]:
    """The generic head that ships, with its identity basis."""
    return load_head(assets_dir() / f"{_HEAD}.safetensors")
