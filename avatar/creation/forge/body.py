"""A whole person from MakeHuman's base mesh, and the part of it that becomes a head model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge import sculpt
from avatar.creation.forge.makehuman import Phenotype, face_units, load_base_mesh, load_rig, phenotype_offsets
from avatar.creation.forge.mesh import compact, triangulate, vertex_normals
from avatar.creation.forge.regions import PARTS, landmarks, named_regions

__all__ = ["GENERIC", "Body", "Crop", "body_of", "head_crop", "neck_weights", "sculpted_units"]

GENERIC = Phenotype(masculinity=0.5, age_years=35.0)
"""The head that ships by itself, and whose size decides what is cropped."""

_EYE_HEIGHT, _EYE_DEPTH = 0.020, 0.0244
_CROP_Y = -0.262
_NECK_BONES = {"neck03": 0.85, "neck02": 0.5, "neck01": 0.15}


@dataclass(frozen=True)
class Body:
    """A phenotype in metres, in the head's frame, in the base mesh's order.

    Attributes:
        vertices: arms at the sides, lips sealed, teeth and tongue in place.
        turns: the rotation of each vertex's surroundings when the arms are lowered.
        raw: before any of that: what the rig and the sculpted units were made for.
    """

    vertices: Float[np.ndarray, "n 3"]
    turns: Float[np.ndarray, "n 3 3"]
    raw: Float[np.ndarray, "n 3"]

    def bone_head(self, bone: str) -> Float[np.ndarray, " 3"]:
        """Where a bone of the rig begins, before the arms were lowered."""
        return self.raw[load_rig().heads[bone]].mean(0)


@dataclass(frozen=True)
class Crop:
    """The part of the base mesh that is kept; the same for every phenotype.

    Attributes:
        base_index: kept vertices.
        quads, uv, quads_uv, quad_parts, regions: as in `anatomy.Anatomy`.
        members: vertices of the parts beside the skin, in the crop's order.
    """

    base_index: Int[np.ndarray, " v"]
    quads: Int[np.ndarray, "q 4"]
    uv: Float[np.ndarray, "u 2"]
    quads_uv: Int[np.ndarray, "q 4"]
    quad_parts: np.ndarray
    regions: Mapping[str, np.ndarray]
    members: Mapping[str, np.ndarray]


@lru_cache(maxsize=1)
def _part_vertices() -> dict[str, np.ndarray]:
    groups = load_base_mesh().groups
    return {part: np.unique(np.concatenate([groups[g][0].ravel() for g in names])) for part, names in PARTS.items()}


@lru_cache(maxsize=8)
def _branch_weights(root: str) -> Float[np.ndarray, " n"]:
    """How much each vertex of the base mesh hangs on a bone or its descendants."""
    rig = load_rig()
    out = np.zeros(len(load_base_mesh().vertices))
    for bone, (vertex, weight) in rig.weights.items():
        if rig.is_under(bone, root):
            np.add.at(out, vertex, weight)
    return out


@lru_cache(maxsize=1)
def neck_weights() -> Float[np.ndarray, " n"]:
    """How much each vertex of the base mesh turns with the neck joint; the joints of the real neck share the turn."""
    rig = load_rig()
    total, turning = np.zeros((2, len(load_base_mesh().vertices)))
    for bone, (vertex, weight) in rig.weights.items():
        share = 1.0 if rig.is_under(bone, "head") else _NECK_BONES.get(bone, 0.0)
        np.add.at(turning, vertex, share * weight)
        np.add.at(total, vertex, weight)
    out = np.where(total > 0, turning / np.maximum(total, 1e-9), 1.0)
    for part in _part_vertices().values():
        out[part] = 1.0
    return out


def body_of(phenotype: Phenotype) -> Body:
    """Shape the base mesh."""
    base, parts, marks = load_base_mesh(), _part_vertices(), landmarks()
    raw = (base.vertices + phenotype_offsets(phenotype)) / 10
    eyes = raw[np.concatenate([parts["eye_left"], parts["eye_right"]])].mean(0)
    raw = raw - np.array([0.0, eyes[1] - _EYE_HEIGHT, eyes[2] - _EYE_DEPTH])
    vertices = raw + sculpt.seal_lips(raw, marks)
    vertices = sculpt.place_mouth_parts(vertices, marks)
    bones = [f"{bone}.{side}" for bone in ("clavicle", "upperarm01") for side in "LR"]
    heads = load_rig().heads
    vertices, turns = sculpt.lower_arms(
        vertices, {b: _branch_weights(b) for b in bones}, {b: raw[heads[b]].mean(0) for b in bones}
    )
    return Body(vertices, turns, raw)


def sculpted_units(body: Body) -> dict[str, Float[np.ndarray, "n 3"]]:
    """The 52 face units as displacements in metres, corrected for this body.

    jawOpen and mouthClose come as they were sculpted, on a jaw that is not turned; the joints are fitted to them later.
    """
    marks, vertices = landmarks(), body.vertices
    units = {name: field / 10 for name, field in face_units().items()}
    for side, sign in (("Left", 1), ("Right", -1)):
        blink = units[f"eyeBlink{side}"]
        blink[sign * vertices[:, 0] < 0] = 0  # the sculpted unit also moves the inside of the other eye's socket
        units[f"eyeBlink{side}"] = sculpt.seat_lids(vertices, blink, marks, side.lower())
        units[f"mouthSmile{side}"] = units[f"mouthSmile{side}"] + sculpt.lift_smile(vertices, marks, side.lower())
    for name, correction in sculpt.seal_units(vertices, units, marks).items():
        units[name] = units[name] + correction
    units["jawOpen"] = units["jawOpen"] + sculpt.tongue_flattening(vertices)
    units["tongueOut"] = units["tongueOut"] + sculpt.tongue_raising(vertices)
    parts = _part_vertices()
    eyeballs = np.concatenate([parts["eye_left"], parts["eye_right"]])
    for name, field in units.items():
        if not name.startswith("eyeLook"):
            field[eyeballs] = 0  # they move with their joints only
    return units


@lru_cache(maxsize=1)
def head_crop() -> Crop:
    """Head, neck and shoulders, with their parts and regions."""
    base, marks = load_base_mesh(), landmarks()
    body = body_of(GENERIC).vertices
    quads, quads_uv = base.groups["body"]
    kept = body[quads][:, :, 1].mean(1) > _CROP_Y
    quads, quads_uv = quads[kept], quads_uv[kept]
    labels = np.full(len(quads), "skin", dtype="<U12")
    labels[np.isin(quads, marks.bag).any(1)] = "mouth"
    labels[np.isin(quads, marks.sockets).any(1)] = "socket"
    pieces = [(quads, quads_uv, labels)]
    for part, groups in PARTS.items():
        for group in groups:
            q, t = base.groups[group]
            pieces.append((q, t, np.full(len(q), part, dtype="<U12")))
    quads, quads_uv, labels = (np.concatenate(column) for column in zip(*pieces, strict=True))
    skin = np.unique(quads[labels == "skin"])
    normals = vertex_normals(body, triangulate(quads[labels == "skin"]))
    regions = named_regions(body, normals, skin)
    index, quads = compact(quads)
    index_uv, quads_uv = compact(quads_uv)
    local = np.full(len(body), -1)
    local[index] = np.arange(len(index))
    return Crop(
        index,
        quads,
        base.uv[index_uv],
        quads_uv,
        labels,
        {name: local[members] for name, members in regions.items()},
        {name: local[members] for name, members in _part_vertices().items()},
    )
