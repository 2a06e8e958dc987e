"""From a fit to the head of one person: their shape as a template of its own, and lids that still close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy import sparse
from scipy.sparse.linalg import splu

from avatar.creation.lids import with_closing_lids
from avatar.flame.arkit import ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.tracking.driving import DrivingModel
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFit, FaceFitter, Intrinsics
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import COUNT, LIPS_INNER, OVAL

__all__ = ["Person", "bend", "fit_person", "graph", "mouth_at_rest", "person_head"]

_STIFFNESS = 2.0
_RIDGE = 1e-4
_OVAL_TRUST = 0.15
"""The outline of the face is where it is seen, not a place on the skin."""
_SPOILING = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthFunnel")
_CALM, _MOST_SD = 0.25, 2.5
"""Weights of these up to which a face counts as at rest, and how far from the average a guess of its shape may go."""
_BELIEVED = 0.3
"""Of what a landmark is off by, the share that is the face's and not the landmark's own mistake."""
_MOST_M = 0.008
_INSIDE = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue")


@dataclass(frozen=True, eq=False)
class Person:
    """A head with one person's face as its template, and the pictures' fits in terms of it."""

    head: HeadModel
    arkit: ArkitMap
    fits: tuple[FaceFit, ...]
    offset_m: float
    """How far the landmarks moved the template beyond what its shape coefficients say: mean over the face."""


def fit_person(
    head: HeadModel, arkit: ArkitMap, pictures: Sequence[FaceLandmarks], intrinsics: Sequence[Intrinsics]
) -> list[FaceFit]:
    """Fit pictures of one person. Where a face is at rest, what renders of known faces looked like says more of its
    shape than where its landmarks are."""
    fitter, model = FaceFitter(FaceModel(head, arkit)), DrivingModel.shipped()
    fits = fitter.fit_all(pictures, intrinsics)
    calm = [model.features(p) for p, f in zip(pictures, fits, strict=True) if mouth_at_rest(f)]
    if not calm or model.shape_offset.shape != (head.n_shape,):
        return fits
    return fitter.fit_all(pictures, intrinsics, likely=model.shape(calm).clip(-_MOST_SD, _MOST_SD))


def mouth_at_rest(fit: FaceFit) -> bool:
    """Whether a face neither smiles nor opens or rounds its lips to speak of."""
    return bool(fit.weights[indices(*_SPOILING)].max() < _CALM)


def person_head(
    head: HeadModel,
    arkit: ArkitMap,
    pictures: Sequence[FaceLandmarks],
    intrinsics: Sequence[Intrinsics],
    fits: Sequence[FaceFit],
    believed: float = _BELIEVED,
) -> Person:
    """The head that these fits describe.

    What shape coefficients leave of the landmarks' residuals becomes a smooth offset; where several pictures see a
    landmark, their mean does.

    Args:
        believed: the share of a residual that is the face's, 0..1.
    """
    face = FaceModel(head, arkit)
    shape = torch.from_numpy(fits[0].shape).to(head.v_template)
    template = head.shaped(shape, torch.zeros(head.n_expression)).double().numpy()
    faces = head.faces.numpy()
    pulls = np.zeros((COUNT, 3))
    trust = np.ones(COUNT)
    trust[OVAL] = _OVAL_TRUST
    fitter = FaceFitter(face)
    for picture, camera, fit in zip(pictures, intrinsics, fits, strict=True):
        posed = face.pose(fit.shape, fit.weights, derivatives=False).points @ fit.rotation.T + fit.translation
        error = (picture.points[:, :2] - fitter.projected(fit, camera)) * posed[:, 2:] / camera.focal
        pulls += np.c_[error, np.zeros(COUNT)] @ fit.rotation / len(pictures)
    pulls *= believed
    pulls[LIPS_INNER] *= 0.5  # an open mouth says little about lips at rest
    bent = bend(faces, len(template), face.landmarks.triangles, face.landmarks.barycentric, pulls, trust)
    regions = {name: index.numpy() for name, index in head.regions.items()}
    for side in ("left", "right"):
        rim = np.concatenate([regions[f"upper_lid_margin_{side}"], regions[f"lower_lid_margin_{side}"]])
        bent[np.concatenate([regions[f"eye_{side}"], regions[f"caruncle_{side}"]])] = bent[rim].mean(0)
    lips = np.concatenate([regions["upper_lip_inner"], regions["lower_lip_inner"]])
    for name in _INSIDE:
        bent[regions[name]] = bent[lips].mean(0) * [0, 1, 0]
    own = with_closing_lids(
        replace(
            head,
            v_template=torch.from_numpy(template + bent).to(head.v_template),
            shapedirs=head.shapedirs[..., head.n_shape :].clone(),
            n_shape=0,
        )
    )
    return Person(
        own,
        replace(arkit, n_shape=0),
        tuple(replace(fit, shape=np.zeros(0)) for fit in fits),
        float(np.linalg.norm(bent[regions["face"]], axis=1).mean()),
    )


def bend(
    faces: Int64[np.ndarray, "f 3"],
    count: int,
    triangles: Int64[np.ndarray, " n"],
    barycentric: Float[np.ndarray, "n 3"],
    pulls: Float[np.ndarray, "n 3"],
    trust: Float[np.ndarray, " n"],
) -> Float64[np.ndarray, "v 3"]:
    """Offsets of all vertices that follow `pulls` (metres, at points on triangles) and are smooth between them.

    Reference: Botsch and Sorkine, "On linear variational surface deformation methods", 2008 (bi-Laplacian).
    """
    adjacency = graph(faces, count)
    laplacian = sparse.diags(1 / np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1)) @ adjacency - sparse.identity(
        count
    )
    rows = np.repeat(np.arange(len(triangles)), 3)
    at = sparse.coo_matrix((barycentric.ravel(), (rows, faces[triangles].ravel())), (len(triangles), count)).tocsr()
    weighted = at.T @ sparse.diags(trust)
    system = weighted @ at + _STIFFNESS * laplacian.T @ laplacian + _RIDGE * sparse.identity(count)
    solver = splu(system.tocsc())
    found = np.stack([solver.solve(weighted @ pulls[:, c]) for c in range(3)], 1)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return found * np.minimum(1, _MOST_M / np.maximum(length, 1e-12))


def graph(faces: Int64[np.ndarray, "f 3"], count: int) -> sparse.csr_matrix:
    """Which vertices share an edge: a symmetric matrix of ones."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    one_way = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    return ((one_way + one_way.T) > 0).astype(np.float64).tocsr()
