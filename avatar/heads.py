"""The head models there are: the one that ships, and the FLAME models that the user has imported."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.head_file import load_head
from avatar.home import data_dir

__all__ = ["HEAD", "assets_dir", "head_names", "heads_dir", "only_flame", "open_flame", "open_head"]

HEAD = "head"
"""Name of the generic head's file among the assets."""


def assets_dir() -> Path:
    """The folder of the avatars that ship."""
    return Path(str(resources.files("avatar") / "assets"))


def heads_dir() -> Path:
    """The folder of imported FLAME models; it may not exist yet."""
    return data_dir() / "heads"


def head_names() -> list[str]:
    """Imported FLAME models."""
    return sorted(p.stem for p in heads_dir().glob("*.safetensors"))


def only_flame() -> str:
    """The name of the imported FLAME model where there is exactly one.

    Raises:
        UserError: if there is none, or a choice.
    """
    names = head_names()
    if len(names) == 1:
        return names[0]
    if names:
        raise UserError(f"several FLAME models are imported ({', '.join(names)}): say which (flame)")
    raise UserError("no FLAME model is imported: gaussian-avatar import flame2023.pkl")


def open_flame(name: str) -> tuple[HeadModel, ArkitMap]:
    """An imported FLAME model with its fitted ARKit map.

    Raises:
        UserError: if there is none of that name.
    """
    if name not in head_names():
        raise UserError(f"no FLAME model {name!r} is imported; there are: {', '.join(head_names()) or 'none'}")
    return load_head(heads_dir() / f"{name}.safetensors")


def open_head() -> tuple[HeadModel, ArkitMap]:
    """The generic head that ships, with its identity basis."""
    return load_head(assets_dir() / f"{HEAD}.safetensors")
