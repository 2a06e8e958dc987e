"""Where avatars are found: those that ship, those the user made or imported, and files by path."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.native import load_avatar, load_head
from avatar.home import data_dir
from avatar.rig import Avatar

__all__ = [
    "AvatarInfo",
    "assets_dir",
    "default_name",
    "describe",
    "head_names",
    "heads_dir",
    "names",
    "only_flame",
    "open_avatar",
    "open_flame",
    "open_head",
    "user_dir",
]

_HEAD = "head"


@dataclass(frozen=True)
class AvatarInfo:
    """An avatar as a list shows it."""

    name: str
    path: Path
    gaussians: int
    about: str


def assets_dir() -> Path:
    """The folder of the avatars that ship."""
    return Path(str(resources.files("avatar") / "assets"))


def user_dir() -> Path:
    """The folder of the user's own avatars; it may not exist yet."""
    return data_dir() / "avatars"


def heads_dir() -> Path:
    """The folder of imported FLAME models; it may not exist yet."""
    return data_dir() / "heads"


def head_names() -> list[str]:
    """Imported FLAME models."""
    return sorted(p.stem for p in heads_dir().glob("*.safetensors"))


def _available() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (assets_dir(), user_dir()):  # the user's own come last and win
        if folder.is_dir():
            found |= {p.stem: p for p in sorted(folder.glob("*.safetensors")) if p.stem != _HEAD}
    return found


def names() -> list[str]:
    """Avatars that can be opened by name."""
    return sorted(_available())


def default_name() -> str:
    """The avatar that is used when none is named: the first of those that ship.

    Raises:
        UserError: if there is none.
    """
    shipped = sorted(p.stem for p in assets_dir().glob("*.safetensors") if p.stem != _HEAD)
    if not shipped:
        raise UserError(f"no avatar is installed in {assets_dir()}: reinstall the program")
    return shipped[0]


def describe() -> list[AvatarInfo]:
    """All avatars that can be opened by name; one that is damaged says so instead of being left out."""
    found = []
    for name, path in sorted(_available().items()):
        try:
            avatar = load_avatar(path)
            found.append(AvatarInfo(name, path, len(avatar.gaussians), str(avatar.metadata.get("description", ""))))
        except UserError as error:
            found.append(AvatarInfo(name, path, 0, str(error)))
    return found


def open_avatar(name_or_path: str | Path) -> Avatar:
    """Open an avatar by name, or from a file: ours (.safetensors), GaussianAvatars' (.ply) or LAM's (.zip).

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    found = _available()
    text = str(name_or_path)
    if text in found:
        return load_avatar(found[text])
    path = Path(text)
    if path.is_file():
        return _open_file(path)
    raise UserError(f"no avatar {text!r}: neither a file nor one of {', '.join(sorted(found)) or 'none installed'}")


def _open_file(path: Path) -> Avatar:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        from avatar.formats.lam_zip import load_lam

        return load_lam(path)
    if suffix == ".ply":
        from avatar.importing import load_ply

        return load_ply(path)
    return load_avatar(path)


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
    return load_head(assets_dir() / f"{_HEAD}.safetensors")
