"""Which head model a training works with."""

from __future__ import annotations

from pathlib import Path

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.native import load_head
from avatar.importing import convert_flame
from avatar.library import head_names, open_flame, open_head

__all__ = ["open_any_head"]


def open_any_head(name_or_path: str = "") -> tuple[HeadModel, ArkitMap]:
    """A head by the name of an imported FLAME model, or from a file; the generic head for an empty text.

    Args:
        name_or_path: a FLAME model (.pkl, .npz), or a head of this program (.safetensors, as `corpus fusion` writes
            it beside its data).

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
    model, fit = convert_flame(path)
    return model, fit.arkit
