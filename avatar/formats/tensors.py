"""This program's own files of arrays: safetensors with a header that says what they are. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = ["format_of", "read_tensors", "write_tensors"]

_MAX_JSON = 4 << 20


def write_tensors(
    path: Path | str,
    tensors: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
    format: str,
    kind: str = "",
    version: int = 1,
) -> None:
    """Write arrays and what is known about them, all or nothing.

    Args:
        info: anything JSON takes.
        format, kind: what the file holds; `read_tensors` asks for the same.
    """
    header = {"format": format, "kind": kind, "version": str(version), "info": json.dumps(info)}
    write_bytes(path, save({name: np.ascontiguousarray(values) for name, values in tensors.items()}, header))


def format_of(path: Path | str) -> str:
    """What a file says it holds; empty for a safetensors file of another program.

    Raises:
        UserError: if it is missing or no safetensors file.
    """
    return _header(path).get("format", "")


def read_tensors(
    path: Path | str, format: str, what: str, kind: str = "", version: int = 1, max_bytes: int | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the information of a file written by `write_tensors`.

    Args:
        what: what it should be, in words with their article, for the message.
        max_bytes: larger files are refused unread.

    Raises:
        UserError: if it is missing, damaged, too large, or something else.
    """
    path = Path(path)
    header = _header(path, max_bytes)
    if header.get("format") != format or header.get("kind", "") != kind:
        raise UserError(f"{path}: a safetensors file, but not {what} of this program")
    if header.get("version") != str(version):
        raise UserError(
            f"{path}: written in version {header.get('version')} of the format; this program reads {version}"
        )
    text = header.get("info", "")
    try:
        info = json.loads(text) if len(text) <= _MAX_JSON else None
        with safe_open(path, framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    if not isinstance(info, dict):
        raise UserError(f"{path}: its description is damaged; make or import the file again")
    return tensors, info


def _header(path: Path | str, max_bytes: int | None = None) -> dict[str, str]:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise UserError(f"{path}: larger than {max_bytes >> 20} MiB, which none of these files is")
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
