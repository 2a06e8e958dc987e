"""3DMEAD, the FLAME parameters of EMOTE: emotional speech as coefficients, turned into meshes by a FLAME head.

Layout [checked]: one clip a file, either hdf5 with `shape` (300), `exp` (T, 100) and `jaw` (T, 3), or npy of shape
(1, T, 403), expression, jaw, then shape; 25 poses a second. File names carry what is in them:
`SUBJECT_EMOTION_LEVEL_CLIP`, emotions numbered 0 neutral, 1 happy, 2 sad, 3 surprised, 4 afraid, 5 disgusted, 6 angry,
7 contempt, levels 1-3.

The order of the columns of the npy form is not documented where we looked: expression first is [chosen], as EMOTE's own
code concatenates them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from animation.lab.data.arrays import load_array
from animation.lab.data.sequences import Domain, MeshSequence
from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.formats.untrusted import require_finite

__all__ = ["EMOTION_NUMBERS", "FPS", "FlameClip", "clip_to_mesh", "mead_subjects", "read_mead"]

FPS = 25.0
EMOTION_NUMBERS = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "contempt")
_N_SHAPE, _N_EXPRESSION = 300, 100
_NAME = re.compile(r"^(?P<subject>[A-Za-z]+\d+)_(?P<emotion>\d+)_(?P<level>\d+)_(?P<clip>\w+)$")


@dataclass(frozen=True, eq=False)
class FlameClip:
    """One clip of one subject."""

    subject: str
    name: str
    emotion: str
    level: int
    """1 mild to 3 strong."""
    shape: Float32[np.ndarray, "300"]
    expression: Float32[np.ndarray, "t 100"]
    jaw_pose: Float32[np.ndarray, "t 3"]
    fps: float = FPS


def _files(root: Path | str) -> list[Path]:
    root = Path(root)
    files = sorted([*root.rglob("*.npy"), *root.rglob("*.hdf5"), *root.rglob("*.h5")]) if root.is_dir() else []
    if not files:
        raise UserError(f"{root}: no clips (.npy or .hdf5) in it")
    return files


def _parse(path: Path) -> re.Match[str]:
    match = _NAME.match(path.stem)
    if match is None or not int(match["emotion"]) < len(EMOTION_NUMBERS):
        raise UserError(f"{path}: expected a name like M003_1_2_001 (subject, emotion 0-7, level, clip)")
    return match


def mead_subjects(root: Path | str, neutral: bool | None = None) -> list[str]:
    """All subjects of a folder, or only those with (or without) neutral clips.

    Raises:
        UserError: if there are no clips, or a file's name does not tell.
    """
    named = [_parse(path) for path in _files(root)]
    return sorted({m["subject"] for m in named if neutral is None or (int(m["emotion"]) == 0) == neutral})


def read_mead(
    root: Path | str, subjects: Collection[str] | None = None, emotions: Collection[str] | None = None
) -> Iterator[FlameClip]:
    """Clips in the order of their paths.

    Raises:
        UserError: if a file is damaged, or has other shapes than FLAME's.
    """
    for path in _files(root):
        match = _parse(path)
        emotion = EMOTION_NUMBERS[int(match["emotion"])]
        if (subjects is not None and match["subject"] not in subjects) or (
            emotions is not None and emotion not in emotions
        ):
            continue
        shape, expression, jaw = _read_npy(path) if path.suffix == ".npy" else _read_hdf5(path)
        require_finite(path, shape=shape, exp=expression, jaw=jaw)
        level = int(match["level"])
        yield FlameClip(match["subject"], path.stem, emotion, level, shape, expression, jaw)


def _read_npy(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = _N_EXPRESSION + 3 + _N_SHAPE
    values = load_array(path)
    if values.ndim != 3 or values.shape[0] != 1 or values.shape[2] != width or not values.shape[1]:
        raise UserError(f"{path}: expected shape (1, T, {width}), got {values.shape}")
    expression, jaw, shape = np.split(values[0].astype(np.float32), [_N_EXPRESSION, _N_EXPRESSION + 3], 1)
    return shape.mean(0), expression, jaw


def _read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise UserError(f'{path}: reading hdf5 needs h5py: pip install "gaussian-avatar[train]"') from error
    try:
        with h5py.File(path, "r") as file:
            parts = {name: np.asarray(file[name], np.float32) for name in ("shape", "exp", "jaw")}
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: not a readable clip, expected shape, exp and jaw ({error})") from error
    widths = {"shape": _N_SHAPE, "exp": _N_EXPRESSION, "jaw": 3}
    try:
        rows = {name: parts[name].reshape(-1, width) for name, width in widths.items()}
        if not len(rows["shape"]) or not 0 < len(rows["exp"]) == len(rows["jaw"]):
            raise ValueError("other numbers of rows")
    except ValueError as error:
        found = ", ".join(f"{name} {parts[name].shape}" for name in widths)
        raise UserError(f"{path}: expected shape (300), exp (T, 100), jaw (T, 3), got {found}") from error
    return rows["shape"].mean(0), rows["exp"], rows["jaw"]


def clip_to_mesh(clip: FlameClip, head: HeadModel) -> MeshSequence:
    """The clip as meshes of a FLAME head; neutral clips count as speech, the others as expressions [chosen].

    Raises:
        UserError: if the head's bases are not FLAME's, or smaller than the clip's.
    """
    if head.n_shape > _N_SHAPE or head.n_expression > _N_EXPRESSION or head.expression_names:
        raise UserError("3DMEAD's coefficients belong to FLAME: import a FLAME head model first")
    shape = torch.from_numpy(clip.shape[: head.n_shape])
    zero = torch.zeros(3)
    neutral = head.forward(shape, torch.zeros(head.n_expression), zero, zero, zero, zero, zero, zero)
    poses = []
    for start in range(0, len(clip.expression), 64):
        expression = torch.from_numpy(clip.expression[start : start + 64, : head.n_expression])
        jaw = torch.from_numpy(clip.jaw_pose[start : start + 64])
        still = torch.zeros_like(jaw)
        shapes = shape.expand(len(jaw), -1)
        poses.append(head.forward(shapes, expression, still, still, jaw, still, still, still) - neutral)
    domain: Domain = "speech" if clip.emotion == "neutral" else "expression"
    return MeshSequence(
        clip.subject, clip.name, domain, clip.fps, neutral.numpy(), torch.cat(poses).numpy().astype(np.float32)
    )
