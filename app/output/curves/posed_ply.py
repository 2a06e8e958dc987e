"""One moment as a splat PLY: a still for splat viewers, which remembers the pose it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.output.curves.track import Curves, checked
from avatar.errors import UserError
from avatar.flame.arkit import NAMES
from avatar.formats.gaussian_ply import read_splats, write_cloud
from avatar.formats.untrusted import refusing
from avatar.rig import Avatar

__all__ = ["read", "write"]

_KEYS = ("weights", "neck", "transl")
_PREFIX = "pose "


def write(curves: Curves, path: Path, avatar: Avatar, moment_s: float = 0.0) -> None:
    """Write the avatar as it is at the pose nearest to `moment_s`, in Inria's layout; SH and all."""
    i = int(np.abs(curves.times_s - moment_s).argmin())
    pose = _at(curves, i).poses(avatar.arkit)[0]
    rows = (curves.weights[i], curves.neck[i], curves.transl[i])
    comments = [f"{_PREFIX}{key} {' '.join(f'{v:.7g}' for v in row)}" for key, row in zip(_KEYS, rows, strict=True)]
    write_cloud(path, avatar.pose(pose), [f"{_PREFIX}time {curves.times_s[i]:.6f}", *comments])


def read(path: Path) -> Curves:
    """The pose of a moment that `write` wrote.

    Raises:
        UserError: if it is no splat PLY, or does not say its pose.
    """
    splats = read_splats(path)
    with refusing(path, "a posed splat PLY"):
        rows = {}
        for key, width in zip(("time", *_KEYS), (1, len(NAMES), 3, 3), strict=True):
            text = splats.comment(f"{_PREFIX}{key} ")
            if text is None:
                raise UserError(f"{path}: a splat scene, but its pose is not written in it; it cannot drive an avatar")
            rows[key] = np.array([float(v) for v in text.split()])
            if len(rows[key]) != width:
                raise UserError(f"{path}: its pose has {len(rows[key])} {key}, expected {width}")
        return checked(path, rows["time"], rows["weights"][None], rows["neck"][None], rows["transl"][None])


def _at(curves: Curves, i: int) -> Curves:
    one = slice(i, i + 1)
    return Curves(curves.times_s[one], curves.weights[one], curves.neck[one], curves.transl[one])
