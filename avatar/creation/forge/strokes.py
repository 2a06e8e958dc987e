"""Strokes on a face: smooth displacements along curves and around points, placed by its landmarks.

Metres, head's frame; arrays in the head's numbering. Both halves of a face are worked on at once, in coordinates folded
at the midline, in which x is outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from avatar.creation.forge.mesh import triangulate, vertex_normals
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.regions import Landmarks

__all__ = ["MM", "Strokes"]

MM = 1e-3
_NEAR, _BLUR_M = 16, 0.0015


class Strokes:
    """A symmetric face in work: its landmarks, and strokes that add up until they are taken.

    Attributes:
        vertices: the head.
        skin: which of its vertices are skin.
        points: the skin, its right half folded on the left.
        folds: how deep the folds are that `crease` makes.
    """

    def __init__(
        self,
        vertices: Float[np.ndarray, "v 3"],
        eye: Float[np.ndarray, " 3"],
        marks: Landmarks,
        quads: Int[np.ndarray, "q 4"],
        skin: Int[np.ndarray, " s"],
        folds: float = 1.0,
    ) -> None:
        self.vertices, self.eye, self.marks = vertices.copy(), eye, marks
        self.skin, self._triangles = skin, triangulate(quads)
        self.folds = folds
        self._push = np.zeros(len(skin))
        self._shift = np.zeros((len(skin), 3))
        self._look()

    def _look(self) -> None:
        """See the head as it is now."""
        p = self.vertices[self.skin]
        self.points = np.column_stack([np.abs(p[:, 0]), p[:, 1:]])
        self._normals = vertex_normals(self.vertices, self._triangles)[self.skin]
        self._front = self.points[self._normals[:, 2] > -0.15]
        self._front_tree = cKDTree(self._front[:, :2])

    def mark(self, name: str) -> np.ndarray:
        """A point on the midline."""
        return self.vertices[self.marks.profile[name]]

    @cached_property
    def inner(self) -> np.ndarray:
        """Inner corner of the eye."""
        return self.vertices[self.marks.eye.halves(self.vertices, self.marks.eye.margin)[0][0]]

    @cached_property
    def outer(self) -> np.ndarray:
        """Outer corner of the eye."""
        return self.vertices[self.marks.eye.halves(self.vertices, self.marks.eye.margin)[0][-1]]

    @property
    def corner(self) -> np.ndarray:
        """Corner of the mouth."""
        mouth = self.marks.mouth
        return self.vertices[mouth.rings[mouth.contact][mouth.corner(self.vertices, mouth.contact)]]

    @property
    def wing(self) -> np.ndarray:
        """Outermost point of the wing of the nose, where it meets the cheek."""
        return self.vertices[self.marks.wing]

    def jaw(self) -> np.ndarray:
        """The edge of the jaw from its angle to the chin: the outline of the face seen from the front."""
        p = self.points
        outline = []
        for y in np.linspace(self.corner[1] - 0.004, self.mark("gnathion")[1] + 0.003, 9):
            near = p[(np.abs(p[:, 1] - y) < 0.005) & (p[:, 2] > -0.022)]
            outline.append(near[near[:, 0].argmax()])
        points = np.array([*outline, self.mark("gnathion")])
        return CubicSpline(np.linspace(0, 1, len(points)), points)(np.linspace(0, 1, 60))

    def on(self, x: float, y: float) -> np.ndarray:
        """The point of the skin in front at (x, y)."""
        return self._raised(np.array([[x, y]]))[0]

    def curve(self, points: Sequence[tuple[float, float]], count: int = 60) -> np.ndarray:
        """A smooth curve over the skin through points given by (x, y)."""
        xy = CubicSpline(np.linspace(0, 1, len(points)), np.array(points))(np.linspace(0, 1, count))
        return self._raised(np.maximum(xy, [0.0, -np.inf]))

    def _raised(self, xy: np.ndarray) -> np.ndarray:
        """Points of the skin in front at (x, y), smoothed over a few millimetres."""
        distance, index = self._front_tree.query(xy, k=_NEAR)
        z = self._front[index, 2]
        weight = np.exp(-0.5 * (distance / _BLUR_M) ** 2) + 1e-12
        weight *= z > np.where(distance < 0.005, z, -1.0).max(1, keepdims=True) - 0.008
        return np.column_stack([xy, (weight * z).sum(1) / weight.sum(1)])

    def spot(self, centre: np.ndarray, radii_mm: tuple[float, float, float], mm: float) -> None:
        """Raise the skin around a point along its normal."""
        d = (self.points - centre) / (np.array(radii_mm) * MM)
        self._push += mm * MM * np.exp(-0.5 * (d**2).sum(1))

    def move(self, centre: np.ndarray, radii_mm: tuple[float, float, float], mm: Sequence[float]) -> None:
        """Move the skin around a point; x is outwards on both sides."""
        d = (self.points - centre) / (np.array(radii_mm) * MM)
        self.displace(np.exp(-0.5 * (d**2).sum(1))[:, None] * np.array(mm) * MM)

    def displace(self, shift: np.ndarray) -> None:
        """Move the skin; x is outwards on both sides."""
        side = np.sign(self.vertices[self.skin, 0])
        self._shift += shift * np.column_stack([side, np.ones((len(side), 2))])

    def stroke(
        self,
        curve: np.ndarray,
        width_mm: float,
        mm: float,
        ends: tuple[float, float] = (0.15, 0.15),
        aside: float = 0.0,
    ) -> None:
        """Raise the skin along a curve, fading over a part of its length at both ends.

        Args:
            width_mm: standard deviation across.
            aside: centre of the stroke beside the curve, millimetres; positive to the right of its direction, seen
                from the front.
        """
        distance, index = cKDTree(curve).query(self.points)
        t = index / (len(curve) - 1)
        along = np.gradient(curve, axis=0)[index]
        offset = self.points - curve[index]
        right = np.sign(along[:, 1] * offset[:, 0] - along[:, 0] * offset[:, 1])
        across = (distance * np.where(aside == 0, 1.0, right) - aside * MM) / (width_mm * MM)
        fade = smoothstep(t, 0.0, max(ends[0], 1e-6)) * (1 - smoothstep(t, 1 - max(ends[1], 1e-6), 1.0))
        self._push += mm * MM * np.exp(-0.5 * across**2) * fade

    def crease(
        self,
        curve: np.ndarray,
        width_mm: float,
        mm: float,
        ends: tuple[float, float] = (0.15, 0.15),
        aside: float = 0.0,
    ) -> None:
        """A stroke of a fold: as deep as this face folds."""
        self.stroke(curve, width_mm, mm * self.folds, ends, aside)

    def taken(self) -> Float[np.ndarray, "v 3"]:
        """What the strokes made so far do to the head; the next ones begin anew."""
        out = np.zeros_like(self.vertices)
        out[self.skin] = self._shift + self._normals * self._push[:, None]
        self._push[:] = 0
        self._shift[:] = 0
        return out

    def replace(self, vertices: np.ndarray) -> None:
        """Go on with another head of the same topology."""
        self.vertices = vertices
        self._look()

    def settle(self) -> None:
        """Apply the strokes made so far."""
        self.replace(self.vertices + self.taken())
