"""Avatars trained by GaussianAvatars: a splat PLY bound to FLAME, and the FLAME parameters it was trained with.

A trained avatar is at its best where its training data were. Its neutral face is therefore the mean expression of
its own recordings, and the coefficients that drive it stay within the range found there.

Reference: Qian et al., "GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians", CVPR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from avatar.binding import bind, triangle_frames
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.formats.atomic import replacing
from avatar.formats.gaussian_ply import PlySplats, by_importance, read_splats, write_bound
from avatar.formats.head_file import load_head, save_head
from avatar.formats.untrusted import read_npz, refusing, require_finite
from avatar.rig import Avatar

__all__ = [
    "FLAME_PARAM",
    "TrainingPoses",
    "load_trained",
    "own_neutral",
    "read_training_poses",
    "save_trained",
    "training_poses",
]

FLAME_PARAM = "flame_param.npz"
_HEAD = "head.safetensors"
_SORTED = "sorted by importance"
_POSES = {"rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3}
_MAX_POSES = 500_000
_MAX_COEFFICIENT = 100.0


@dataclass(frozen=True, eq=False)
class TrainingPoses:
    """The contents of a `flame_param.npz`: one identity, T poses."""

    shape: Float32[np.ndarray, " s"]
    expression: Float32[np.ndarray, "t e"]
    rotation: Float32[np.ndarray, "t 3"]
    neck_pose: Float32[np.ndarray, "t 3"]
    jaw_pose: Float32[np.ndarray, "t 3"]
    eyes_pose: Float32[np.ndarray, "t 6"]
    translation: Float32[np.ndarray, "t 3"]
    static_offset: Float32[np.ndarray, "v 3"] | None


def load_trained(
    ply: Path | str, head: HeadModel | None, arkit: ArkitMap | None, flame: str = "", splats: PlySplats | None = None
) -> Avatar:
    """Read a trained avatar, or one of ours that `save_trained` wrote.

    Args:
        ply: the splats; `flame_param.npz` must lie beside them.
        head: the FLAME model it was trained with, teeth included. An exported avatar of ours brings its own head.
        arkit: that model's ARKit map.
        flame: name of the FLAME model, kept in the avatar's metadata.
        splats: the contents of the PLY, where it has been read already.

    Raises:
        UserError: if a file is missing or damaged, or the avatar does not fit the head.
    """
    ply = Path(ply)
    splats = read_splats(ply) if splats is None else splats
    own = splats.comment("head ")
    if own is not None:
        head, arkit = load_head(_beside(ply, _HEAD))
    if head is None or arkit is None:
        raise UserError(
            f"{ply}: a GaussianAvatars avatar needs the FLAME model it was trained with; "
            "import that first: gaussian-avatar import flame2023.pkl"
        )
    bound = splats.bound(len(head.faces), ply)
    training = read_training_poses(_beside(ply, FLAME_PARAM), head)
    with refusing(ply, "a usable avatar"):
        offset = None
        if own is not None and training.static_offset is not None and training.static_offset.any():
            offset = torch.from_numpy(training.static_offset)
        shaped, fitted = own_neutral(head, arkit, training, with_offset=own is None)
        avatar = Avatar(splats.comment("name ") or _name_of(ply), shaped, bound, fitted, offset)
        if _SORTED not in splats.comments:
            frames = triangle_frames(shaped.vertices(shaped.neutral(), offset), shaped.faces)
            avatar = replace(avatar, gaussians=by_importance(bound, bind(bound, frames)))
    metadata: dict[str, object] = {"source": "GaussianAvatars", "timesteps": len(training.expression)}
    if own is None:
        metadata |= {"flame": flame, "expression_mean": [round(float(x), 6) for x in training.expression.mean(0)]}
    return replace(avatar, metadata=metadata)


def save_trained(avatar: Avatar, folder: Path | str) -> Path:
    """Write an avatar as GaussianAvatars does: `point_cloud.ply` (63 properties) and `flame_param.npz` (one pose).

    Our heads are not FLAME, so the head goes beside them as `head.safetensors`; `load_trained` takes it from there.

    Returns:
        The PLY.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    head, ply = avatar.head, folder / "point_cloud.ply"
    with replacing(ply) as fresh:
        write_bound(fresh, avatar.gaussians, [f"head {_HEAD}", f"name {avatar.name}", _SORTED])
    save_head(head, avatar.arkit, folder / _HEAD)
    offset = torch.zeros_like(head.v_template) if avatar.static_offset is None else avatar.static_offset
    arrays: dict[str, Any] = {key: np.zeros((1, width), np.float32) for key, width in _POSES.items()}
    arrays |= {
        "shape": np.zeros(head.n_shape, np.float32),
        "expr": np.zeros((1, head.n_expression), np.float32),
        "static_offset": offset[None].numpy(),
        "dynamic_offset": np.zeros((1, head.n_vertices, 3), np.float32),
    }
    with replacing(folder / FLAME_PARAM) as fresh:
        np.savez(fresh, **arrays)
    return ply


def read_training_poses(path: Path | str, head: HeadModel) -> TrainingPoses:
    """Read a `flame_param.npz` for a head; missing coefficients are 0.

    Raises:
        UserError: if the file is damaged or has more coefficients than the head.
    """
    arrays = read_npz(path, {"shape": (None,), "expr": (None, None)}, skip=("dynamic_offset",))  # never applied
    steps = len(arrays["expr"])
    if not 0 < steps <= _MAX_POSES:
        raise UserError(f"{path}: holds {steps} poses; 1 to {_MAX_POSES} are accepted")
    poses = {}
    for key, width in _POSES.items():
        values = arrays.get(key, np.zeros((steps, width), np.float32))
        if values.shape != (steps, width):
            raise UserError(f"{path}: {key!r} has shape {values.shape}, expected ({steps}, {width})")
        poses[key] = values
    offset = arrays.get("static_offset")
    if offset is not None:
        offset = offset.reshape(-1, 3) if offset.size % 3 == 0 else offset
        if offset.ndim != 2 or not 0 < len(offset) <= head.n_vertices:
            raise UserError(f"{path}: 'static_offset' is for {len(offset)} vertices, the head has {head.n_vertices}")
        offset = np.concatenate([offset, np.zeros((head.n_vertices - len(offset), 3))])
    wide = {
        "shape": _padded(path, "shape", arrays["shape"][None], head.n_shape)[0],
        "expression": _padded(path, "expr", arrays["expr"], head.n_expression),
    }
    for key, values in {**poses, **wide, **({} if offset is None else {"static_offset": offset})}.items():
        if values.dtype.kind not in "iuf":
            raise UserError(f"{path}: {key!r} does not hold numbers")
        require_finite(path, **{key: values})
        if key != "translation" and values.size and np.abs(values).max() > _MAX_COEFFICIENT:
            raise UserError(f"{path}: {key!r} holds values of up to {np.abs(values).max():.3g}: not a recording")
    kept = {key: np.array(values, np.float32) for key, values in {**poses, **wide}.items()}
    return TrainingPoses(**kept, static_offset=None if offset is None else offset.astype(np.float32))


def training_poses(
    training: TrainingPoses, rate_hz: float = 25.0, *, place: bool = False, mean: np.ndarray | None = None
) -> list[FlameParams]:
    """The recording an avatar was trained with, as poses of the avatar that `load_trained` gives.

    Args:
        rate_hz: of the recording, which the file does not say.
        place: keep the head's recorded place and direction in the room; without it the neck alone turns.
        mean: the expression that the avatar's template has; the recording's own mean if None.
    """
    expression = training.expression - (training.expression.mean(0) if mean is None else mean)
    still = np.zeros(3, np.float32)
    return [
        FlameParams(
            np.zeros(0, np.float32),
            expression[i],
            training.rotation[i] if place else still,
            training.neck_pose[i],
            training.jaw_pose[i],
            training.eyes_pose[i, :3],
            training.eyes_pose[i, 3:],
            training.translation[i] if place else still,
            i / rate_hz,
        )
        for i in range(len(expression))
    ]


def own_neutral(
    head: HeadModel, arkit: ArkitMap, training: TrainingPoses, *, with_offset: bool
) -> tuple[HeadModel, ArkitMap]:
    """A head whose template is this person's mean face, without identity directions, and a map that keeps in range.

    All of it is linear before the joints are regressed, so that the head moves exactly as FLAME does with the full
    parameters; and whoever measures the template (lips that must close, lids) finds this person's.
    """
    mean = training.expression.mean(0)
    coefficients = torch.from_numpy(np.concatenate([training.shape, mean]))
    template = head.v_template + torch.einsum("vck,k->vc", head.shapedirs, coefficients)
    if with_offset and training.static_offset is not None:
        template = template + torch.from_numpy(training.static_offset)
    expression = head.shapedirs[..., head.n_shape :].contiguous()
    limits = arkit.expression_range
    if len(training.expression) > 1:
        limits = np.stack([training.expression.min(0), training.expression.max(0)]) - mean
    shaped = replace(head, v_template=template, shapedirs=expression, n_shape=0)
    return shaped, replace(arkit, n_shape=0, expression_range=limits)


def _padded(path: Path | str, key: str, values: np.ndarray, width: int) -> np.ndarray:
    if values.shape[1] > width and (values.dtype.kind not in "iuf" or values[:, width:].any()):
        raise UserError(f"{path}: {key!r} has {values.shape[1]} coefficients, the head has {width}")
    out = np.zeros((len(values), width), np.float32)
    n = min(width, values.shape[1])
    if values.dtype.kind not in "iuf":
        raise UserError(f"{path}: {key!r} does not hold numbers")
    out[:, :n] = values[:, :n]
    return out


def _beside(ply: Path, name: str) -> Path:
    path = ply.with_name(name)
    if not path.is_file():
        raise UserError(f"{ply}: {name} must lie beside it; copy it there from the same folder of the training")
    return path


def _name_of(ply: Path) -> str:
    """A name for an avatar: the file's, or its folder's where every training writes the same file name."""
    generic = ("point_cloud", "iteration")
    for part in (ply.stem, *(p.name for p in ply.resolve().parents)):
        if part and not part.startswith(generic):
            return part
    return ply.stem
