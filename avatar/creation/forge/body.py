"""A whole person from MakeHuman's base mesh."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.eyeball import CORNEA_APEX_M
from avatar.creation.forge.makehuman import Phenotype, load_base_mesh, load_rig, phenotype_offsets
from avatar.creation.forge.regions import PARTS

__all__ = ["GENERIC", "Body", "body_of", "lower_arms", "neck_weights", "part_vertices"]

GENERIC = Phenotype(
    masculinity=0.5,
    age_years=35.0,
    details={
        "chin/chin-height-incr": 0.3,
        "chin/chin-bones-decr": 0.45,
        "chin/chin-width-decr": 0.3,
        "mouth/mouth-scale-horiz-incr": 0.5,
        "mouth/mouth-trans-down": 0.2,
        "mouth/mouth-angles-up": 0.3,
        "eyes/*-eye-scale-incr": 0.5,
        "eyes/*-eye-trans-out": 0.4,
    },
)
"""The head that ships by itself, and whose size decides what is cropped."""

_EYE_HEIGHT, _EYE_DEPTH = 0.020, 0.0244
_NECK_BONES = {"neck03": 0.85, "neck02": 0.5, "neck01": 0.15}
_CLAVICLE_DEG, _UPPER_ARM_DEG = 6.0, 34.0


@dataclass(frozen=True)
class Body:
    """A phenotype in metres, in the head's frame, in the base mesh's order.

    Attributes:
        vertices: arms at the sides.
        turns: the rotation of each vertex's surroundings when the arms are lowered.
        raw: before that: what the rig and the sculpted units were made for.
        eye: centre of the left ball.
    """

    vertices: Float[np.ndarray, "n 3"]
    turns: Float[np.ndarray, "n 3 3"]
    raw: Float[np.ndarray, "n 3"]
    eye: Float[np.ndarray, " 3"]

    def bone_head(self, bone: str) -> Float[np.ndarray, " 3"]:
        """Where a bone of the rig begins, before the arms were lowered."""
        return self.raw[load_rig().heads[bone]].mean(0)


@lru_cache(maxsize=1)
def part_vertices() -> dict[str, np.ndarray]:
    """The vertices of `regions.PARTS` in the base mesh."""
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
    for part in part_vertices().values():
        out[part] = 1.0
    return out


def body_of(phenotype: Phenotype) -> Body:
    """Shape the base mesh."""
    base, parts = load_base_mesh(), part_vertices()
    raw = (base.vertices + phenotype_offsets(phenotype)) / 10
    # The base mesh's balls are too large: ours have the same apex.
    centres = []
    for side in ("left", "right"):
        ball = raw[parts[f"eye_{side}"]]
        centre = ball.mean(0)
        radius = np.median(np.linalg.norm(ball - centre, axis=1))
        centres.append(centre + np.array([0.0, 0.0, radius - CORNEA_APEX_M]))
    shift = np.array([0.0, np.mean(centres, 0)[1] - _EYE_HEIGHT, np.mean(centres, 0)[2] - _EYE_DEPTH])
    raw = raw - shift
    bones = [f"{bone}.{side}" for bone in ("clavicle", "upperarm01") for side in "LR"]
    heads = load_rig().heads
    vertices, turns = lower_arms(raw, {b: _branch_weights(b) for b in bones}, {b: raw[heads[b]].mean(0) for b in bones})
    return Body(vertices, turns, raw, centres[0] - shift)


def lower_arms(
    vertices: Float[np.ndarray, "n 3"], rig_weights: dict[str, np.ndarray], pivots: dict[str, np.ndarray]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3 3"]]:
    """Turn the arms of the base mesh's A-pose down to the sides.

    Args:
        vertices: the body.
        rig_weights: for "clavicle.L", "upperarm01.L" and their right twins, how much each vertex (n,) hangs on the bone
            or its descendants.
        pivots: the bones' heads.

    Returns:
        the posed body, and for each vertex the rotation that its displacements take part in.
    """
    posed = vertices.copy()
    pivots = dict(pivots)
    rotations = np.tile(np.eye(3), (len(vertices), 1, 1))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for bone, degrees in ((f"clavicle.{side}", _CLAVICLE_DEG), (f"upperarm01.{side}", _UPPER_ARM_DEG)):
            angle = -sign * np.radians(degrees) * np.clip(rig_weights[bone], 0, 1)
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.zeros_like(rotations)
            turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, -sin, sin, cos, 1.0
            pivot = pivots[bone]
            posed = pivot + np.einsum("nij,nj->ni", turn, posed - pivot)
            rotations = turn @ rotations
            if bone.startswith("clavicle"):  # it carries the arm's own pivot along
                full = -sign * np.radians(degrees)
                arm = f"upperarm01.{side}"
                d = pivots[arm] - pivot
                c, s = np.cos(full), np.sin(full)
                pivots[arm] = pivot + np.array([c * d[0] - s * d[1], s * d[0] + c * d[1], d[2]])
    return posed, rotations
