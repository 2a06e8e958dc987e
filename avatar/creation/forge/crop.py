"""The head's mesh: the part of MakeHuman's base mesh that is kept, refined on the face, with parts of our own.

The same for every phenotype. Vertices of the skin come first (the kept ones of the base mesh, then those that refining
adds), then the eyeballs, the flesh in the inner corners of the eyes, teeth and gums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from avatar.creation.forge.body import GENERIC, body_of
from avatar.creation.forge.eyeball import ball, flesh
from avatar.creation.forge.makehuman import load_base_mesh
from avatar.creation.forge.mesh import compact, triangulate, vertex_normals
from avatar.creation.forge.refinement import Refinement, refine
from avatar.creation.forge.regions import PARTS, Landmarks, landmarks, named_regions
from avatar.creation.forge.teeth import Arch
from avatar.creation.forge.topology import mirror_map

__all__ = ["Crop", "head_crop"]

_CROP_Y = -0.265
# What is refined: quads larger than this within an ellipse around the face and on the front of the neck, metres.
_FINE_M = 0.0033
_FINE_CENTRE, _FINE_RADII, _FINE_TOP, _FINE_BACK = (0.0, -0.012), (0.068, 0.093), 0.075, -0.008
_NECK_Y, _NECK_BACK = (-0.172, -0.090), -0.058


@dataclass(frozen=True)
class Crop:
    """Topology of the head.

    Attributes:
        carry: matrix from fields on the base mesh to fields on the head; zero for the parts of our own.
        base_index: the vertex of the base mesh that each vertex is, -1 for a new one.
        quads, uv, quads_uv, quad_parts, regions: as in `anatomy.Anatomy`.
        members: vertices of the parts beside the skin.
        marks: landmarks in the head's numbering.
        rest: the generic head before anything is modelled, metres.
    """

    carry: sp.csr_matrix
    base_index: Int[np.ndarray, " v"]
    quads: Int[np.ndarray, "q 4"]
    uv: Float[np.ndarray, "u 2"]
    quads_uv: Int[np.ndarray, "q 4"]
    quad_parts: np.ndarray
    regions: Mapping[str, np.ndarray]
    members: Mapping[str, np.ndarray]
    marks: Landmarks
    rest: Float[np.ndarray, "v 3"]

    @property
    def skin_quads(self) -> Int[np.ndarray, "s 4"]:
        """The skin with what is continuous with it inside the mouth and behind the lids."""
        return self.quads[np.isin(self.quad_parts, ("skin", "mouth", "socket"))]


@lru_cache(maxsize=1)
def head_crop() -> Crop:
    """Head, neck and shoulders, with their parts and regions."""
    base, marks = load_base_mesh(), landmarks()
    body = body_of(GENERIC).vertices
    quads, quads_uv, labels = _kept(body, marks)
    refined = refine(quads, _wanting_detail(body, quads, labels), len(body), marks.mirror)
    corners_uv = _corners_uv(base.uv[quads_uv], refined)
    labels = labels[refined.parent]

    index, quads = compact(refined.quads)
    carry = refined.matrix.tocsr()[index]
    base_index = np.where(index < len(body), index, -1)
    place = np.full(len(body), -1)
    place[index[base_index >= 0]] = np.flatnonzero(base_index >= 0)
    members: dict[str, np.ndarray] = {"tongue": np.unique(quads[labels == "tongue"])}
    pieces = [(quads, corners_uv, labels)]
    n = len(index)
    mirror = mirror_map(carry @ base.vertices)
    for name, part, uv in _own_parts():
        members[name] = np.arange(n, n + len(uv))
        pieces.append((part + n, uv[part], np.full(len(part), name, dtype=labels.dtype)))
        n += len(uv)
    quads, corners_uv, labels = (np.concatenate(column) for column in zip(*pieces, strict=True))
    carry = sp.vstack([carry, sp.csr_matrix((n - len(index), len(body)))]).tocsr()
    base_index = np.concatenate([base_index, np.full(n - len(index), -1)])
    uv, index_uv = np.unique(np.round(corners_uv.reshape(-1, 2), 7), axis=0, return_inverse=True)
    head_marks = marks.within(place, np.concatenate([mirror, np.arange(len(mirror), n)]))
    vertices = carry @ body
    skin = np.unique(quads[labels == "skin"])

    def inherited(found: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(body))
        mask[base_index[found[base_index[found] >= 0]]] = 1
        return np.union1d(found, np.flatnonzero(carry @ mask > 0.74))

    regions = named_regions(vertices, vertex_normals(vertices, triangulate(quads[labels == "skin"])), skin, head_marks,
                            inherited)  # fmt: skip
    regions |= members | {"eyes": np.union1d(members["eye_left"], members["eye_right"])}
    return Crop(carry, base_index, quads, uv, index_uv.reshape(-1, 4), labels, regions, members, head_marks, vertices)


def _kept(body: np.ndarray, marks: Landmarks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quads, quads into the texture coordinates, parts) of what is taken from the base mesh."""
    groups = load_base_mesh().groups
    quads, quads_uv = groups["body"]
    kept = (body[quads][:, :, 1].mean(1) > _CROP_Y) & ~np.isin(quads, marks.deep).any(1)
    quads, quads_uv = quads[kept], quads_uv[kept]
    labels = np.full(len(quads), "skin", dtype="<U14")
    labels[np.isin(quads, marks.bag).any(1)] = "mouth"
    labels[np.isin(quads, marks.sockets).any(1)] = "socket"
    (tongue,) = PARTS["tongue"]
    q, t = groups[tongue]
    return (
        np.concatenate([quads, q]),
        np.concatenate([quads_uv, t]),
        np.concatenate([labels, np.full(len(q), "tongue", dtype="<U14")]),
    )


def _wanting_detail(body: np.ndarray, quads: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which quads are too large for the folds of a face."""
    corner = body[quads]
    normal = np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]) / 2
    area = np.linalg.norm(normal, axis=1)
    x, y, z = corner.mean(1).T
    inside = ((x - _FINE_CENTRE[0]) / _FINE_RADII[0]) ** 2 + ((y - _FINE_CENTRE[1]) / _FINE_RADII[1]) ** 2 < 1
    front = (z > _FINE_BACK) & (y < _FINE_TOP) & (normal[:, 2] > -0.3 * area)
    neck = (y > _NECK_Y[0]) & (y < _NECK_Y[1]) & (z > _NECK_BACK) & (np.abs(x) < 0.062)
    return (labels == "skin") & ((inside & front) | neck) & (area > _FINE_M**2)


def _corners_uv(parents: Float[np.ndarray, "p 4 2"], refined: Refinement) -> Float[np.ndarray, "q 4 2"]:
    """Texture coordinates of the corners of refined quads, bilinear in their parents'."""
    a, b = refined.corners[..., 0], refined.corners[..., 1]
    weights = np.stack([(1 - a) * (1 - b), a * (1 - b), a * b, (1 - a) * b], -1)
    return np.einsum("qck,qkx->qcx", weights, parents[refined.parent])


def _own_parts() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, quads, texture coordinates) of the parts that are not the base mesh's; where they lie is decided later."""
    out: list[tuple[str, np.ndarray, np.ndarray]] = []
    out += [(f"eye_{side}", ball().quads, ball().uv) for side in ("left", "right")]
    # The right caruncle is the mirror image of the left one.
    out += [("caruncle_left", flesh().quads, flesh().uv), ("caruncle_right", flesh().quads[:, ::-1], flesh().uv)]
    for row, upward in (("upper", 1.0), ("lower", -1.0)):
        arch = Arch(0.0, 0.0, 0.026, 0.044, upward)
        for name, mesh in (("teeth", arch.crown_mesh()), ("gum", arch.gum_mesh())):
            low, high = mesh.vertices.min(0), mesh.vertices.max(0)
            unit = (mesh.vertices - low) / (high - low)
            out.append((f"{row}_{name}", mesh.quads, unit[:, :2]))
    return out
