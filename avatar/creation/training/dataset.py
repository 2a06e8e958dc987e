"""A folder of pictures of one head, with cameras and poses: the layout that GaussianAvatars and VHAP use, and ours.

    transforms_train.json   transforms_val.json   transforms_test.json      or transforms.json alone
    images/*.png    fg_masks/*.png    flame_param/*.npz                     head.safetensors in sets of ours

Every entry of "frames" names a picture (`file_path`), its `transform_matrix` (camera to world, OpenGL axes, metres),
`fl_x fl_y cx cy w h` (pixels; here or for all pictures at once), a `timestep_index`, and the pose: `flame_param_path`,
an npz with the keys of VHAP. The background lies in the picture's alpha channel or in `fg_mask_path`.

Sets of ours add "head", a head model with its ARKit map, and for each picture "arkit_weights", by name, what is zero
left out. A picture with weights needs no npz. `DatasetWriter` writes such a folder.

Reference: Qian et al., "GaussianAvatars", CVPR 2024, and VHAP, whose exports these are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avatar.camera import Camera
from avatar.creation.training.view import View
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, ArkitMap, weights_from_dict
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.formats.gaussian_avatars import TrainingPoses, own_neutral, read_training_poses, training_poses
from avatar.formats.head_file import load_head
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["HELD_OUT_EVERY", "OPENGL_AXES", "Dataset", "has_own_head"]

HELD_OUT_EVERY = 10
"""Of a set that does not say which pictures are to be held out, every so many-th is."""

OPENGL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
"""Between OpenGL's axes of a camera (y up, z backward) and OpenCV's."""

_MAX_JSON = 256 * 1024 * 1024
_MAX_VIEWS = 200_000


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures of one person, and the head that was in front of the camera.

    The poses of its views fit `head`: identity, static offset and, for FLAME, the mean expression of the recording are
    part of that head's template, as in an imported GaussianAvatars avatar.
    """

    folder: Path
    head: HeadModel
    arkit: ArkitMap
    train: tuple[View, ...]
    held_out: tuple[View, ...]
    """Pictures that training never sees: those of `val` and `test`, or one in `HELD_OUT_EVERY`."""

    @classmethod
    def open(
        cls, folder: Path | str, flame: tuple[HeadModel, ArkitMap] | None = None, *, finished_only: bool = False
    ) -> Dataset:
        """Read a folder. Pictures are read later, one by one, by `View.read`; here they must merely be there.

        Args:
            flame: the FLAME model that a set without a head of its own was tracked with.
            finished_only: leave out pictures that are not there (yet), for a set that is still being drawn.

        Raises:
            UserError: naming the first thing that is missing, damaged or inconsistent.
        """
        folder = Path(folder)
        divisions = _divisions(folder)
        head, arkit = _head_of(folder, divisions, flame)
        entries = [
            _Entry(folder, name, i, entry, common)
            for name, (common, entries) in divisions.items()
            for i, entry in enumerate(entries)
        ]
        if finished_only:
            entries = [entry for entry in entries if entry.picture.is_file()]
        for entry in entries:
            entry.check_files()
        if not entries:
            raise UserError(f"{folder}: none of the pictures in {', '.join(divisions)} is there")
        from_weights = all("flame_param_path" not in entry.values for entry in entries)
        if from_weights:
            poses = {id(e): arkit.params(e.weights()) for e in entries}
        else:
            head, arkit, poses = _tracked(entries, head, arkit, own="head" in next(iter(divisions.values()))[0])
            for entry in entries:
                if "arkit_weights" in entry.values:
                    poses[id(entry)] = poses[id(entry)].replace(blendshape_weights=entry.weights())
        views = {name: [e.view(poses[id(e)]) for e in entries if e.division == name] for name in divisions}
        train, held_out = _split(views)
        if not train:
            raise UserError(f"{folder}: no picture to train on")
        return cls(folder, head, arkit, tuple(train), tuple(held_out))


def has_own_head(folder: Path | str) -> bool:
    """Whether a set brings its head model with it: those of ours do, those tracked with FLAME do not.

    Raises:
        UserError: if it is no set of pictures.
    """
    return any("head" in common for common, _ in _divisions(Path(folder)).values())


class _Entry:
    """One of a file's "frames"."""

    def __init__(self, folder: Path, division: str, index: int, values: Any, common: Mapping[str, Any]) -> None:
        self.where = f"{folder / division}: frame {index}"
        if not isinstance(values, dict):
            raise UserError(f"{self.where} is no object")
        self.folder, self.division, self.values, self.common = folder, division, values, common
        self.picture = self._path("file_path", ".png")
        self.mask = self._path("fg_mask_path") if "fg_mask_path" in values else None

    def _get(self, key: str) -> Any:
        value = self.values.get(key, self.common.get(key))
        if value is None:
            raise UserError(f"{self.where} has no {key!r}, and neither has the file as a whole")
        return value

    def _number(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{self.where}: {key!r} is {str(value)[:40]!r}, not a number")
        return float(value)

    def _path(self, key: str, suffix: str = "") -> Path:
        """A file of the set. Combined sets name files of the folders beside theirs, but nothing may lie further up."""
        text = self._get(key)
        if not isinstance(text, str):
            raise UserError(f"{self.where}: {key!r} is no text")
        path = self.folder / (text if Path(text).suffix else text + suffix)
        if not path.resolve().is_relative_to(self.folder.resolve().parent):
            raise UserError(f"{self.where}: {key!r} is {text!r}, which lies outside of {self.folder.resolve().parent}")
        return path

    def check_files(self) -> None:
        for path in (self.picture, self.mask):
            if path is not None and not path.is_file():
                raise UserError(f"{self.where} names {path}, which is not there")

    def weights(self) -> np.ndarray:
        found = self.values.get("arkit_weights")
        if not isinstance(found, dict):
            raise UserError(f"{self.where} has neither 'flame_param_path' nor 'arkit_weights': its pose is not known")
        for name, value in found.items():
            if name not in NAMES or isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 10:
                raise UserError(f"{self.where}: 'arkit_weights' has {str(name)[:40]!r}: {str(value)[:40]!r}")
        return weights_from_dict(found)

    def camera(self) -> Camera:
        width, height = int(self._number("w")), int(self._number("h"))
        with refusing(self.where, "a camera"):
            to_world = np.array(self._get("transform_matrix"), np.float64)
            rotation = to_world[:3, :3]
            is_rigid = to_world.shape == (4, 4) and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
            if not is_rigid or np.linalg.det(rotation) < 0:
                raise UserError(f"{self.where}: 'transform_matrix' is no rigid motion (4 x 4, camera to world)")
            if "fl_x" in self.values or "fl_x" in self.common:
                fx, fy = self._number("fl_x"), self._number("fl_y")
            else:
                fx = fy = 0.5 * width / math.tan(0.5 * self._number("camera_angle_x"))
            cx = self._number("cx") if "cx" in self.values or "cx" in self.common else width / 2
            cy = self._number("cy") if "cy" in self.values or "cy" in self.common else height / 2
            if min(fx, fy, width, height) <= 0:
                raise UserError(f"{self.where}: focal lengths and sizes must be greater than 0")
            K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            return Camera(np.linalg.inv(to_world @ OPENGL_AXES), K, width, height)

    @property
    def timestep(self) -> int:
        value = self.values.get("timestep_index", 0)
        return value if isinstance(value, int) else 0

    def view(self, params: FlameParams) -> View:
        name = self.picture.relative_to(self.folder).as_posix() if self.picture.is_relative_to(self.folder) else ""
        return View(name or str(self.picture), self.camera(), params, self.picture, self.mask, self.timestep)


_Division = tuple[dict[str, Any], list[Any]]


def _divisions(folder: Path) -> dict[str, _Division]:
    """The files of a set: what is common to all pictures, and the pictures."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    names = [
        n for n in ("transforms_train.json", "transforms_val.json", "transforms_test.json") if (folder / n).is_file()
    ]
    if "transforms_train.json" not in names:
        names = ["transforms.json"]
    found: dict[str, _Division] = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            raise UserError(f"{folder}: has neither transforms_train.json nor transforms.json: no set of pictures")
        with refusing(path, "JSON"):
            contents = json.loads(read_bytes(path, _MAX_JSON))
        if not isinstance(contents, dict) or not isinstance(contents.get("frames"), list):
            raise UserError(f"{path}: has no list of 'frames'")
        entries = contents.pop("frames")
        if len(entries) > _MAX_VIEWS:
            raise UserError(f"{path}: lists {len(entries)} pictures; at most {_MAX_VIEWS} are accepted")
        found[name] = (contents, entries)
    return found


def _head_of(
    folder: Path, divisions: Mapping[str, _Division], flame: tuple[HeadModel, ArkitMap] | None
) -> tuple[HeadModel, ArkitMap]:
    named = {str(common["head"]) for common, _ in divisions.values() if "head" in common}
    if len(named) > 1:
        raise UserError(f"{folder}: its files name different heads: {', '.join(sorted(named))}")
    if named:
        path = folder / named.pop()
        if path.parent.resolve() != folder.resolve():
            raise UserError(f"{folder}: its head must lie in the folder itself, not at {path}")
        return load_head(path)
    if flame is None:
        raise UserError(
            f"{folder}: has no head of its own, so it was tracked with FLAME: import that model first "
            "(gaussian-avatar import flame2023.pkl), or say which (--flame)"
        )
    return flame


def _tracked(
    entries: list[_Entry], head: HeadModel, arkit: ArkitMap, *, own: bool
) -> tuple[HeadModel, ArkitMap, dict[int, FlameParams]]:
    """The head of a recording and the pose of every entry, from the npz files that the entries name."""
    files: dict[Path, TrainingPoses] = {}
    paths = {}
    for entry in entries:
        path = paths[id(entry)] = entry._path("flame_param_path", ".npz")
        if path not in files:
            files[path] = read_training_poses(path, head)
    recording = _joined(files, head)
    if own:
        still = recording.shape.any() or (recording.static_offset is not None and recording.static_offset.any())
        if still:
            raise UserError(f"{entries[0].folder}: its head has its identity in its template, its poses name another")
        poses = training_poses(recording, place=True, mean=np.zeros(head.n_expression, np.float32))
    else:
        head, arkit = own_neutral(head, arkit, recording, with_offset=True)
        poses = training_poses(recording, place=True)
    shape = np.zeros(head.n_shape, np.float32)
    by_path = {path: pose.replace(shape=shape) for path, pose in zip(files, poses, strict=True)}
    return head, arkit, {id(e): by_path[paths[id(e)]] for e in entries}


def _joined(files: Mapping[Path, TrainingPoses], head: HeadModel) -> TrainingPoses:
    """One pose of each file, of one identity."""
    first_path, first = next(iter(files.items()))
    for path, found in files.items():
        if len(found.expression) != 1:
            raise UserError(f"{path}: holds {len(found.expression)} poses, the file of a picture holds one")
        if not np.allclose(found.shape, first.shape, atol=1e-4) or not np.allclose(
            _offset(found, head), _offset(first, head), atol=1e-4
        ):
            raise UserError(
                f"{path}: has another identity (shape or static_offset) than {first_path}: one person a set"
            )
    moving = ("expression", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation")
    columns = {name: np.concatenate([getattr(t, name) for t in files.values()]) for name in moving}
    return TrainingPoses(first.shape, **columns, static_offset=first.static_offset)


def _offset(poses: TrainingPoses, head: HeadModel) -> np.ndarray:
    return np.zeros((head.n_vertices, 3)) if poses.static_offset is None else poses.static_offset


def _split(views: Mapping[str, list[View]]) -> tuple[list[View], list[View]]:
    if "transforms.json" not in views:
        train = views["transforms_train.json"]
        return train, [v for name, part in views.items() if name != "transforms_train.json" for v in part]
    every = views["transforms.json"]
    held_out = every[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY] if len(every) >= HELD_OUT_EVERY else []
    kept = {id(v) for v in held_out}
    return [v for v in every if id(v) not in kept], held_out
