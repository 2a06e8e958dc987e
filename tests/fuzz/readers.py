"""Every reader of files from strangers, with a small valid file of its format to begin from."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.output.curves import load_curves, write_curves
from avatar.formats.flame_model import read_flame
from avatar.formats.gaussian_avatars import FLAME_PARAM, load_trained
from avatar.formats.gaussian_ply import write_bound
from avatar.formats.head_file import load_head, save_head
from avatar.formats.lam_zip import load_lam
from avatar.formats.native import load_avatar, save_avatar
from avatar.heads import heads_dir
from tests.app.output.test_curves import make_curves
from tests.avatar.formats.samples import make_gaussians, write_lam
from tests.avatar.synthetic import make_arkit, make_avatar, make_head

__all__ = ["READERS", "Reader", "prepare"]

_HEAD = make_head(n_shape=5, n_expression=4)
_ARKIT = make_arkit(_HEAD)


@dataclass(frozen=True)
class Reader:
    """A format: how its sample is made, which file is then damaged, and how it is read."""

    name: str
    make: Callable[[Path], Path]
    """Given an empty folder, writes the sample and whatever must lie beside it; returns the file to damage."""
    read: Callable[[Path], object]


def prepare() -> None:
    """Put a small head where imported FLAME models are looked for (GAUSSIAN_AVATAR_HOME must be set)."""
    heads_dir().mkdir(parents=True, exist_ok=True)
    save_head(_HEAD, _ARKIT, heads_dir() / "flame.safetensors")


def _lam(folder: Path) -> Path:
    write_lam(folder / "a.zip", side=4, names=("mouthPucker", "eyeBlinkRight", "jawOpen", "eyeBlinkLeft"))
    return folder / "a.zip"


def _trained(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    write_bound(folder / "point_cloud.ply", make_gaussians(20, len(_HEAD.faces)))
    arrays = {"shape": (5,), "expr": (3, 4), "rotation": (3, 3), "neck_pose": (3, 3), "jaw_pose": (3, 3)}
    arrays |= {"eyes_pose": (3, 6), "translation": (3, 3), "static_offset": (1, _HEAD.n_vertices, 3)}
    np.savez(folder / FLAME_PARAM, **{k: rng.normal(0, 0.1, s).astype(np.float32) for k, s in arrays.items()})
    return folder / "point_cloud.ply"


def _flame_arrays() -> dict[str, np.ndarray]:
    return {
        "v_template": _HEAD.v_template.numpy(), "f": _HEAD.faces.numpy(), "shapedirs": _HEAD.shapedirs.numpy(),
        "posedirs": _HEAD.posedirs.numpy(), "J_regressor": _HEAD.J_regressor.numpy().astype(float),
        "weights": _HEAD.lbs_weights.numpy(), "kintree_table": np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
    }  # fmt: skip


def _flame_npz(folder: Path) -> Path:
    np.savez(folder / "flame.npz", **_flame_arrays())
    return folder / "flame.npz"


def _flame_pickle(protocol: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "flame.pkl").write_bytes(pickle.dumps(_flame_arrays(), protocol))
        return folder / "flame.pkl"

    return make


def _saved(folder: Path) -> Path:
    save_avatar(make_avatar(40), folder / "a.safetensors")
    return folder / "a.safetensors"


def _saved_head(folder: Path) -> Path:
    save_head(_HEAD, _ARKIT, folder / "a.safetensors")
    return folder / "a.safetensors"


def _curves(name: str, format: str | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_curves(make_curves(4), folder / name, format, avatar=make_avatar(10), flame="flame")
        return folder / name

    return make


def _read_trained(path: Path) -> object:
    return load_trained(path.with_name("point_cloud.ply"), _HEAD, _ARKIT)


READERS = (
    Reader("lam zip", _lam, load_lam),
    Reader("gaussianavatars ply", _trained, _read_trained),
    Reader("flame_param npz", lambda f: _trained(f).with_name(FLAME_PARAM), _read_trained),
    Reader("flame npz", _flame_npz, lambda p: read_flame(p, 5)),
    Reader("flame pickle 0", _flame_pickle(0), lambda p: read_flame(p, 5)),
    Reader("flame pickle 2", _flame_pickle(2), lambda p: read_flame(p, 5)),
    Reader("flame pickle 5", _flame_pickle(5), lambda p: read_flame(p, 5)),
    Reader("our avatar", _saved, load_avatar),
    Reader("our head", _saved_head, load_head),
    Reader("curves: arkit npz", _curves("a.arkit.npz"), load_curves),
    Reader("curves: flame npz", _curves("a.npz"), load_curves),
    Reader("curves: diffposetalk npz", _curves("a.npz", "diffposetalk"), load_curves),
    Reader("curves: csv", _curves("a.csv"), load_curves),
    Reader("curves: json", _curves("a.json"), load_curves),
    Reader("curves: glb", _curves("a.glb"), load_curves),
    Reader("curves: ply", _curves("a.ply"), load_curves),
)
