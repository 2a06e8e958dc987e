"""One person's face over time: pictures in, ARKit weights and the head's turn out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from PIL import Image
from scipy.spatial.transform import Rotation

from avatar.flame.arkit import ArkitMap
from avatar.flame.params import FlameParams
from avatar.tracking.driving import DrivingModel, FaceFeatures
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks

__all__ = ["FaceTracker", "Rest", "TrackedFace"]

_FLIP = np.diag([1.0, -1.0, -1.0])
_METRES_PER_EYES = 0.062
_MAX_SHIFT_M = 0.06
_STEADY = 0.25
"""The share of pictures, those with the mouth most nearly closed, that a rest is taken from."""


@dataclass(frozen=True, eq=False)
class Rest:
    """A face at rest, looking ahead: what everything else is measured against."""

    values: Float64[np.ndarray, " n"]
    rotation: Float64[np.ndarray, "3 3"]
    centre: Float64[np.ndarray, "2"]
    """Between the eyes, in units of the distance between them."""

    @classmethod
    def of(cls, seen: Sequence[tuple[FaceLandmarks, FaceFeatures]]) -> Rest:
        """From pictures in which the face is at rest most of the time, or at least now and then: the quarter of them
        with the mouth most nearly closed; what differs among these (blinks) goes by the median.

        Raises:
            ValueError: if there is none.
        """
        if not seen:
            raise ValueError("a rest needs at least one picture of the face")
        gap = np.array([np.linalg.norm(f.values[3 * 13 : 3 * 13 + 2] - f.values[3 * 14 : 3 * 14 + 2]) for _, f in seen])
        still = np.argsort(gap)[: max(3, int(len(seen) * _STEADY))]
        chosen = [seen[i] for i in still]
        mean = Rotation.from_matrix(np.array([f.rotation for _, f in chosen])).mean().as_matrix()
        return cls(
            np.median([f.values for _, f in chosen], 0),
            mean,
            np.median([_centre(landmarks) for landmarks, _ in chosen], 0),
        )


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """What a face does in one picture."""

    weights: Float32[np.ndarray, "52"]
    neck: Float32[np.ndarray, "3"]
    """The head's turn from its rest, axis-angle in radians (+y up, +x the subject's left)."""
    transl: Float32[np.ndarray, "3"]
    """How far the head is from where it rests, metres."""
    landmarks: FaceLandmarks

    def params(self, arkit: ArkitMap, stream_time_s: float = 0.0) -> FlameParams:
        """The pose of a head."""
        return arkit.params(self.weights, stream_time_s=stream_time_s).replace(neck_pose=self.neck, transl=self.transl)


class FaceTracker:
    """Follows the largest face. Until `rest` is set, the first face seen counts as at rest. For one thread."""

    def __init__(self, landmarker: FaceLandmarker | None = None, model: DrivingModel | None = None) -> None:
        """Raises:
        UserError: if LiteRT or the models cannot be had.
        """
        self._landmarker = FaceLandmarker() if landmarker is None else landmarker
        self._model = DrivingModel.shipped() if model is None else model
        self.rest: Rest | None = None

    def see(self, picture: Image.Image) -> tuple[FaceLandmarks, FaceFeatures] | None:
        """The face and its features; None if there is no face."""
        landmarks = self._landmarker.follow(picture)
        return None if landmarks is None else (landmarks, self._model.features(landmarks))

    def track(self, picture: Image.Image) -> TrackedFace | None:
        """What the face does; None if there is none."""
        seen = self.see(picture)
        return None if seen is None else self.interpret(*seen)

    def interpret(self, landmarks: FaceLandmarks, face: FaceFeatures) -> TrackedFace:
        """What a face that was seen does."""
        rest = self.rest
        if rest is None:
            rest = self.rest = Rest.of([(landmarks, face)])
        turn = _FLIP @ self._model.turn(face, rest.values, rest.rotation) @ _FLIP
        shift = np.zeros(3)
        shift[:2] = (_centre(landmarks) - rest.centre) * _METRES_PER_EYES * [1, -1]
        return TrackedFace(
            self._model.weights(face, rest.values),
            Rotation.from_matrix(turn).as_rotvec().astype(np.float32),
            shift.clip(-_MAX_SHIFT_M, _MAX_SHIFT_M).astype(np.float32),
            landmarks,
        )


def _centre(landmarks: FaceLandmarks) -> Float[np.ndarray, "2"]:
    return landmarks.irises[:, 0].mean(0) / max(landmarks.eye_distance, 1e-6)
