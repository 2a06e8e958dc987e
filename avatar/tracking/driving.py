"""Landmarks -> ARKit weights, by what our own renders teach about the landmarker.

The network answers to a brow or a lid in its own way: less than the brow moves, and with other points too. A map
learned on faces whose weights are known sees through that better than fitting the face's geometry does (median r .44
against .28 in a trial, with a linear map), and takes less than a millisecond. It compares a face with the same face at
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.spatial.transform import Rotation

from avatar.tracking.alignment import align
from avatar.tracking.face_points import tables
from avatar.tracking.kernel_map import KernelMap
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.ridge import affine_ridge, ridge
from avatar.tracking.topology import BROWS, COUNT, EYE_RINGS, LIDS, LIPS_INNER, LIPS_OUTER, STILL

__all__ = ["DrivingModel", "FaceFeatures", "canonical_places", "features"]

_FLIP = np.array([1.0, -1.0, -1.0])
"""The head's axes (y up, z forward) to the picture's (y down, z away)."""
_TURN_SCALE = 200.0
"""Radians beside millimetres."""


@dataclass(frozen=True, eq=False)
class FaceFeatures:
    """A face without its size, place and turn."""

    values: Float64[np.ndarray, " n"]
    """Millimetres on a face of average size."""
    rotation: Float64[np.ndarray, "3 3"]
    """Of the head, from its own axes to the camera's (OpenCV's)."""

    @property
    def turn_deg(self) -> float:
        """How far the head is turned to the side, degrees; 0 towards the camera."""
        return float(np.degrees(np.arctan2(self.rotation[0, 2], -self.rotation[2, 2])))

    @property
    def nod_deg(self) -> float:
        """How far the head is turned up or down, degrees."""
        return float(np.degrees(np.arcsin(np.clip(self.rotation[1, 2], -1, 1))))


def canonical_places(places: Float[np.ndarray, "468 3"]) -> Float64[np.ndarray, "468 3"]:
    """Landmarks on the head, in the picture's axes."""
    return places * _FLIP


def features(landmarks: FaceLandmarks, canonical: Float[np.ndarray, "468 3"]) -> FaceFeatures:
    """Landmarks as they would be seen from the front.

    Args:
        canonical: where they lie on an average face, in the picture's axes, metres.
    """
    rotation, scale, _ = align(canonical[STILL], landmarks.points[STILL])
    centre = landmarks.points[STILL].mean(0)

    def upright(points: np.ndarray) -> np.ndarray:
        return (points - centre) @ rotation * (1e3 / scale)

    mesh = upright(landmarks.points)
    gaze = []
    for iris, ring in zip(landmarks.irises, EYE_RINGS, strict=True):
        depth = landmarks.points[ring, 2].mean()
        middle = upright(np.array([[*iris[0], depth]]))[0]
        gaze.append(middle[:2] - mesh[ring[[0, 8]], :2].mean(0))
    values = np.concatenate([mesh.ravel(), *gaze])
    return FaceFeatures(values, rotation @ np.diag(_FLIP))


@dataclass(frozen=True, eq=False)
class DrivingModel:
    """From a face's difference to its rest to the 52 weights, and to the head's turn; from a face to its shape."""

    canonical: Float64[np.ndarray, "468 3"]
    driving: KernelMap
    turn_of_turn: Float32[np.ndarray, "3 3"]
    turn_of_face: Float32[np.ndarray, "n 3"]
    """From the landmarks' own turn and from their changes to the head's: the network's depth is too flat, and a smile
    looks like a turn to it."""
    shape_matrix: Float32[np.ndarray, "n s"]
    shape_offset: Float32[np.ndarray, " s"]
    """From the features themselves to the shape of the generic head."""

    @classmethod
    def shipped(cls) -> DrivingModel:
        """Learned from renders of the avatars that ship.

        Raises:
            UserError: if its file is damaged.
        """
        found = tables()
        return cls(
            found["canonical"].astype(np.float64),
            KernelMap.of(found),
            *(found[name] for name in ("turn_of_turn", "turn_of_face", "shape_matrix", "shape_offset")),
        )

    def features(self, landmarks: FaceLandmarks) -> FaceFeatures:
        """See `features`."""
        return features(landmarks, self.canonical)

    def weights(self, face: FaceFeatures, rest: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "52"]:
        """The weights of a face.

        Args:
            rest: the features' values of the same person at rest.
        """
        return np.clip(self.driving(face.values - rest), 0.0, 1.0)

    def turn(
        self, face: FaceFeatures, rest: Float[np.ndarray, " n"], rest_rotation: Float[np.ndarray, "3 3"]
    ) -> Float64[np.ndarray, "3 3"]:
        """How the head has turned from its rest, in the camera's axes."""
        turned = Rotation.from_matrix(face.rotation @ rest_rotation.T).as_rotvec()
        return Rotation.from_rotvec(turned @ self.turn_of_turn + (face.values - rest) @ self.turn_of_face).as_matrix()

    def shape(self, faces: Sequence[FaceFeatures]) -> Float64[np.ndarray, " s"]:
        """Shape coefficients of the generic head, from pictures of a person at rest."""
        values = np.mean([face.values for face in faces], 0)
        return np.asarray(values @ self.shape_matrix + self.shape_offset, np.float64)

    @classmethod
    def learn(
        cls,
        canonical: Float[np.ndarray, "468 3"],
        seen: Sequence[FaceFeatures],
        weights: Float[np.ndarray, "t 52"],
        rest_of: Sequence[tuple[Float[np.ndarray, " n"], Float[np.ndarray, "3 3"]]],
        turns: Float[np.ndarray, "t 3 3"],
        shapes: Float[np.ndarray, "t s"],
    ) -> DrivingModel:
        """Kernel ridge regression for weights, ridge regressions on principal components for the others. Weights and
        turns go through the origin: a face at rest does nothing.

        Args:
            weights, turns, shapes: the truth for each picture.
            rest_of: the same person's features and rotation at rest, for each picture.
        """
        values = np.array([face.values for face in seen])
        changes = values - np.array([rest for rest, _ in rest_of])
        driving = KernelMap.learn(changes, weights, _emphasis(values.shape[1]))
        turned = [face.rotation @ rotation.T for face, (_, rotation) in zip(seen, rest_of, strict=True)]
        own = Rotation.from_matrix(np.array(turned)).as_rotvec() * _TURN_SCALE
        both = np.c_[own, changes]
        turn = ridge(both, Rotation.from_matrix(turns).as_rotvec(), 63, 100.0)
        still = ~weights.any(1)  # expressions only blur what a face at rest says of its shape
        shape, offset = affine_ridge(values[still], shapes[still], 60, 30.0)
        return cls(
            canonical,
            driving,
            (_TURN_SCALE * turn[:3]).astype(np.float32),
            turn[3:].astype(np.float32),
            shape.astype(np.float32),
            offset.astype(np.float32),
        )


def _emphasis(count: int) -> Float64[np.ndarray, " n"]:
    """How much each feature counts among the principal components: where faces speak, more."""
    points = np.ones((COUNT, 3))
    points[:, 2] = 0.5
    for group, factor in ((LIDS, 3.0), (LIPS_INNER, 1.5), (LIPS_OUTER, 1.5), (BROWS, 1.5)):
        points[group] *= factor
    return np.concatenate([points.ravel(), np.full(count - 3 * COUNT, 4.0)])
