"""From MakeHuman's CC0 anatomy to a head model in FLAME's layout.

Metres; +y up, +z out of the face, +x the subject's left; the eyeballs near (+-0.031, 0.020, 0.024). The
topology, and with it every vertex number and region, is the same for all phenotypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.forge import sculpt
from avatar.forge.identity import identity_basis
from avatar.forge.makehuman import Phenotype, face_units, load_base_mesh, load_rig, phenotype_offsets
from avatar.forge.mesh import compact, triangulate, vertex_normals
from avatar.forge.regions import PARTS, landmarks, named_regions

__all__ = [
    "EXPRESSION_NAMES",
    "GENERIC",
    "N_IDENTITY",
    "Anatomy",
    "build_anatomy",
    "build_generic_head",
    "build_head",
    "extreme_poses",
]

GENERIC = Phenotype(masculinity=0.5, age_years=35.0)
"""The head that ships by itself, and whose size decides what is cropped."""

N_IDENTITY = 50
"""Identity directions of the generic head."""

EXPRESSION_NAMES = tuple(n for n in sorted(NAMES) if n != "jawOpen" and not n.startswith("eyeLook"))
"""The face units that are expression coefficients; the other nine are joint poses."""

_EYE_HEIGHT, _EYE_DEPTH = 0.020, 0.0244
_CROP_Y = -0.262
_HEAD, _JAW, _EYES = 1, 2, {"Left": 3, "Right": 4}
_NECK_BONES = {"neck03": 0.85, "neck02": 0.5, "neck01": 0.15}
_REGRESSOR_SUPPORT = 80


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
        quad_parts: the part of each quad: "skin", "mouth" (its interior), "socket" (behind the lids), "eye_left",
            "eye_right", "upper_teeth", "lower_teeth", "tongue", "lashes".
        regions: named vertex sets.
        arkit: blendshape weights to parameters.
        base_index: the vertex of MakeHuman's base mesh that each vertex is.
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


@dataclass(frozen=True)
class _Crop:
    """The part of the base mesh that is kept; the same for every phenotype."""

    base_index: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    quads_uv: np.ndarray
    quad_parts: np.ndarray
    regions: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _Body:
    """A phenotype in metres, in the head's frame, base mesh order, arms at the sides, mouth in order."""

    vertices: np.ndarray
    turns: np.ndarray
    """The rotation of each vertex's surroundings when the arms are lowered."""
    raw: np.ndarray
    """Before the mouth was put in order and the arms lowered: what the rig and the jaw were measured on."""


def build_head(phenotype: Phenotype) -> tuple[HeadModel, ArkitMap]:
    """The head model of one person, its identity in the template (no identity directions), and its ARKit
    map."""
    anatomy = build_anatomy(phenotype)
    return anatomy.head(), anatomy.arkit


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
    crop = _crop()
    body = _body(phenotype)
    index = crop.base_index
    vertices = body.vertices[index]
    sculpted = {name: field / 10 for name, field in face_units().items()}
    for side in ("Left", "Right"):
        blink = sculpted[f"eyeBlink{side}"]
        beyond = body.vertices[:, 0] * (1 if side == "Left" else -1) < 0
        blink[beyond] = 0  # the sculpted unit also moves the inside of the other eye's socket
        sculpted[f"eyeBlink{side}"] = sculpt.seat_lids(body.vertices, blink, landmarks(), side.lower())
        lift = sculpt.lift_smile(body.vertices, landmarks(), side.lower())
        sculpted[f"mouthSmile{side}"] = sculpted[f"mouthSmile{side}"] + lift
    for name, correction in sculpt.seal_units(body.vertices, sculpted, landmarks()).items():
        sculpted[name] = sculpted[name] + correction
    units = {name: field[index] for name, field in sculpted.items()}
    local = np.full(len(body.vertices), -1)
    local[index] = np.arange(len(index))

    jaw_angle, jaw_joint = _jaw(body.raw, units, local)
    neck = _neck_weights()[index]
    members = {part: local[crop_members] for part, crop_members in _part_vertices().items()}
    units["jawOpen"] = _jaw_open(vertices, units["jawOpen"], jaw_joint, jaw_angle, members)
    units["jawOpen"] = units["jawOpen"] + sculpt.tongue_flattening(body.vertices)[index]
    units["tongueOut"] = units["tongueOut"] + sculpt.tongue_raising(body.vertices)[index]
    for name in units:  # eyeballs move with their joints only
        if name.startswith("eyeLook"):
            continue
        for side in ("left", "right"):
            units[name][members[f"eye_{side}"]] = 0

    turn = _rotation(np.array([jaw_angle, 0.0, 0.0]))
    jaw = np.minimum(_jaw_weights(vertices, units["jawOpen"], jaw_joint, turn, members), neck)
    lbs = np.stack([1 - neck, neck - jaw, jaw, 0 * jaw, 0 * jaw], 1)
    eye_joints = {}
    for side, joint in _EYES.items():
        eyeball = members[f"eye_{side.lower()}"]
        lbs[eyeball] = np.eye(5)[joint]
        eye_joints[joint] = vertices[eyeball].mean(0)

    posedirs = np.zeros((len(index), 3, 36))
    blended = (1 - jaw)[:, None, None] * np.eye(3) + jaw[:, None, None] * turn
    rigid = jaw[:, None] * ((vertices - jaw_joint) @ (turn - np.eye(3)).T)
    residual = np.linalg.solve(blended, (units["jawOpen"] - rigid)[:, :, None])[:, :, 0]
    posedirs[:, :, _feature(_JAW, 2, 1)] = residual / np.sin(jaw_angle)
    looks = _eye_posedirs(posedirs, vertices, units, members)

    # mouthClose is sculpted on the open jaw: close what it leaves open, then take the jaw's turn out of it.
    closed = body.vertices.copy()
    closed[index] += units["jawOpen"] + units["mouthClose"]
    units["mouthClose"] = units["mouthClose"] + sculpt.seal_lips(closed, landmarks())[index]
    units["mouthClose"] = np.linalg.solve(blended, units["mouthClose"][:, :, None])[:, :, 0]
    expression = np.stack([units[n] for n in EXPRESSION_NAMES], 2)

    raw = body.raw
    rig = load_rig()
    joints = np.stack(
        [raw[rig.heads["neck01"]].mean(0), raw[rig.heads["neck03"]].mean(0), jaw_joint, eye_joints[3], eye_joints[4]]
    )
    joints[:2, 0] = 0
    identity = np.zeros((len(index), 3, 0))
    if n_identity:
        identity = identity_basis(
            n_identity, index, local[_eyeballs()], phenotype_offsets(phenotype)[index], body.turns[index]
        )
    return Anatomy(
        v_template=vertices,
        identity=identity,
        expression=expression,
        posedirs=posedirs,
        J_regressor=_joint_regressor(vertices, joints, expression, crop, members),
        lbs_weights=lbs,
        quads=crop.quads,
        uv=crop.uv,
        quads_uv=crop.quads_uv,
        quad_parts=crop.quad_parts,
        regions=crop.regions,
        arkit=_arkit_map(jaw_angle, looks, n_identity),
        base_index=index,
    )


def extreme_poses(anatomy: Anatomy) -> dict[str, Float[np.ndarray, "v 3"]]:
    """Neutral and the poses that stretch the skin most: lids closed, jaw open, smile, pucker and the like."""
    both = lambda *stems: {f"{s}{side}": 1.0 for s in stems for side in ("Left", "Right")}  # noqa: E731
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
    out = {}
    for name, weights in poses.items():
        vector = np.zeros(len(NAMES), np.float32)
        vector[indices(*weights)] = list(weights.values())
        out[name] = head.vertices(anatomy.arkit.params(vector)).numpy()
    return out


def _part_vertices() -> dict[str, np.ndarray]:
    groups = load_base_mesh().groups
    return {part: np.unique(np.concatenate([groups[g][0].ravel() for g in names])) for part, names in PARTS.items()}


def _eyeballs() -> np.ndarray:
    parts = _part_vertices()
    return np.concatenate([parts["eye_left"], parts["eye_right"]])


@lru_cache(maxsize=8)
def _branch_weights(root: str) -> np.ndarray:
    """How much each vertex of the base mesh hangs on a bone or its descendants."""
    rig = load_rig()
    out = np.zeros(len(load_base_mesh().vertices))
    for bone, (vertex, weight) in rig.weights.items():
        if rig.is_under(bone, root):
            np.add.at(out, vertex, weight)
    return out


@lru_cache(maxsize=1)
def _neck_weights() -> np.ndarray:
    """How much each vertex turns with the neck joint; the joints of the real neck share the turn."""
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


def _body(phenotype: Phenotype) -> _Body:
    base = load_base_mesh()
    raw = (base.vertices + phenotype_offsets(phenotype)) / 10
    eyes = raw[_eyeballs()].mean(0)
    raw = raw - np.array([0.0, eyes[1] - _EYE_HEIGHT, eyes[2] - _EYE_DEPTH])
    marks = landmarks()
    vertices = raw + sculpt.seal_lips(raw, marks)
    vertices = sculpt.place_mouth_parts(vertices, marks)
    bones = [f"{bone}.{side}" for bone in ("clavicle", "upperarm01") for side in "LR"]
    heads = load_rig().heads
    vertices, turns = sculpt.lower_arms(
        vertices, {b: _branch_weights(b) for b in bones}, {b: raw[heads[b]].mean(0) for b in bones}
    )
    return _Body(vertices, turns, raw)


@lru_cache(maxsize=1)
def _crop() -> _Crop:
    base, marks = load_base_mesh(), landmarks()
    body = _body(GENERIC).vertices
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
    return _Crop(index, quads, base.uv[index_uv], quads_uv, labels, {k: local[v] for k, v in regions.items()})


def _rotation(axis_angle: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(axis_angle)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = axis_angle / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def _feature(joint: int, row: int, column: int) -> int:
    """Where an entry of a joint's rotation stands in the pose feature."""
    return 9 * (joint - 1) + 3 * row + column


def _kabsch(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rigid motion that takes points `a` nearest to `b`: (rotation, translation)."""
    ca, cb = a.mean(0), b.mean(0)
    u, _, vt = np.linalg.svd((a - ca).T @ (b - cb))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ flip @ u.T
    return rotation, cb - rotation @ ca


def _jaw(raw: np.ndarray, units: dict[str, np.ndarray], local: np.ndarray) -> tuple[float, np.ndarray]:
    """The jaw's hinge from how the sculpted jawOpen carries the lower teeth: (angle about +x, joint)."""
    teeth = _part_vertices()["lower_teeth"]
    before = raw[teeth]
    rotation, shift = _kabsch(before, before + units["jawOpen"][local[teeth]])
    angle = float(np.arcsin((rotation[2, 1] - rotation[1, 2]) / 2))
    joint = np.linalg.lstsq(np.eye(3) - rotation, shift, rcond=None)[0]
    joint[0] = 0
    return angle, joint


def _jaw_open(
    vertices: np.ndarray, sculpted: np.ndarray, joint: np.ndarray, angle: float, members: dict[str, np.ndarray]
) -> np.ndarray:
    """The sculpted jawOpen, with the lower teeth (moved by us) turning rigidly."""
    out = sculpted.copy()
    teeth = members["lower_teeth"]
    out[teeth] = (vertices[teeth] - joint) @ (_rotation(np.array([angle, 0.0, 0.0])) - np.eye(3)).T
    return out


def _jaw_weights(
    vertices: np.ndarray, jaw_open: np.ndarray, joint: np.ndarray, turn: np.ndarray, members: dict[str, np.ndarray]
) -> np.ndarray:
    """How much each vertex hangs on the jaw: jawOpen projected on the rigid turn."""
    rigid = (vertices - joint) @ (turn - np.eye(3)).T
    weights = np.clip((rigid * jaw_open).sum(1) / np.maximum((rigid**2).sum(1), 1e-10), 0, 1)
    weights[(jaw_open**2).sum(1) < 1e-12] = 0
    weights[members["lower_teeth"]] = 1
    return weights


def _eye_posedirs(
    posedirs: np.ndarray, vertices: np.ndarray, units: dict[str, np.ndarray], members: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Write the lids' share of looking around into `posedirs`; return the eye's axis-angle of each eyeLook
    unit.

    A turn about x shows in the pose feature as sin (odd) and cos - 1 (even); the two together reproduce
    both the sculpted look up and the sculpted look down exactly, and likewise in and out.
    """
    looks: dict[str, np.ndarray] = {}
    for side, joint in _EYES.items():
        eyeball = members[f"eye_{side.lower()}"]
        for pair, axis, odd, even in (
            (("Up", "Down"), 0, _feature(joint, 2, 1), _feature(joint, 1, 1)),
            (("In", "Out"), 1, _feature(joint, 0, 2), _feature(joint, 0, 0)),
        ):
            features, residuals = [], []
            for direction in pair:
                name = f"eyeLook{direction}{side}"
                rotation, _ = _kabsch(vertices[eyeball], vertices[eyeball] + units[name][eyeball])
                skew = (rotation - rotation.T) / 2
                sine = skew[2, 1] if axis == 0 else skew[0, 2]
                looks[name] = np.eye(3)[axis] * np.arcsin(sine)
                features.append([sine, np.sqrt(1 - sine**2) - 1])
                lids = units[name].copy()
                lids[eyeball] = 0
                residuals.append(lids)
            solution = np.einsum("kc,cvx->kvx", np.linalg.inv(np.array(features)), np.array(residuals))
            posedirs[:, :, odd] = solution[0]
            posedirs[:, :, even] = solution[1]
    return looks


def _joint_regressor(
    vertices: np.ndarray, joints: np.ndarray, expression: np.ndarray, crop: _Crop, members: dict[str, np.ndarray]
) -> np.ndarray:
    """Joints as affine combinations of nearby skin that no expression moves (so that no expression moves a
    joint)."""
    still = np.abs(expression).max((1, 2)) < 1e-7
    candidates = np.array([v for v in crop.regions["skin"] if still[v]])
    out = np.zeros((5, len(vertices)))
    for row in range(3):
        distance = np.linalg.norm(vertices[candidates] - joints[row], axis=1)
        near = candidates[np.argsort(distance)[:_REGRESSOR_SUPPORT]]
        system = np.vstack([vertices[near].T, np.ones(len(near))])
        out[row, near] = np.linalg.lstsq(system, np.append(joints[row], 1.0), rcond=None)[0]
    for side, joint in _EYES.items():
        eyeball = members[f"eye_{side.lower()}"]
        out[joint, eyeball] = 1 / len(eyeball)
    return out


def _arkit_map(jaw_angle: float, looks: dict[str, np.ndarray], n_shape: int) -> ArkitMap:
    expression = np.zeros((len(NAMES), len(EXPRESSION_NAMES)), np.float32)
    for column, name in enumerate(EXPRESSION_NAMES):
        expression[indices(name), column] = 1
    jaw, leye, reye = np.zeros((3, len(NAMES), 3), np.float32)
    jaw[indices("jawOpen"), 0] = jaw_angle
    for name, axis_angle in looks.items():
        (leye if name.endswith("Left") else reye)[indices(name)] = axis_angle
    return ArkitMap(expression, jaw, leye, reye, n_shape)
