"""A model in the layout of GNM Head v3, made from the head that ships: places on its skin, eyes, teeth and tongue.

The real one is 53 MB. This one has its arrays by name, its joints, and its jaw among the expressions; and since these
are mixtures of known blendshapes, what the fit ought to find is known.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from avatar.flame.arkit import NAMES
from avatar.flame.head import HeadModel
from avatar.heads import open_head

__all__ = ["GNM_JOINTS", "gnm_like"]

GNM_JOINTS = ("neck", "head", "left_eye", "right_eye")
_OURS = (0, 1, 3, 4)
_PARTS = {"skin": 3200, "eye_left": 120, "eye_right": 120, "upper_teeth": 60, "lower_teeth": 60, "tongue": 160}
_GROUP_NAMES = {
    "skin": "skin", "eye_left": "left_eye", "eye_right": "right_eye", "upper_teeth": "upper_teeth_and_gums",
    "lower_teeth": "lower_teeth_and_gums", "tongue": "tongue", "upper_lip": "upper_lip", "lower_lip": "lower_lip",
}  # fmt: skip
_IDENTITY, _EXPRESSION = 20, 80


@lru_cache(maxsize=1)
def gnm_like() -> dict[str, np.ndarray]:
    """The arrays of a GNM file."""
    rng = np.random.default_rng(5)
    source, arkit = open_head()
    template = source.v_template.numpy()
    corners, weights = _samples(source, rng)

    def carried(field: np.ndarray) -> np.ndarray:
        return np.einsum("vk,vk...->v...", weights, field[corners])

    identity = source.shapedirs.numpy()[..., :_IDENTITY]
    poses = [arkit.params(row, shape=np.zeros(source.n_shape)) for row in np.eye(len(NAMES), dtype=np.float32)]
    moved = [source.vertices(pose).numpy() - template for pose in poses]
    gaze = [name.startswith("eyeLook") for name in NAMES]
    faces = np.stack([0 * m if g else m for m, g in zip(moved, gaze, strict=True)], -1)
    expression = faces @ rng.normal(0, 0.3, (len(NAMES), _EXPRESSION)).astype(np.float32)
    regressor = source.J_regressor.numpy()[list(_OURS)]
    vertices = carried(template)
    groups = {ours: np.zeros(source.n_vertices, np.float32) for ours in _GROUP_NAMES}
    for ours, values in groups.items():
        values[source.regions[ours].numpy()] = 1
    correctives = np.zeros((4, 9, len(vertices), 3), np.float32)
    for gnm, ours in enumerate(_OURS):
        if ours:
            columns = source.posedirs.numpy()[..., 9 * (ours - 1) : 9 * ours]
            correctives[gnm] = carried(columns).transpose(2, 0, 1)
    skinning = carried(source.lbs_weights.numpy())
    skinning[:, 1] += skinning[:, 2]  # no jaw among the joints
    return {
        "version": np.array("3.0"),
        "template_vertex_positions": vertices.astype(np.float32),
        "template_joint_positions": (regressor @ template).astype(np.float32),
        "vertex_identity_basis": carried(identity).transpose(2, 0, 1).astype(np.float32),
        "joint_identity_basis": np.einsum("jv,vci->ijc", regressor, identity).astype(np.float32),
        "expression_basis": carried(expression).transpose(2, 0, 1).astype(np.float32),
        "pose_correctives_regressor": correctives.reshape(36, -1),
        "skinning_weights": skinning[:, list(_OURS)].T.astype(np.float32),
        "joint_parent_indices": np.array([0, 0, 1, 1]),
        "triangles": _triangles(vertices, carried(_normals(template, source.faces.numpy()))),
        "joint_names": np.array(GNM_JOINTS),
        "vertex_group_names": np.array(list(_GROUP_NAMES.values())),
        "vertex_groups": np.stack([carried(values) for values in groups.values()]).astype(np.float32),
    }


def _samples(source: HeadModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places on the head, three vertices each and their weights; the edges of lips and lids among them."""
    faces = source.faces.numpy()
    a, b, c = (source.v_template.numpy()[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    corners = []
    for region, count in _PARTS.items():
        inside = np.zeros(source.n_vertices, bool)
        inside[source.regions[region].numpy()] = True
        share = area * inside[faces].all(1)
        corners.append(faces[rng.choice(len(faces), count, p=share / share.sum())])
    weights = rng.dirichlet(np.ones(3), sum(_PARTS.values()))
    margins = [f"{lid}_lid_margin_{side}" for lid in ("upper", "lower") for side in ("left", "right")]
    edges = np.concatenate([source.regions[r].numpy() for r in ("upper_lip_inner", "lower_lip_inner", *margins)])
    corners.append(np.repeat(edges[:, None], 3, 1))
    return np.concatenate(corners), np.concatenate([weights, np.tile([1.0, 0, 0], (len(edges), 1))])


def _triangles(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Triangles of near neighbours, each facing as the surface does there."""
    near = cKDTree(vertices).query(vertices, k=6)[1]
    faces = np.concatenate([near[:, [0, 1, 2]], near[:, [0, 3, 4]]])
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    wrong = (np.cross(b - a, c - a) * normals[faces[:, 0]]).sum(1) < 0
    faces[wrong] = faces[wrong][:, [0, 2, 1]]
    return faces.astype(np.int32)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
