"""Bringing files along: FLAME models and other people's avatars, converted once into the user's data folder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap, weights_from_dict
from avatar.flame.arkit_fit import ArkitFit, fit_arkit, transfer_regions
from avatar.flame.correspondence import match_surfaces, with_tongue
from avatar.flame.head import HeadModel
from avatar.flame.margins import lid_margins
from avatar.formats.flame_model import read_flame
from avatar.formats.gnm_model import follows_jaw, is_gnm, read_gnm
from avatar.formats.head_file import load_head, save_head
from avatar.formats.lam_zip import load_lam
from avatar.formats.native import load_avatar, save_avatar
from avatar.heads import head_names, heads_dir, open_flame, open_head
from avatar.library import load_ply, user_dir
from avatar.rig import Avatar

__all__ = ["avatar_path", "convert_flame", "convert_gnm", "import_file", "open_any_head"]

_NAME = re.compile(r"[\w][\w .+-]{0,63}")


def import_file(path: Path | str, name: str | None = None, *, flame: str | None = None) -> str:
    """Convert a file that the user brings along, and keep it in the user's data folder.

    A FLAME model (.pkl or .npz) or a GNM head (.npz) becomes a head; a GaussianAvatars avatar (.ply, with
    flame_param.npz beside it), a LAM avatar (.zip) or one of our own files (.safetensors) becomes an avatar that can
    be opened by name.

    Args:
        name: to keep it under; the file's own name if None.
        flame: the imported FLAME model that a .ply was trained with; the only one there is if None.

    Returns:
        What was imported, in a line or two.

    Raises:
        UserError: if the file is not understood, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: a folder; name the file in it, such as point_cloud.ply or flame2023.pkl")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle", ".npz"):
        return _import_head(path, name)
    if suffix == ".ply":
        return _keep(load_ply(path, flame), name, path)
    if suffix == ".zip":
        return _keep(load_lam(path), name, path)
    if suffix == ".safetensors":
        return _keep(load_avatar(path), name, path)
    raise UserError(
        f"{path}: cannot import {suffix or 'a file without a suffix'}: expected a FLAME model (.pkl, .npz), a GNM head "
        "(.npz), a GaussianAvatars avatar (.ply), a LAM avatar (.zip) or an avatar of this program (.safetensors)"
    )


def convert_flame(path: Path | str) -> tuple[HeadModel, ArkitFit]:
    """A FLAME model file as a head with teeth and named regions, and ARKit's blendshapes fitted to it.

    Raises:
        UserError: if the file is no FLAME model, or has not FLAME's own 5,023 vertices.
    """
    model = read_flame(path)
    if "upper_lip_inner" not in model.regions:
        raise UserError(
            f"{path}: has {model.n_vertices} vertices; blendshapes can be fitted to FLAME's own 5,023 vertices only"
        )
    source, arkit = open_head()
    match = match_surfaces(source, model)
    model = transfer_regions(source, model, match)
    return model, fit_arkit(source, arkit, model, match=match)


def convert_gnm(path: Path | str) -> tuple[HeadModel, ArkitFit]:
    """A GNM head with named lips and lids, and ARKit's blendshapes fitted to its expressions, the jaw's among them.

    Raises:
        UserError: if the file is no GNM head, or damaged.
    """
    model = read_gnm(path)
    source, arkit = open_head()
    match = with_tongue(match_surfaces(source, model, follows_jaw(model)), source, model)
    model = transfer_regions(source, model, match)
    fit = fit_arkit(source, arkit, model, match=match)
    blinks = (_moved_by(model, fit.arkit, name) for name in ("eyeBlinkLeft", "eyeBlinkRight"))
    margins = lid_margins(model.v_template, *blinks)
    return replace(model, regions=model.regions | margins), fit


def _moved_by(head: HeadModel, arkit: ArkitMap, name: str) -> Tensor:
    """How one blendshape at full weight moves a head's vertices, metres."""
    return head.vertices(arkit.params(weights_from_dict({name: 1.0}))) - head.v_template


def open_any_head(name_or_path: str = "") -> tuple[HeadModel, ArkitMap]:
    """A head by the name of an imported FLAME model, or from a file; the generic head for an empty text.

    Args:
        name_or_path: a FLAME model (.pkl, .npz), a GNM head (.npz), or a head of this program (.safetensors, as
            `corpus fusion` writes it beside its data).

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    if not name_or_path:
        return open_head()
    if name_or_path in head_names():
        return open_flame(name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(head_names()) or "none"
        raise UserError(f"no head {name_or_path!r}: neither a file nor an imported FLAME model (there are: {known})")
    if path.suffix.lower() == ".safetensors":
        return load_head(path)
    _, (model, fit) = _convert(path)
    return model, fit.arkit


def _import_head(path: Path, name: str | None) -> str:
    kind, (model, fit) = _convert(path)
    target = _target(heads_dir(), name or path.stem)
    save_head(model, fit.arkit, target)
    return (
        f"{kind} {target.stem!r}: {model.n_vertices} vertices with teeth, {model.n_shape} identity and "
        f"{model.n_expression} expression directions. {fit.summary()}"
    )


def _convert(path: Path) -> tuple[str, tuple[HeadModel, ArkitFit]]:
    """A head model file of others, and what it is."""
    if path.suffix.lower() == ".npz" and is_gnm(path):
        return "GNM head", convert_gnm(path)
    return "FLAME model", convert_flame(path)


def _keep(avatar: Avatar, name: str | None, path: Path) -> str:
    target = _target(user_dir(), name or avatar.name)
    source = str(avatar.metadata.get("source", "avatar"))
    about = str(avatar.metadata.get("description", "")) or f"{source}, imported from {path.name}"
    save_avatar(replace(avatar, name=target.stem, metadata=avatar.metadata | {"description": about}), target)
    return f"{source} {target.stem!r}: {len(avatar.gaussians):,} Gaussians; open it by that name"


def avatar_path(name: str) -> Path:
    """Where an avatar of the user's own is kept under a name; its folder is made.

    Raises:
        UserError: for what cannot be a name.
    """
    return _target(user_dir(), name)


def _target(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or name == "head":
        raise UserError(f"{name!r} cannot be a name: use letters, digits, spaces and . + - _, at most 64")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.safetensors"
