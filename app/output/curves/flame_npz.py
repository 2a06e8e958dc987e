"""FLAME sequences as npz, with the keys of GaussianAvatars or of DiffPoseTalk.

Coefficients belong to a basis. With a FLAME model imported they are FLAME's, through its fitted ARKit map; without
one they are those of the head that ships, and the file says so (`basis`, the name's bytes, so that readers which
turn every array into a tensor still can).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.output.curves.track import Curves, checked
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.params import FlameParams
from avatar.formats.untrusted import read_npz, refusing, require_finite
from avatar.heads import head_names, open_flame, open_head

__all__ = ["OURS", "Basis", "Keys", "basis_for_writing", "from_arrays", "write"]

OURS = "gaussian-avatar"
Keys = Literal["gaussianavatars", "diffposetalk"]
_RATE_HZ = 25.0
_MAX_POSES = 100_000  # each takes a small optimisation to translate
_MAX_COEFFICIENT = 100.0
_MAX_DYNAMIC_BYTES = 256 << 20
_DIFFPOSETALK = 50, 100  # expression and identity coefficients


@dataclass(frozen=True, eq=False)
class Basis:
    """Whose coefficients: a name, the ARKit map onto them, and the mesh's number of vertices."""

    name: str
    arkit: ArkitMap
    n_vertices: int


def basis_for_writing(flame: str | None = None) -> Basis:
    """The imported FLAME model (the first, if there are several and none is named), else the head that ships."""
    names = head_names()
    if flame is not None or names:
        name = flame if flame is not None else names[0]
        head, arkit = open_flame(name)
        return Basis(name, arkit, head.n_vertices)
    head, arkit = open_head()
    return Basis(OURS, arkit, head.n_vertices)


def write(curves: Curves, path: Path, basis: Basis, keys: Keys = "gaussianavatars") -> None:
    """Write the curves as coefficients, evenly spaced.

    DiffPoseTalk's files hold 50 expression coefficients, one head rotation and no gaze.
    """
    face = basis.arkit.params(curves.weights)
    t, zero = len(curves), np.zeros((len(curves), 3), np.float32)
    arrays: dict[str, Any]
    if keys == "diffposetalk":
        n_expression, n_shape = _DIFFPOSETALK
        arrays = {
            "shape": np.zeros((1, n_shape), np.float32),
            "exp": _fitted(face.expression, n_expression),
            "pose": np.concatenate([curves.neck, face.jaw_pose], 1),
        }
    else:
        arrays = {
            "shape": np.zeros(basis.arkit.n_shape, np.float32),
            "expr": face.expression,
            "rotation": zero,
            "neck_pose": curves.neck,
            "jaw_pose": face.jaw_pose,
            "eyes_pose": np.concatenate([face.leye_pose, face.reye_pose], 1),
            "translation": curves.transl,
            "static_offset": np.zeros((1, basis.n_vertices, 3), np.float32),
        }
        if 12 * t * basis.n_vertices <= _MAX_DYNAMIC_BYTES:  # all zeros and never applied: only for those who look
            arrays["dynamic_offset"] = np.broadcast_to(np.float32(0), (t, basis.n_vertices, 3))
    arrays |= {"fps": np.array([curves.rate_hz]), "basis": np.frombuffer(basis.name.encode(), np.uint8)}
    with path.open("wb") as file:  # by its name alone numpy would add a suffix
        np.savez_compressed(file, **arrays)


def read(path: Path, flame: str | None = None) -> Curves:
    """Read a FLAME sequence of either kind.

    Args:
        flame: the imported FLAME model that the coefficients belong to, where the file does not say and there are
            several.

    Raises:
        UserError: if it is no such file, or the basis is not there to translate it.
    """
    return from_arrays(path, read_npz(path, skip=("dynamic_offset",)), flame)


def from_arrays(path: Path, arrays: dict[str, np.ndarray], flame: str | None = None) -> Curves:
    """The curves of an npz that has been read.

    Raises:
        UserError: as `read`.
    """
    with refusing(path, "a FLAME sequence"):
        columns = _columns(path, arrays)
        t = len(columns["expression"])
        rate = float(arrays["fps"].reshape(-1)[0]) if "fps" in arrays else _RATE_HZ
        if not 0 < rate <= 1000:
            raise UserError(f"{path}: 'fps' is {rate:g}")
        stored = bytes(arrays["basis"].astype(np.uint8).reshape(-1)[:200]).decode() if "basis" in arrays else None
        arkit = _map_of(path, stored, flame)
        width = arkit.expression.shape[1]
        if columns["expression"][:, width:].any():
            raise UserError(f"{path}: {columns['expression'].shape[1]} expression coefficients, the head has {width}")
        expression = _fitted(columns["expression"], width)
        still = np.zeros((t, 3), np.float32)
        params = FlameParams(
            np.zeros((t, arkit.n_shape), np.float32),
            expression,
            still,
            columns["neck"],
            columns["jaw"],
            columns["eyes"][:, :3],
            columns["eyes"][:, 3:],
            still,
        )
        own = stored == OURS
        transl = columns["transl"] if own else None  # a tracked head's place in front of a camera is no motion
        return checked(
            path, np.arange(t) / rate, arkit.weights(params), columns["neck"], transl, None if own else params
        )


def _columns(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Expression (T, E), neck, jaw and transl (T, 3), eyes (T, 6), checked."""
    expression = arrays["expr"] if "expr" in arrays else arrays["exp"]
    if expression.ndim == 3 and len(expression) == 1:
        expression = expression[0]
    if expression.ndim != 2 or not 0 < len(expression) <= _MAX_POSES or not 0 < expression.shape[1] <= 1000:
        raise UserError(f"{path}: expression of shape {expression.shape}; expected (1 to {_MAX_POSES}, coefficients)")
    t = len(expression)
    found = {"expression": expression}
    if "expr" in arrays:
        for name, key, width in (
            ("neck", "neck_pose", 3), ("jaw", "jaw_pose", 3), ("eyes", "eyes_pose", 6), ("transl", "translation", 3),
        ):  # fmt: skip
            found[name] = arrays.get(key, np.zeros((t, width)))
    else:
        pose = arrays["pose"][0] if arrays["pose"].ndim == 3 else arrays["pose"]
        if pose.shape != (t, 6):
            raise UserError(f"{path}: 'pose' has shape {pose.shape}, expected ({t}, 6): head and jaw")
        found |= {"neck": pose[:, :3], "jaw": pose[:, 3:], "eyes": np.zeros((t, 6)), "transl": np.zeros((t, 3))}
    for name, values in found.items():
        width = {"eyes": 6, "expression": expression.shape[1]}.get(name, 3)
        if values.shape != (t, width) or values.dtype.kind not in "iuf":
            raise UserError(f"{path}: {name} has shape {values.shape}, expected ({t}, {width}) numbers")
        require_finite(path, **{name: values})
        if np.abs(values).max() > _MAX_COEFFICIENT:
            raise UserError(
                f"{path}: {name} reaches {np.abs(values).max():.3g}: no coefficients or angles are so large"
            )
    return {name: values.astype(np.float32) for name, values in found.items()}


def _map_of(path: Path, stored: str | None, flame: str | None) -> ArkitMap:
    """The ARKit map of the coefficients in a file."""
    if stored == OURS:
        _, arkit = open_head()
    else:
        names = head_names()
        wanted = flame or (stored if stored in names else None) or (names[0] if names else None)
        if wanted is None:
            raise UserError(
                f"{path}: holds coefficients of FLAME; to translate them, import it first: "
                "gaussian-avatar import flame2023.pkl"
            )
        _, arkit = open_flame(wanted)
    return arkit


def _fitted(values: np.ndarray, width: int) -> np.ndarray:
    """Coefficients cut, or filled up with zeros, to a width."""
    out = np.zeros((len(values), width), np.float32)
    n = min(width, values.shape[1])
    out[:, :n] = values[:, :n]
    return out
