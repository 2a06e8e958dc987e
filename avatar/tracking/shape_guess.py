"""The shape of a head from how its landmarks look from the front and from both sides.

Landmarks are no measurements: the network puts them where faces mostly have them, and each person's lie beside their
places in all pictures alike. What renders of known heads taught about three sides together is nearer to the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float16, Float32, Float64

from avatar.tracking.driving import FaceFeatures
from avatar.tracking.face_points import tables
from avatar.tracking.ridge import affine_ridge

__all__ = ["ShapeGuess"]

_SIDES_DEG = ((-45.0, -14.0), (-10.0, 10.0), (14.0, 45.0))
_COMPONENTS, _RIDGE = 400, 100.0
_HANDFULS = 4
"""Random choices of each person's pictures that are learned from: a clip shows a side in few pictures or in many."""


@dataclass(frozen=True, eq=False)
class ShapeGuess:
    """A linear map from a face at rest, seen from three sides, to shape coefficients of the generic head."""

    matrix: Float16[np.ndarray, "n s"] | Float32[np.ndarray, "n s"]
    offset: Float32[np.ndarray, " s"]

    @classmethod
    def shipped(cls) -> ShapeGuess:
        """Learned from renders of the avatars that ship.

        Raises:
            UserError: if its file is damaged.
        """
        found = tables()
        return cls(found["sides_matrix"], found["sides_offset"])

    def __call__(self, faces: Sequence[FaceFeatures]) -> Float64[np.ndarray, " s"] | None:
        """The shape; None if the faces are not seen from all three sides."""
        seen = _sides(faces)
        return None if seen is None else seen @ self.matrix.astype(np.float64) + self.offset

    def tensors(self) -> dict[str, np.ndarray]:
        """As they are stored."""
        return {"sides_matrix": self.matrix.astype(np.float16), "sides_offset": self.offset.astype(np.float32)}

    @classmethod
    def learn(
        cls, faces: Sequence[FaceFeatures], person: Sequence[int], shapes: Float[np.ndarray, "p s"]
    ) -> ShapeGuess:
        """Ridge regression on the strongest principal directions, from handfuls of each person's pictures.

        Args:
            person: whose each face is, a row of `shapes`; who is not seen from all sides is left out.
        """
        rng, inputs, wanted = np.random.default_rng(0), [], []
        own: list[list[FaceFeatures]] = [[] for _ in shapes]
        for face, number in zip(faces, person, strict=True):
            own[number].append(face)
        for pictures, shape in zip(own, shapes, strict=True):
            for _ in range(_HANDFULS):
                row = _sides(pictures, rng)
                if row is not None:
                    inputs.append(row)
                    wanted.append(shape)
        matrix, offset = affine_ridge(np.array(inputs), np.array(wanted), _COMPONENTS, _RIDGE)
        return cls(matrix.astype(np.float32), offset.astype(np.float32))


def _sides(faces: Sequence[FaceFeatures], rng: np.random.Generator | None = None) -> Float64[np.ndarray, " n"] | None:
    """What is seen from each side on average; with `rng`, of a handful drawn from there, some more than once."""
    found = []
    for low, high in _SIDES_DEG:
        within = [face.values for face in faces if low < face.turn_deg < high]
        if not within:
            return None
        if rng is not None:
            within = [within[k] for k in rng.integers(len(within), size=rng.integers(1, len(within) + 1))]
        found.append(np.mean(within, 0))
    return np.concatenate(found)
