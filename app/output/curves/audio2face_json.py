"""Audio2Face JSON: `facsNames`, `weightMat` (a row a pose), `exportFps`, and the head's rotation as a joint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from app.output.curves.columns import arkit_table
from app.output.curves.track import Curves, checked
from app.output.head_angles import from_quaternions, to_quaternions
from avatar.errors import UserError
from avatar.flame.arkit import NAMES
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["read", "write"]

_JOINT = "head"
_MAX_BYTES = 32 << 20  # parsed JSON takes up to thirty times its size


def write(curves: Curves, path: Path) -> None:
    """Write the curves, evenly spaced; weights with seven digits, rotations as xyzw quaternions."""
    quats = np.roll(to_quaternions(curves.neck), -1, axis=-1)
    content = {
        "exportFps": round(curves.rate_hz, 6),
        "trackPath": "",
        "numPoses": len(NAMES),
        "numFrames": len(curves),
        "facsNames": list(NAMES),
        "weightMat": _short(curves.weights),
        "joints": [_JOINT],
        "rotations": [[row] for row in _short(quats)],
        "translations": [[row] for row in _short(curves.transl)],
    }
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def read(path: Path) -> Curves:
    """Read an export of Audio2Face, or what `write` wrote.

    Raises:
        UserError: if it is no such file.
    """
    with refusing(path, "an Audio2Face JSON"):
        content = json.loads(read_bytes(path, _MAX_BYTES))
        if not isinstance(content, dict) or "facsNames" not in content or "weightMat" not in content:
            raise UserError(f"{path}: not an Audio2Face JSON: it has no facsNames and weightMat")
        names, rate = content["facsNames"], float(content.get("exportFps", 30.0))
        matrix = _numbers(content["weightMat"])
        if not isinstance(names, list) or matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise UserError(f"{path}: weightMat of shape {matrix.shape} does not fit its facsNames")
        if int(content.get("numFrames", len(matrix))) != len(matrix):
            raise UserError(f"{path}: numFrames is {content['numFrames']}, weightMat has {len(matrix)} rows")
        if not 0 < rate <= 1000:
            raise UserError(f"{path}: exportFps is {rate:g}")
        weights = arkit_table(path, [str(n) for n in names], matrix)
        neck, transl = _head(content, len(matrix), path)
        return checked(path, np.arange(len(matrix)) / rate, weights, neck, transl)


def _head(content: dict[str, Any], count: int, path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rotation and place of the joint `head`, where there is one."""
    joints = content.get("joints")
    if not isinstance(joints, list) or _JOINT not in joints:
        return None, None
    i = joints.index(_JOINT)
    quats = _numbers([row[i] for row in content["rotations"]])
    transl = _numbers([row[i] for row in content["translations"]])
    if quats.shape != (count, 4) or transl.shape != (count, 3) or not np.isfinite(quats).all():
        raise UserError(f"{path}: rotations and translations of its joints do not fit {count} poses")
    if (np.linalg.norm(quats, axis=1) < 1e-6).any():
        raise UserError(f"{path}: some rotations of its joints are zero quaternions")
    return from_quaternions(np.roll(quats, 1, axis=-1)), transl


def _numbers(rows: object) -> np.ndarray:
    array = np.asarray(rows)
    if array.dtype.kind not in "iuf":
        raise ValueError("numbers expected")
    return array.astype(np.float64)


def _short(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{v:.7g}") for v in row] for row in values]
