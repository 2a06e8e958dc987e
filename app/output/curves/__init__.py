"""Animation curves in files: out to other programs, and back in to drive an avatar."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.output.curves import arkit_npz, audio2face_json, flame_npz, livelink_csv, morph_glb, posed_ply
from app.output.curves.track import Curves
from app.output.files import writing
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.formats.atomic import replacing
from avatar.formats.untrusted import read_npz
from avatar.heads import head_names, open_head
from avatar.library import default_name, open_avatar
from avatar.rig import Avatar

__all__ = ["FORMATS", "SUFFIXES", "Curves", "is_curves", "load_curves", "read_curves", "write_curves"]

FORMATS = {
    "flame": "FLAME npz with GaussianAvatars' keys",
    "diffposetalk": "FLAME npz with DiffPoseTalk's keys",
    "arkit": "ARKit weights as npz",
    "livelink": "Live Link Face CSV",
    "audio2face": "Audio2Face JSON",
    "glb": "GLB with morph-target animation",
    "ply": "posed splat PLY of one moment",
}
"""What can be written, by name."""

SUFFIXES = {".npz": "flame", ".csv": "livelink", ".json": "audio2face", ".glb": "glb", ".ply": "ply"}
"""The format that a file's suffix stands for; `.arkit.npz` stands for `arkit`."""


def is_curves(path: Path | str) -> bool:
    """Whether a file's name is one that `read_curves` reads."""
    return Path(path).suffix.lower() in SUFFIXES


def format_of(path: Path | str, format: str | None = None) -> str:
    """The format to write, given or told by the file's suffix.

    Raises:
        UserError: if it is neither.
    """
    name = Path(path).name.lower()
    found = format or ("arkit" if name.endswith(".arkit.npz") else SUFFIXES.get(Path(path).suffix.lower()))
    if found is None:
        raise UserError(f"{path}: the suffix tells no format: use {', '.join(SUFFIXES)}, or name the format")
    if found not in FORMATS:
        raise UserError(f"unknown format {found!r}: choose one of {', '.join(FORMATS)}")
    return found


def write_curves(
    curves: Curves,
    path: Path | str,
    format: str | None = None,
    *,
    avatar: Avatar | None = None,
    rate_hz: float | None = None,
    moment_s: float = 0.0,
    flame: str | None = None,
) -> None:
    """Write curves to a file.

    Args:
        format: one of `FORMATS`; told by the suffix if None.
        avatar: whose mesh or splats go into a GLB or PLY; the default avatar if None.
        rate_hz: poses a second; those the curves have if None.
        moment_s: which moment a PLY shows.
        flame: the imported FLAME model whose coefficients an npz is to hold.

    Raises:
        UserError: for an unknown format, or if the file cannot be written.
    """
    path, kind = Path(path), format_of(path, format)
    if rate_hz is not None and len(curves) > 1:
        curves = curves.resampled(rate_hz)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as fresh:
            _write(curves, fresh, kind, avatar, moment_s, flame)


def _write(curves: Curves, path: Path, kind: str, avatar: Avatar | None, moment_s: float, flame: str | None) -> None:
    if kind in ("glb", "ply"):
        avatar = open_avatar(default_name()) if avatar is None else avatar
        if kind == "glb":
            morph_glb.write(curves, path, avatar)
        else:
            posed_ply.write(curves, path, avatar, moment_s)
    elif kind in ("flame", "diffposetalk"):
        keys: flame_npz.Keys = "diffposetalk" if kind == "diffposetalk" else "gaussianavatars"
        flame_npz.write(curves, path, flame_npz.basis_for_writing(flame), keys)
    else:
        {"arkit": arkit_npz, "livelink": livelink_csv, "audio2face": audio2face_json}[kind].write(curves, path)


def load_curves(path: Path | str, flame: str | None = None) -> Curves:
    """Read a file of any of the formats; an npz is told apart by its arrays.

    Args:
        flame: the imported FLAME model whose coefficients an npz holds, where there are several.

    Raises:
        UserError: if the file is none of them, or damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        arrays = read_npz(path, skip=("dynamic_offset",))
        if "weights" in arrays and "names" in arrays:
            return arkit_npz.from_arrays(path, arrays)
        if "expr" in arrays or ("exp" in arrays and "pose" in arrays):
            return flame_npz.from_arrays(path, arrays, flame)
        known = ", ".join(sorted(arrays)[:12]) or "nothing"
        raise UserError(f"{path}: holds neither ARKit weights nor a FLAME sequence (it holds: {known})")
    readers = {".csv": livelink_csv, ".json": audio2face_json, ".glb": morph_glb, ".ply": posed_ply}
    if suffix not in readers:
        raise UserError(f"{path}: not a file of curves: expected {', '.join(SUFFIXES)}")
    return readers[suffix].read(path)


def read_curves(path: Path | str, avatar: Avatar | None = None, flame: str | None = None) -> list[FlameParams]:
    """The poses of an avatar that a file of curves drives; times are those of the file.

    A trained avatar takes FLAME coefficients as they are, re-centred on its own mean and kept within its range;
    everything else goes by way of ARKit's blendshapes.

    Args:
        avatar: who is to be driven; the head that ships if None.
        flame: the imported FLAME model whose coefficients an npz holds; the avatar's own, if it has one.

    Raises:
        UserError: as `load_curves`.
    """
    if flame is None and avatar is not None and avatar.metadata.get("flame") in head_names():
        flame = str(avatar.metadata["flame"])
    curves = load_curves(path, flame)
    arkit = open_head()[1] if avatar is None else avatar.arkit
    poses = curves.poses(arkit)
    mean = None if avatar is None else avatar.metadata.get("expression_mean")
    if curves.flame is None or avatar is None or mean is None:
        return poses
    own = curves.flame
    expression = own.expression[:, : avatar.head.n_expression] - np.asarray(mean, np.float32)
    if arkit.expression_range is not None:
        expression = np.clip(expression, *arkit.expression_range)
    return [
        pose.replace(
            expression=expression[i],
            jaw_pose=own.jaw_pose[i],
            leye_pose=own.leye_pose[i],
            reye_pose=own.reye_pose[i],
        )
        for i, pose in enumerate(poses)
    ]
