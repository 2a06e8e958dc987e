"""Google's GNM Head v3 as a head in FLAME's layout. Apache-2.0, free to get; the file is `gnm_head.npz`.

GNM's joints are neck, head and the eyes; the jaw is part of its expressions. So its neck becomes our root, its head our
neck, and our jaw joint moves nothing. Its joints follow identity alone: rows of the regressor are chosen that give them
for every identity and do not notice expressions.

Reference: google/GNM, `gnm_xnp.py` and `gnm_common.py`: template + identity + expression; correctives of R - I of every
joint, row-major; linear blend skinning.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.flame.margins import LIP_PAIRS, closest_pairs
from avatar.formats.untrusted import Archive, read_npz, refusing, require_finite

__all__ = ["follows_jaw", "is_gnm", "read_gnm"]

_TEMPLATE = "template_vertex_positions"
_NUMBERS = (
    _TEMPLATE, "template_joint_positions", "vertex_identity_basis", "joint_identity_basis", "expression_basis",
    "pose_correctives_regressor", "skinning_weights", "joint_parent_indices", "triangles", "vertex_groups",
)  # fmt: skip
_JOINTS = ("neck", "head", "left_eye", "right_eye")
_OURS = (0, 1, 3, 4)  # where these go among root, neck, jaw, left eye, right eye
_GROUPS = {
    "skin": ("skin",),
    "eye_left": ("left_eye",),
    "eye_right": ("right_eye",),
    "eyes": ("left_eye", "right_eye"),
    "upper_teeth": ("upper_teeth_and_gums",),
    "lower_teeth": ("lower_teeth_and_gums",),
    "tongue": ("tongue",),
    "upper_lip": ("upper_lip",),
    "lower_lip": ("lower_lip",),
    "lips": ("upper_lip", "lower_lip"),
}
"""Our regions, and the vertex groups that they are made of; all must be there."""
_EYES_M = np.array([0.0, 0.020, 0.024])  # between the eyeballs of a head in this program's frame
_EYES_APART_M = (0.045, 0.085)
_PARTED_M = 0.006  # named lips may stand apart at rest by so much
_MAX_VERTICES = 200_000
_REGRESSING = 6000  # vertices that the joints are read from, at most


@dataclass(frozen=True, eq=False)
class _Placement:
    """From GNM's axes and unit to ours: x -> scale * turn x + shift."""

    turn: Float64[np.ndarray, "3 3"]
    scale: float
    shift: Float64[np.ndarray, "3"]

    def directions(self, values: np.ndarray) -> np.ndarray:
        return self.scale * values @ self.turn.T

    def points(self, values: np.ndarray) -> np.ndarray:
        return self.directions(values) + self.shift


def is_gnm(path: Path | str) -> bool:
    """Whether an npz is a GNM head, by the names of its arrays.

    Raises:
        UserError: if it is no npz.
    """
    return f"{_TEMPLATE}.npy" in Archive(path).names


def read_gnm(path: Path | str) -> HeadModel:
    """Read a GNM head: teeth, tongue, eyes, lips and skin are named, lids are not yet.

    Raises:
        UserError: if the file is no GNM head, or is damaged.
    """
    path = Path(path)
    arrays = read_npz(path)
    missing = [key for key in (*_NUMBERS, "joint_names", "vertex_group_names") if key not in arrays]
    if missing:
        raise UserError(f"{path}: not a GNM head: it has no {', '.join(missing)}")
    if any(arrays[key].dtype.kind not in "iufb" for key in _NUMBERS):
        raise UserError(f"{path}: not a GNM head: its arrays are not numbers")
    require_finite(path, **{key: arrays[key] for key in _NUMBERS})
    _check_shapes(path, arrays)
    with refusing(path, "a usable GNM head"):
        order = _joint_order(path, arrays)
        place = _placement(path, arrays, order)
        return _head(path, arrays, order, place)


def follows_jaw(head: HeadModel) -> Float64[np.ndarray, " v"]:
    """How far each vertex goes along with the lower teeth over all expressions, 0..1: the jaw's weight, had it a joint.

    Args:
        head: as `read_gnm` gives it.
    """
    basis = head.shapedirs[..., head.n_shape :].double().numpy()
    teeth = basis[head.regions["lower_teeth"].numpy()].mean(0)
    along = np.einsum("vce,ce->v", basis, teeth) / max(float(np.square(teeth).sum()), 1e-20)
    return np.clip(along, 0, 1)


def _check_shapes(path: Path, arrays: dict[str, np.ndarray]) -> None:
    v, j = len(arrays[_TEMPLATE]), len(arrays["template_joint_positions"])
    i, e = len(arrays["vertex_identity_basis"]), len(arrays["expression_basis"])
    f, g = len(arrays["triangles"]), len(arrays["vertex_groups"])
    expected = {
        _TEMPLATE: (v, 3), "template_joint_positions": (j, 3), "vertex_identity_basis": (i, v, 3),
        "joint_identity_basis": (i, j, 3), "expression_basis": (e, v, 3), "pose_correctives_regressor": (9 * j, 3 * v),
        "skinning_weights": (j, v), "joint_parent_indices": (j,), "triangles": (f, 3), "vertex_groups": (g, v),
        "joint_names": (j,), "vertex_group_names": (g,),
    }  # fmt: skip
    for key, shape in expected.items():
        if arrays[key].shape != shape or 0 in shape:
            raise UserError(f"{path}: {key} has shape {arrays[key].shape}, a GNM head of {v} vertices {shape}")
    if v > _MAX_VERTICES:
        raise UserError(f"{path}: {v} vertices; at most {_MAX_VERTICES} are accepted")
    if arrays["triangles"].min() < 0 or arrays["triangles"].max() >= v:
        raise UserError(f"{path}: triangles name vertices that the model does not have")


def _joint_order(path: Path, arrays: dict[str, np.ndarray]) -> list[int]:
    """Where neck, head, left and right eye are among the joints."""
    names = [str(name) for name in arrays["joint_names"]]
    if sorted(names) != sorted(_JOINTS):
        raise UserError(f"{path}: its joints are {', '.join(names)}; a GNM head has {', '.join(_JOINTS)}")
    order = [names.index(name) for name in _JOINTS]
    parents = [int(p) for p in arrays["joint_parent_indices"]]
    neck, head, *eyes = order
    if parents[head] != neck or any(parents[eye] != head for eye in eyes):
        raise UserError(f"{path}: its joints do not hang together as neck, head, eyes")
    return order


def _placement(path: Path, arrays: dict[str, np.ndarray], order: list[int]) -> _Placement:
    """Our axes (y up, z out of the face, x to the subject's left) and metres, told by the joints."""
    neck, _, left, right = arrays["template_joint_positions"].astype(np.float64)[order]
    across, middle = left - right, (left + right) / 2
    up = middle - neck
    up -= across * (up @ across) / (across @ across)
    guess = np.stack([across / np.linalg.norm(across), up / np.linalg.norm(up)])
    guess = np.concatenate([guess, np.cross(*guess)[None]])
    turn = np.zeros((3, 3))
    for row, axis in zip(turn, guess, strict=True):  # the nearest of the axes that the file can have meant
        row[np.abs(axis).argmax()] = np.sign(axis[np.abs(axis).argmax()])
    if abs(np.linalg.det(turn)) < 0.5:
        raise UserError(f"{path}: its neck and eyes do not tell which way is up")
    apart = float(np.linalg.norm(across))
    scale = next((s for s in (1.0, 0.1, 0.01, 0.001) if _EYES_APART_M[0] < s * apart < _EYES_APART_M[1]), 0.0)
    if not scale:
        raise UserError(f"{path}: its eyes are {apart:.3g} apart, in no unit the distance of a person's")
    return _Placement(turn, scale, _EYES_M - scale * turn @ middle)


def _head(path: Path, arrays: dict[str, np.ndarray], order: list[int], place: _Placement) -> HeadModel:
    template = place.points(arrays[_TEMPLATE].astype(np.float64))
    v, i = len(template), len(arrays["vertex_identity_basis"])
    basis = place.directions(np.concatenate([arrays["vertex_identity_basis"], arrays["expression_basis"]]))
    joints = place.points(arrays["template_joint_positions"].astype(np.float64)[order])
    joint_basis = place.directions(arrays["joint_identity_basis"].astype(np.float64)[:, order])
    weights = np.zeros((v, 5), np.float32)
    weights[:, _OURS] = arrays["skinning_weights"][order].T
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-8)
    regressor = np.zeros((5, v), np.float32)
    regressor[list(_OURS)] = _regressor(template, basis, joints, joint_basis)
    regressor[2] = regressor[1]
    faces = torch.from_numpy(np.ascontiguousarray(arrays["triangles"].astype(np.int64)))
    regions = _regions(path, arrays, torch.from_numpy(template.astype(np.float32)))
    return HeadModel(
        v_template=torch.from_numpy(template.astype(np.float32)),
        shapedirs=torch.from_numpy(np.ascontiguousarray(basis.transpose(1, 2, 0), np.float32)),
        n_shape=i,
        posedirs=_posedirs(arrays, order, place),
        J_regressor=torch.from_numpy(regressor),
        lbs_weights=torch.from_numpy(weights),
        faces=faces,
        uv=torch.zeros(1, 2),
        faces_uv=torch.zeros_like(faces),
        regions=regions,
    )


def _posedirs(arrays: dict[str, np.ndarray], order: list[int], place: _Placement) -> Tensor:
    """Correctives of neck, jaw and eyes, (V, 3, 36). Those of GNM's neck would be of our root, which has none."""
    v = len(arrays[_TEMPLATE])
    rows = arrays["pose_correctives_regressor"].astype(np.float64).reshape(-1, 9, v, 3)
    features = np.kron(place.turn.T, place.turn.T)  # R - I, row-major, from our axes to theirs
    out = np.zeros((v, 3, 36), np.float32)
    for joint, ours in zip(order[1:], _OURS[1:], strict=True):
        seen = place.directions(np.einsum("ab,avc->bvc", features, rows[joint]))
        out[..., 9 * (ours - 1) : 9 * ours] = seen.transpose(1, 2, 0)
    return torch.from_numpy(out)


def _regressor(
    template: Float64[np.ndarray, "v 3"],
    basis: Float64[np.ndarray, "d v 3"],
    joints: Float64[np.ndarray, "j 3"],
    joint_basis: Float64[np.ndarray, "i j 3"],
) -> Float64[np.ndarray, "j v"]:
    """The smallest weights that give the joints of every identity, whatever the expression; each row adds up to one."""
    v, i = len(template), len(joint_basis)
    used = np.arange(v)[:: max(1, v // _REGRESSING)]
    rows = np.concatenate([np.ones((1, v)), template.T, basis.transpose(0, 2, 1).reshape(-1, v)])[:, used]
    wanted = np.zeros((len(rows), len(joints)))
    wanted[0], wanted[1:4] = 1, joints.T
    wanted[4 : 4 + 3 * i] = joint_basis.transpose(0, 2, 1).reshape(3 * i, -1)
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    rows, wanted = rows / length, wanted / length
    found = np.zeros((len(joints), v))
    found[:, used] = (rows.T @ np.linalg.solve(rows @ rows.T + 1e-9 * np.eye(len(rows)), wanted)).T
    return found


def _regions(path: Path, arrays: dict[str, np.ndarray], vertices: Tensor) -> dict[str, Int64[Tensor, " n"]]:
    """Named vertices, and the inner edges of the lips in pairs."""
    names = [str(name) for name in arrays["vertex_group_names"]]
    inside = arrays["vertex_groups"] > 0.5
    regions: dict[str, Tensor] = {}
    for ours, parts in _GROUPS.items():
        absent = [part for part in parts if part not in names]
        if absent:
            raise UserError(f"{path}: has no vertex group {absent[0]!r} (it has: {', '.join(sorted(names)[:12])} ...)")
        members = np.logical_or.reduce([inside[names.index(part)] for part in parts])
        regions[ours] = torch.from_numpy(np.flatnonzero(members))
    upper, lower = (torch.zeros(len(vertices), dtype=torch.bool) for _ in range(2))
    upper[regions["upper_lip"]], lower[regions["lower_lip"]] = True, True
    pairs = closest_pairs(vertices, upper, lower, LIP_PAIRS, within_m=_PARTED_M)
    if pairs is None:
        raise UserError(
            f"{path}: its lips are more than {1000 * _PARTED_M:.0f} mm apart at rest: their edges cannot be found"
        )
    regions["upper_lip_inner"], regions["lower_lip_inner"] = pairs
    return regions
