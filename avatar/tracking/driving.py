"""Landmarks -> ARKit weights, by what our own renders teach about the landmarker.

The network answers to a brow or a lid in its own way: less than the brow moves, and with other points too. A linear map
learned on faces whose weights are known sees through that better than fitting the face's geometry does (median r .44
against .28 in a trial), and takes microseconds. It compares a face with the same face at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from avatar.tracking.face_points import tables
from avatar.tracking.fit import align
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import BROWS, COUNT, EYE_RINGS, LIDS, LIPS_INNER, LIPS_OUTER, STILL

__all__ = ["DrivingModel", "FaceFeatures", "canonical_places", "features"]

_FLIP = np.array([1.0, -1.0, -1.0])
"""The head's axes (y up, z forward) to the picture's (y down, z away)."""


@dataclass(frozen=True, eq=False)
class FaceFeatures:
    """A face without its size, place and turn."""

    values: Float64[np.ndarray, " n"]
    """Millimetres on a face of average size."""
    rotation: Float64[np.ndarray, "3 3"]
    """Of the head, from its own axes to the camera's (OpenCV's)."""


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
    """A linear map from a face's difference to its rest to the 52 weights."""

    canonical: Float64[np.ndarray, "468 3"]
    matrix: Float32[np.ndarray, "n 52"]

    @classmethod
    def shipped(cls) -> DrivingModel:
        """Learned from renders of the avatars that ship.

        Raises:
            UserError: if its file is damaged.
        """
        found = tables()
        return cls(found["canonical"].astype(np.float64), found["driving_matrix"].astype(np.float32))

    def features(self, landmarks: FaceLandmarks) -> FaceFeatures:
        """See `features`."""
        return features(landmarks, self.canonical)

    def weights(self, face: FaceFeatures, rest: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "52"]:
        """The weights of a face.

        Args:
            rest: the features' values of the same person at rest.
        """
        raw = (face.values - rest) @ self.matrix
        return np.clip(raw, 0.0, 1.0).astype(np.float32)

    @classmethod
    def learn(
        cls,
        canonical: Float[np.ndarray, "468 3"],
        changes: Float[np.ndarray, "t n"],
        weights: Float[np.ndarray, "t 52"],
        components: int = 140,
        ridge: float = 3.0,
    ) -> DrivingModel:
        """Ridge regression on principal components, through the origin: a face at rest does nothing.

        Args:
            changes: features minus those of the same person at rest.
            weights: the truth.
        """
        emphasis = _emphasis(changes.shape[1])
        scaled = changes * emphasis
        _, axes = np.linalg.eigh(scaled.T @ scaled)
        axes = axes[:, ::-1][:, :components]
        inputs = scaled @ axes
        solved = np.linalg.solve(inputs.T @ inputs + ridge * np.eye(inputs.shape[1]), inputs.T @ weights)
        return cls(canonical, (emphasis[:, None] * (axes @ solved)).astype(np.float32))


def _emphasis(count: int) -> Float64[np.ndarray, " n"]:
    """How much each feature counts among the principal components: where faces speak, more."""
    points = np.ones((COUNT, 3))
    points[:, 2] = 0.5
    for group, factor in ((LIDS, 3.0), (LIPS_INNER, 1.5), (LIPS_OUTER, 1.5), (BROWS, 1.5)):
        points[group] *= factor
    return np.concatenate([points.ravel(), np.full(count - 3 * COUNT, 4.0)])
