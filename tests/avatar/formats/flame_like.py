"""A model in FLAME's shape, made from the head that ships: 5,023 of its places, and directions mixed from its own.

FLAME itself cannot be distributed. This one has its numbers (400 directions, 9,976 triangles, its lip vertices), and
since its expression directions are mixtures of known blendshapes, what the fit ought to find is known.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from avatar.flame.head import HeadModel
from avatar.formats.flame_teeth import FLAME_FACES, FLAME_VERTICES, LOWER_LIP, UPPER_LIP
from avatar.heads import open_head

__all__ = ["flame_like"]

_EYE_VERTICES = 300


@lru_cache(maxsize=1)
def flame_like() -> dict[str, np.ndarray]:
    """The arrays of a FLAME file, float32, of somebody else than the head that ships."""
    rng = np.random.default_rng(7)
    source, _ = open_head()
    corners, weights = _samples(source, rng)

    def carried(field: np.ndarray) -> np.ndarray:
        return np.einsum("vk,vk...->v...", weights, field[corners])

    shapedirs = source.shapedirs.numpy()
    identity, expression = shapedirs[..., : source.n_shape], shapedirs[..., source.n_shape :]
    template = source.v_template.numpy() + identity[..., :8] @ rng.normal(0, 0.7, 8).astype(np.float32)
    joints = source.J_regressor.numpy() @ template
    vertices = carried(template)
    mixed = expression @ rng.normal(0, 0.3, (expression.shape[-1], 100)).astype(np.float32)
    directions = np.zeros((FLAME_VERTICES, 3, 400), np.float32)
    directions[..., : source.n_shape] = carried(identity)
    directions[..., 300:] = carried(mixed)
    homogeneous = np.concatenate([vertices, np.ones((FLAME_VERTICES, 1))], 1)
    regressor = np.concatenate([joints, np.ones((5, 1))], 1) @ np.linalg.pinv(homogeneous)
    return {
        "v_template": vertices.astype(np.float32),
        "f": _faces(vertices, carried(_normals(template, source.faces.numpy()))).astype(np.uint32),
        "shapedirs": directions,
        "posedirs": carried(source.posedirs.numpy()).astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "weights": carried(source.lbs_weights.numpy()).astype(np.float32),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
    }


def _samples(source: HeadModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places on the head's skin and eyes: three vertices each and their weights; the lips where FLAME has them."""
    faces = source.faces.numpy()
    a, b, c = (source.v_template.numpy()[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = []
    for region, count in (("skin", FLAME_VERTICES - 2 * _EYE_VERTICES), ("eye_left", 300), ("eye_right", 300)):
        inside = np.zeros(source.n_vertices, bool)
        inside[source.regions[region].numpy()] = True
        share = area * inside[faces].all(1)
        chosen.append(rng.choice(len(faces), count, p=share / share.sum()))
    triangles = np.concatenate(chosen)
    weights = rng.dirichlet(np.ones(3), FLAME_VERTICES)
    corners = faces[triangles].copy()
    for targets, name in ((UPPER_LIP, "upper_lip_inner"), (LOWER_LIP, "lower_lip_inner")):
        ring = source.regions[name].numpy()
        ring = ring[np.argsort(source.v_template.numpy()[ring, 0])]
        at = np.linspace(0, len(ring) - 1, len(targets))
        low = np.minimum(at.astype(int), len(ring) - 2)
        rows = list(targets)
        corners[rows] = np.stack([ring[low], ring[low + 1], ring[low]], 1)
        weights[rows] = np.stack([1 - (at - low), at - low, np.zeros(len(at))], 1)
    return corners, weights


def _faces(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """9,976 triangles of near neighbours, each facing as the surface does there."""
    near = cKDTree(vertices).query(vertices, k=6)[1]
    faces = np.concatenate([near[:, [0, 1, 2]], near[: FLAME_FACES - FLAME_VERTICES][:, [0, 3, 4]]])
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    wrong = (np.cross(b - a, c - a) * normals[faces[:, 0]]).sum(1) < 0
    faces[wrong] = faces[wrong][:, [0, 2, 1]]
    return faces


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
