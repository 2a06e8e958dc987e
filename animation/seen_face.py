"""A real face, as a camera saw it, joined with what the voice drives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float32

from animation.face import DrivenFace
from avatar.flame.arkit import NAMES, indices
from avatar.flame.params import FlameParams

__all__ = ["FACE_SOURCES", "FaceFrom", "SeenFace", "follow_face"]

FaceFrom = Literal["voice", "webcam", "both"]
FACE_SOURCES: tuple[FaceFrom, ...] = ("voice", "webcam", "both")
"""What moves the face: the voice alone; the camera alone; or the lips by the voice and the rest by the camera."""

_SEEN = np.array([k for k, n in enumerate(NAMES) if n.startswith(("brow", "eye", "cheekSquint", "noseSneer"))])
_SMILE = indices("mouthSmileLeft", "mouthSmileRight")
_TOUCHING_MM = 0.3


def _zeros(count: int) -> Float32[np.ndarray, " n"]:
    return np.zeros(count, np.float32)


@dataclass(frozen=True, eq=False)
class SeenFace:
    """What a face does at a moment."""

    weights: Float32[np.ndarray, "52"]
    neck: Float32[np.ndarray, "3"] = field(default_factory=lambda: _zeros(3))
    """The head's turn, axis-angle, radians."""
    transl: Float32[np.ndarray, "3"] = field(default_factory=lambda: _zeros(3))
    """Metres from where it rests."""
    presence: float = 1.0
    """0..1: fades when the face is lost, and in when it is found."""


def follow_face(pose: FlameParams, seen: SeenFace | None, source: FaceFrom, face: DrivenFace) -> FlameParams:
    """The pose that the voice drives, with what the camera sees put in.

    With `both`, lips and jaw stay the voice's: a smile is laid over them, and lips that met still meet. Without a face
    in sight the pose stays as it is.

    Raises:
        ValueError: if the pose does not know its weights.
    """
    if source == "voice" or seen is None or seen.presence <= 0:
        return pose
    if pose.blendshape_weights is None:
        raise ValueError("follow_face: the pose does not know its blendshape weights")
    own = pose.blendshape_weights
    if source == "webcam":
        wanted = seen.weights
    else:
        wanted = own.copy()
        wanted[_SEEN] = seen.weights[_SEEN]
        wanted[_SMILE] = np.maximum(own[_SMILE], seen.weights[_SMILE])
        if float(face.lips.opening_mm(own)) < _TOUCHING_MM <= float(face.lips.opening_mm(wanted)):
            wanted = face.lips.seal(wanted, 1.0)
    share = np.float32(seen.presence)
    weights = (own + share * (wanted - own)).astype(np.float32).clip(0, 1)
    made = face.arkit.params(weights)
    return pose.replace(
        expression=made.expression,
        jaw_pose=made.jaw_pose,
        leye_pose=made.leye_pose,
        reye_pose=made.reye_pose,
        neck_pose=pose.neck_pose + share * (seen.neck - pose.neck_pose),
        transl=pose.transl + share * (seen.transl - pose.transl),
        blendshape_weights=weights,
    )
