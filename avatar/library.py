"""Where avatars are found: those that ship, those the user made or imported, and files by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.gaussian_avatars import load_trained
from avatar.formats.gaussian_ply import read_splats
from avatar.formats.lam_zip import load_lam
from avatar.formats.native import load_avatar
from avatar.heads import HEAD, assets_dir, only_flame, open_flame
from avatar.home import data_dir
from avatar.rig import Avatar

__all__ = [
    "AvatarInfo",
    "default_name",
    "describe",
    "load_ply",
    "names",
    "open_avatar",
    "path_of",
    "shipped_names",
    "user_dir",
]

_DEFAULT = "clara"


@dataclass(frozen=True)
class AvatarInfo:
    """An avatar as a list shows it."""

    name: str
    path: Path
    gaussians: int
    about: str


def user_dir() -> Path:
    """The folder of the user's own avatars; it may not exist yet."""
    return data_dir() / "avatars"


def _available() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (assets_dir(), user_dir()):  # the user's own come last and win
        if folder.is_dir():
            found |= {p.stem: p for p in sorted(folder.glob("*.safetensors")) if p.stem != HEAD}
    return found


def names() -> list[str]:
    """Avatars that can be opened by name."""
    return sorted(_available())


def shipped_names() -> list[str]:
    """The avatars that ship.

    Raises:
        UserError: if there is none.
    """
    shipped = sorted(p.stem for p in assets_dir().glob("*.safetensors") if p.stem != HEAD)
    if not shipped:
        raise UserError(f"no avatar is installed in {assets_dir()}: reinstall the program")
    return shipped


def default_name() -> str:
    """The avatar that is used when none is named: `_DEFAULT` where it ships, else the first of those that do.

    Raises:
        UserError: if there is none.
    """
    shipped = shipped_names()
    return _DEFAULT if _DEFAULT in shipped else shipped[0]


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


def path_of(name_or_path: str | Path) -> Path:
    """The file of an avatar.

    Raises:
        UserError: if there is none.
    """
    found = _available()
    text = str(name_or_path)
    if text in found:
        return found[text]
    path = Path(text)
    if path.is_file():
        return path
    raise UserError(f"no avatar {text!r}: neither a file nor one of {', '.join(sorted(found)) or 'none installed'}")


def open_avatar(name_or_path: str | Path) -> Avatar:
    """Open an avatar by name, or from a file: ours (.safetensors), GaussianAvatars' (.ply) or LAM's (.zip).

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    path = path_of(name_or_path)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return load_lam(path)
    if suffix == ".ply":
        return load_ply(path)
    return load_avatar(path)


def load_ply(path: Path, flame: str | None = None) -> Avatar:
    """Open a GaussianAvatars PLY with the FLAME model it was trained with, or one of ours with its own head.

    Raises:
        UserError: if that model is not imported, or the file is damaged.
    """
    head: HeadModel | None = None
    arkit: ArkitMap | None = None
    splats = read_splats(path)
    if splats.triangles is None:
        splats.bound(0, path)  # says what it is: no FLAME model would help
    if flame is None and splats.comment("head ") is None:
        try:
            flame = only_flame()
        except UserError as error:
            raise UserError(f"{path}: an avatar that GaussianAvatars has trained, but {error}") from error
    if flame is not None:
        head, arkit = open_flame(flame)
    return load_trained(path, head, arkit, flame or "", splats)
