"""FLAME model files: pickle or npz, checked and turned into a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.formats.flame_pickle import read_pickled_arrays
from avatar.formats.flame_teeth import FLAME_FACES, FLAME_VERTICES, LOWER_LIP, UPPER_LIP, add_teeth
from avatar.formats.untrusted import read_npz, require_finite

__all__ = ["read_flame"]

_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")
_IDENTITY = 300
_PARENTS = (0, 1, 1, 1)
_MAX_VERTICES = 200_000
_EYEBALL = 0.9  # skinning weight


def read_flame(path: Path | str, n_shape: int | None = None) -> HeadModel:
    """Read a FLAME model (2020, 2023 or 2023 Open; pickle or npz) and add GaussianAvatars' teeth to it.

    Args:
        n_shape: how many of the directions are of identity. FLAME's 400 are 300 + 100; give the number for a
            model with 300 or fewer in all.

    Raises:
        UserError: if the file is no FLAME model or is damaged.
    """
    path = Path(path)
    arrays = read_npz(path) if path.suffix.lower() == ".npz" else read_pickled_arrays(path)
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise UserError(f"{path}: not a FLAME model: it has no {', '.join(missing)}")
    if any(arrays[key].dtype.kind not in "iuf" for key in _KEYS):
        raise UserError(f"{path}: not a FLAME model: its arrays are not numbers")
    require_finite(path, **{key: arrays[key] for key in _KEYS})
    v, faces = len(arrays["v_template"]) if arrays["v_template"].ndim else 0, arrays["f"]
    columns = arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim == 3 else 0
    expected = {
        "v_template": (v, 3), "f": (len(faces) if faces.ndim else 0, 3), "shapedirs": (v, 3, columns),
        "posedirs": (v, 3, 36), "J_regressor": (5, v), "weights": (v, 5),
    }  # fmt: skip
    for key, shape in expected.items():
        if arrays[key].shape != shape or 0 in shape:
            raise UserError(f"{path}: {key} has shape {arrays[key].shape}, a FLAME model of {v} vertices {shape}")
    if v > _MAX_VERTICES or np.abs(arrays["v_template"]).max() > 10:
        raise UserError(f"{path}: {v} vertices, up to {np.abs(arrays['v_template']).max():.3g} m away: not a head")
    if faces.min() < 0 or faces.max() >= v:
        raise UserError(f"{path}: triangles name vertices that the model does not have")
    _check_joints(arrays.get("kintree_table"), path)
    if n_shape is None:
        if columns <= _IDENTITY:
            raise UserError(
                f"{path}: has {columns} directions where FLAME has 400 (300 identity, 100 expression); "
                "say how many of them are of identity (n_shape)"
            )
        n_shape = _IDENTITY
    if not 0 <= n_shape < columns:
        raise UserError(f"{path}: {n_shape} identity directions of {columns} leave none for expression")

    def tensor(key: str) -> torch.Tensor:
        return torch.from_numpy(np.array(arrays[key], np.float32))

    triangles = torch.from_numpy(np.ascontiguousarray(faces.astype(np.int64)))
    weights = tensor("weights")
    head = HeadModel(
        v_template=tensor("v_template"),
        shapedirs=tensor("shapedirs"),
        n_shape=n_shape,
        posedirs=tensor("posedirs"),
        J_regressor=tensor("J_regressor"),
        lbs_weights=weights,
        faces=triangles,
        uv=torch.zeros(1, 2),
        faces_uv=torch.zeros_like(triangles),
        regions={
            "eye_left": (weights[:, 3] > _EYEBALL).nonzero().squeeze(-1),
            "eye_right": (weights[:, 4] > _EYEBALL).nonzero().squeeze(-1),
        },
    )
    if v != FLAME_VERTICES or len(faces) != FLAME_FACES:
        return head
    head.regions["upper_lip_inner"] = torch.tensor(UPPER_LIP)
    head.regions["lower_lip_inner"] = torch.tensor(LOWER_LIP)
    return add_teeth(head)


def _check_joints(table: np.ndarray | None, path: Path) -> None:
    """FLAME's tree: root, neck, and jaw and eyes on the neck. The root's parent is stored as 2^32 - 1 or -1."""
    if table is None:
        return
    if table.shape != (2, 5) or table.dtype.kind not in "iuf" or tuple(table[0, 1:].astype(np.int64)) != _PARENTS:
        raise UserError(f"{path}: its joints are not FLAME's (root, neck, jaw, left eye, right eye)")
