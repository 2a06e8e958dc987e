"""Before a camera that stands still, a head turns on its neck and the shoulders stay: poses that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.spatial.transform import Rotation

from avatar.creation.capture.person_head import Person
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFit, Intrinsics
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import OVAL

__all__ = ["StillBody", "on_still_body", "pose_of"]

_NECK = 1
_SIGMA_M, _SWAY_M, _PIVOT_M = 0.004, 0.004, 0.02
"""How far landmarks err together, bodies sway, and necks turn about another place than the head model's."""
_ROUNDS, _STEPS = 5, 3


def pose_of(arkit: ArkitMap, fit: FaceFit) -> FlameParams:
    """The pose that a fit found, head upright: its camera went around the head."""
    return arkit.params(fit.weights.astype(np.float32)).replace(leye_pose=fit.gaze[1], reye_pose=fit.gaze[0])


@dataclass(frozen=True, eq=False)
class StillBody:
    """A person before a camera that stands still."""

    person: Person
    """With the neck's joint where this head turns."""
    still: FaceFit
    """The camera that sees all poses: that of the first fit, before the body as it mostly stands."""
    poses: tuple[FlameParams, ...]


def on_still_body(
    person: Person,
    pictures: Sequence[FaceLandmarks],
    lenses: Sequence[Intrinsics],
    calm: Bool[np.ndarray, " n"] | None = None,
) -> StillBody:
    """Explain pictures by turns of the neck, with a body that hardly sways.

    What landmarks say of the distance is coarse: taken by itself, it would have shoulders jump back and forth.

    Args:
        calm: pictures in which heads are mostly held as people hold them: how they do is a neck of 0. The first for
            None.
    """
    head, first = person.head, person.fits[0]
    face = FaceModel(head, person.arkit)
    points = [face.pose(fit.shape, fit.weights, derivatives=False).points for fit in person.fits]
    pivot = (head.J_regressor[_NECK] @ head.v_template).double().numpy()
    turns = [first.rotation.T @ fit.rotation for fit in person.fits]
    sways = [np.zeros(3) for _ in person.fits]
    for round_ in range(_ROUNDS):
        for k, (own, picture, lens) in enumerate(zip(points, pictures, lenses, strict=True)):
            if k or round_:
                turns[k], sways[k] = _settled(own - pivot, pivot, first, picture, lens, turns[k], sways[k])
        if round_ < _ROUNDS - 1:
            usual = np.median(sways, 0)
            sways = [sway - usual for sway in sways]
            first = replace(first, translation=first.translation + first.rotation @ usual)
            pivot = pivot + _shift_of_pivot(turns, sways)
    held = Rotation.from_matrix(turns[0])
    if calm is not None:
        held = Rotation.from_rotvec(
            np.median([Rotation.from_matrix(turns[k]).as_rotvec() for k in np.flatnonzero(calm)], 0)
        )
    usual_turn = held.as_matrix()
    turned = first.rotation @ usual_turn
    first = replace(first, rotation=turned, translation=first.translation + (first.rotation - turned) @ pivot)
    turns, sways = [usual_turn.T @ turn for turn in turns], [usual_turn.T @ sway for sway in sways]
    moved = replace(person, head=_turning_about(head, pivot))
    poses = [
        pose_of(person.arkit, fit).replace(neck_pose=Rotation.from_matrix(turn).as_rotvec(), transl=sway)
        for fit, turn, sway in zip(person.fits, turns, sways, strict=True)
    ]
    return StillBody(moved, first, tuple(poses))


def _settled(
    arms: Float[np.ndarray, "468 3"],
    pivot: Float[np.ndarray, "3"],
    camera: FaceFit,
    picture: FaceLandmarks,
    lens: Intrinsics,
    turn: Float[np.ndarray, "3 3"],
    sway: Float[np.ndarray, "3"],
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """Turn and sway that show points (from the pivot) where the landmarks are: Gauss-Newton."""
    wanted = (picture.points[:, :2] - [lens.x, lens.y]) / lens.focal
    weight = np.full(len(arms), 1 / _SIGMA_M / np.sqrt(len(arms) / 40))
    weight[OVAL] *= 0.3
    for _ in range(_STEPS):
        turned = arms @ turn.T
        seen = (turned + pivot + sway) @ camera.rotation.T + camera.translation
        ray = seen[:, :2] / seen[:, 2:]
        by = np.zeros((len(arms), 3, 6))
        x, y, z = turned.T
        by[:, 0, 1], by[:, 0, 2], by[:, 1, 0] = z, -y, -z
        by[:, 1, 2], by[:, 2, 0], by[:, 2, 1] = x, y, -x
        by[:, [0, 1, 2], [3, 4, 5]] = 1
        by = np.einsum("ab,nbk->nak", camera.rotation, by)
        slopes = ((by[:, :2] - ray[:, :, None] * by[:, 2:]) * weight[:, None, None]).reshape(-1, 6)
        error = ((wanted - ray) * seen[:, 2:] * weight[:, None]).ravel()
        gram, right = slopes.T @ slopes, slopes.T @ error
        gram[[3, 4, 5], [3, 4, 5]] += 1 / _SWAY_M**2
        right[3:] -= sway / _SWAY_M**2
        step = np.linalg.solve(gram, right)
        turn = Rotation.from_rotvec(step[:3]).as_matrix() @ turn
        sway = sway + step[3:]
    return turn, sway


def _shift_of_pivot(
    turns: Sequence[Float[np.ndarray, "3 3"]], sways: Sequence[Float[np.ndarray, "3"]]
) -> Float64[np.ndarray, "3"]:
    """Where heads really turn: what sways with the turn of the head is no sway."""
    slopes = np.concatenate([np.eye(3) - turn for turn in turns])
    gram = slopes.T @ slopes + np.eye(3) * (_SWAY_M / _PIVOT_M) ** 2
    return np.linalg.solve(gram, slopes.T @ np.concatenate(sways))


def _turning_about(head: HeadModel, pivot: Float[np.ndarray, "3"]) -> HeadModel:
    """The head with its neck's joint at another place: the least change of the joint's weights that does it."""
    rest = head.v_template.double().numpy()
    missing = pivot - (head.J_regressor[_NECK].double().numpy() @ rest)
    terms = np.c_[np.ones(len(rest)), rest]
    change = terms @ np.linalg.solve(terms.T @ terms, np.r_[0.0, missing])
    regressor = head.J_regressor.clone()
    regressor[_NECK] += torch.from_numpy(change).to(regressor)
    return replace(head, J_regressor=regressor)
