"""From MakeHuman's CC0 anatomy to a head model in FLAME's layout.

Metres; +y up, +z out of the face, +x the subject's left; the eyeballs near (+-0.031, 0.020, 0.024). The topology, and
with it every vertex number and region, is the same for all phenotypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.creation.forge import joints as jt
from avatar.creation.forge import sculpt
from avatar.creation.forge.body import GENERIC, Body, body_of, neck_weights, part_vertices
from avatar.creation.forge.crop import head_crop
from avatar.creation.forge.eyeball import ball
from avatar.creation.forge.form import asymmetry, model_face
from avatar.creation.forge.identity import identity_basis
from avatar.creation.forge.lids import Lids
from avatar.creation.forge.makehuman import Phenotype, face_units
from avatar.creation.forge.mesh import triangulate
from avatar.creation.forge.teeth import Arch
from avatar.creation.forge.units import sculpted_units
from avatar.flame.arkit import NAMES, ArkitMap, weights_from_dict
from avatar.flame.head import HeadModel

__all__ = [
    "EXPRESSION_NAMES",
    "GENERIC",
    "N_IDENTITY",
    "Anatomy",
    "build_anatomy",
    "build_generic_head",
    "extreme_poses",
]

N_IDENTITY = 50
"""Identity directions of the generic head."""

EXPRESSION_NAMES = tuple(n for n in sorted(NAMES) if n != "jawOpen" and not n.startswith("eyeLook"))
"""The face units that are expression coefficients; the other nine are joint poses."""


@dataclass(frozen=True)
class Anatomy:
    """A head in double precision, with the quads it is made of.

    Attributes:
        v_template: neutral vertices.
        identity: identity directions (none for an avatar's own head).
        expression: in the order of `EXPRESSION_NAMES`.
        posedirs, J_regressor, lbs_weights: as in `HeadModel`.
        quads: quad i is the triangles 2 i and 2 i + 1 of the head.
        quads_uv: the same into `uv`.
        quad_parts: the part of each quad: "skin", "mouth" (its interior), "socket" (behind the lids), "tongue",
            "eye_left", "eye_right", "caruncle_left", "caruncle_right" (the flesh in the inner corner), "upper_teeth",
            "lower_teeth", "upper_gum", "lower_gum".
        regions: named vertex sets.
        arkit: blendshape weights to parameters.
        units: each face unit as a displacement of the neutral head: what posing it reproduces ("mouthClose" on top of
            "jawOpen").
        arches: upper and lower dental arch.
        base_index: the vertex of MakeHuman's base mesh that each vertex is, -1 for one that it does not have.
    """

    v_template: Float[np.ndarray, "v 3"]
    identity: Float[np.ndarray, "v 3 s"]
    expression: Float[np.ndarray, "v 3 e"]
    posedirs: Float[np.ndarray, "v 3 36"]
    J_regressor: Float[np.ndarray, "5 v"]
    lbs_weights: Float[np.ndarray, "v 5"]
    quads: Int[np.ndarray, "q 4"]
    uv: Float[np.ndarray, "u 2"]
    quads_uv: Int[np.ndarray, "q 4"]
    quad_parts: np.ndarray
    regions: Mapping[str, np.ndarray]
    arkit: ArkitMap
    units: Mapping[str, np.ndarray]
    arches: tuple[Arch, Arch]
    base_index: Int[np.ndarray, " v"]

    def head(self, dtype: torch.dtype = torch.float32) -> HeadModel:
        """As a head model."""

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(array), dtype=dtype)

        return HeadModel(
            v_template=tensor(self.v_template),
            shapedirs=tensor(np.concatenate([self.identity, self.expression], 2)),
            n_shape=self.identity.shape[2],
            posedirs=tensor(self.posedirs),
            J_regressor=tensor(self.J_regressor),
            lbs_weights=tensor(self.lbs_weights),
            faces=torch.as_tensor(triangulate(self.quads), dtype=torch.int64),
            uv=tensor(self.uv),
            faces_uv=torch.as_tensor(triangulate(self.quads_uv), dtype=torch.int64),
            expression_names=EXPRESSION_NAMES,
            regions={k: torch.as_tensor(v, dtype=torch.int64) for k, v in self.regions.items()},
        )

    def skull(self, vertices: Float[np.ndarray, "v 3"]) -> tuple[Float[np.ndarray, "t 3"], Int[np.ndarray, " t"]]:
        """Centroids and numbers of the triangles that no expression moves: what hair must hang on, or a raised brow
        would swing its tips."""
        moved = np.abs(self.expression).sum((1, 2)) + np.abs(self.posedirs).sum((1, 2))
        still = (moved < 1e-5) & (self.lbs_weights[:, 1] > 0.999)
        faces = triangulate(self.quads)
        ids = np.flatnonzero(still[faces].all(1) & np.repeat(self.quad_parts == "skin", 2))
        return vertices[faces[ids]].mean(1), ids


def build_generic_head() -> tuple[HeadModel, ArkitMap]:
    """The head that ships by itself, with its identity basis."""
    anatomy = build_anatomy(GENERIC, N_IDENTITY)
    return anatomy.head(), anatomy.arkit


def build_anatomy(phenotype: Phenotype = GENERIC, n_identity: int = 0) -> Anatomy:
    """Build a head.

    Args:
        phenotype: who.
        n_identity: how many identity directions to add.
    """
    crop = head_crop()
    members, marks = crop.members, crop.marks
    vertices, body, lids = _modelled(phenotype)
    arches = sculpt.dental_arches(sculpt.mouth_frame(vertices, marks))
    _place_eyes(vertices, members, body.eye, lids)
    _place_teeth(vertices, members, arches)
    units = sculpted_units(vertices, body, crop, lids, phenotype.form)
    if phenotype.form.asymmetry:
        uneven = asymmetry(vertices, body.eye, marks, phenotype.form)
        uneven[np.concatenate([members["upper_teeth"], members["upper_gum"]])] = 0
        lower = np.concatenate([members["lower_teeth"], members["lower_gum"]])
        uneven[lower] = uneven[lower].mean(0)
        vertices = vertices + uneven

    lower_jaw = np.concatenate([members["lower_teeth"], members["lower_gum"]])
    helper = part_vertices()["lower_teeth"]
    hinge = jt.jaw_hinge(body.raw[helper], face_units()["jawOpen"][helper] / 10)
    units["jawOpen"][lower_jaw] = hinge.carry(vertices[lower_jaw])
    neck = crop.carry @ neck_weights()
    neck[np.concatenate(list(members.values()))] = 1
    jaw = jt.jaw_weights(vertices, units["jawOpen"], hinge)
    jaw[lower_jaw] = 1
    jaw = np.minimum(jaw, neck)
    lbs = np.stack([1 - neck, neck - jaw, jaw, 0 * jaw, 0 * jaw], 1)
    for side, joint in jt.EYES.items():
        lbs[members[f"eye_{side.lower()}"]] = np.eye(5)[joint]

    posedirs = np.zeros((len(vertices), 3, 36))
    missed = units["jawOpen"] - jaw[:, None] * hinge.carry(vertices)
    sine = jt.pose_feature(jt.JAW, 2, 1)
    posedirs[:, :, sine] = jt.inverse_jaw(missed, jaw, hinge) / np.sin(hinge.angle)
    looks = jt.eye_posedirs(posedirs, vertices, units, members)

    # mouthClose is sculpted on the open jaw: close what it leaves open, then take the jaw's turn out of it.
    closed = vertices + units["jawOpen"] + units["mouthClose"]
    sealed = units["mouthClose"] + sculpt.seal_lips(closed, marks)
    unturned = jt.inverse_jaw(sealed, jaw, hinge)
    expression = np.stack([unturned if n == "mouthClose" else units[n] for n in EXPRESSION_NAMES], 2)

    places = np.stack([body.bone_head("neck01"), body.bone_head("neck03"), hinge.joint])
    places[:, 0] = 0
    skin = crop.regions["skin"]
    still = skin[np.abs(expression[skin]).max((1, 2)) < 1e-7]
    identity = np.zeros((len(vertices), 3, 0))
    if n_identity:
        identity = identity_basis(n_identity, crop, phenotype, body.turns)
    return Anatomy(
        v_template=vertices,
        identity=identity,
        expression=expression,
        posedirs=posedirs,
        J_regressor=jt.joint_regressor(vertices, places, still, members),
        lbs_weights=lbs,
        quads=crop.quads,
        uv=crop.uv,
        quads_uv=crop.quads_uv,
        quad_parts=crop.quad_parts,
        regions=crop.regions,
        arkit=jt.joint_arkit_map(EXPRESSION_NAMES, hinge.angle, looks, n_identity),
        units={**units, "mouthClose": sealed},
        arches=arches,
        base_index=crop.base_index,
    )


def neutral_vertices(phenotype: Phenotype) -> Float[np.ndarray, "v 3"]:
    """The neutral head alone, in a third of the time; its teeth, behind closed lips, lie anywhere."""
    crop = head_crop()
    vertices, body, lids = _modelled(phenotype)
    _place_eyes(vertices, crop.members, body.eye, lids)
    if phenotype.form.asymmetry:
        vertices = vertices + asymmetry(vertices, body.eye, crop.marks, phenotype.form)
    return vertices


def _modelled(phenotype: Phenotype) -> tuple[Float[np.ndarray, "v 3"], Body, Lids]:
    """Skin, symmetric still, with the body that it comes from and the lids in it."""
    crop, body = head_crop(), body_of(phenotype)
    marks = crop.marks
    vertices = crop.carry @ body.vertices
    vertices += sculpt.seal_lips(vertices, marks)
    vertices = model_face(vertices, body.eye, marks, crop.skin_quads, crop.regions["skin"], phenotype.form)
    lids = Lids(vertices, body.eye, marks, crop.skin_quads, phenotype.form.eyes)
    vertices = lids.vertices
    return vertices + sculpt.seal_lips(vertices, marks), body, lids


def _place_eyes(
    vertices: Float[np.ndarray, "v 3"], members: Mapping[str, np.ndarray], eye: Float[np.ndarray, " 3"], lids: Lids
) -> None:
    """Put the eyeballs where they belong, and the flesh in their inner corners."""
    mirror = np.array([-1.0, 1.0, 1.0])
    flesh = lids.flesh()
    for side, flip in (("left", 1.0), ("right", mirror)):
        vertices[members[f"eye_{side}"]] = ball().vertices + eye * flip
        vertices[members[f"caruncle_{side}"]] = flesh * flip


def _place_teeth(
    vertices: Float[np.ndarray, "v 3"], members: Mapping[str, np.ndarray], arches: tuple[Arch, Arch]
) -> None:
    """Put tongue, teeth and gums where they belong."""
    vertices[members["tongue"]] = sculpt.place_tongue(vertices[members["tongue"]], arches[1])
    for row, arch in zip(("upper", "lower"), arches, strict=True):
        vertices[members[f"{row}_teeth"]] = arch.crown_mesh().vertices
        vertices[members[f"{row}_gum"]] = arch.gum_mesh().vertices


def extreme_poses(anatomy: Anatomy) -> dict[str, Float[np.ndarray, "v 3"]]:
    """Neutral and the poses that stretch the skin most: lids closed, jaw open, smile, pucker and the like."""

    def both(*stems: str) -> dict[str, float]:
        return {f"{stem}{side}": 1.0 for stem in stems for side in ("Left", "Right")}

    poses: dict[str, dict[str, float]] = {
        "neutral": {},
        "blink": both("eyeBlink"),
        "look down": both("eyeLookDown"),
        "jaw open": {"jawOpen": 1.0},
        "smile": both("mouthSmile", "cheekSquint"),
        "grimace": both("mouthStretch", "mouthUpperUp", "mouthLowerDown"),
        "sneer": both("noseSneer", "browDown"),
        "brows": {"browInnerUp": 1.0, **both("browOuterUp", "eyeWide")},
        "pucker": {"mouthPucker": 1.0},
        "funnel": {"mouthFunnel": 1.0, "jawOpen": 0.5},
        "puff": {"cheekPuff": 1.0},
    }
    head = anatomy.head(torch.float64)
    return {
        name: head.vertices(anatomy.arkit.params(weights_from_dict(weights))).numpy() for name, weights in poses.items()
    }
