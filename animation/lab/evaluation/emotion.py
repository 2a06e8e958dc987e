"""How an emotion shows on a face: what moves, how far, and whether one can be told from another.

Movements are taken between points of the skin that the face tracker knows too, so that heads of any mesh are measured
alike. A linear classifier says how well the emotions can be told apart; it learns on some people and is asked about
others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from animation.expression.emotions import EMOTIONS

__all__ = [
    "NORMS",
    "NORM_SOURCE",
    "REGIONS",
    "LinearClassifier",
    "Norm",
    "against_norms",
    "confusion",
    "displacements_mm",
    "strength",
]


@dataclass(frozen=True)
class Norm:
    """How far a region goes in people who do it as strongly as they can; millimetres."""

    emotion: str
    region: str
    mean_mm: float
    least_mm: float
    most_mm: float


NORM_SOURCE = (
    "Jorge et al., Objective computorized evaluation of normal patterns of facial muscles contraction, Braz J "
    "Otorhinolaryngol 78(2), 2012: 12 people, Vicon, rest to maximum contraction, mean -+ one standard deviation"
)
NORMS = (
    Norm("happy", "mouth corners", 9.28, 6.45, 12.11),
    Norm("surprised", "brows", 10.57, 6.0, 13.08),
    Norm("angry", "inner brows", 7.56, 4.26, 10.85),
)

_INNER_BROWS, _OUTER_BROWS = (55, 107, 285, 336), (46, 70, 276, 300)
REGIONS: dict[str, tuple[int, ...]] = {
    "inner brows": _INNER_BROWS,
    "outer brows": _OUTER_BROWS,
    "brows": (*_INNER_BROWS, *_OUTER_BROWS, 105, 334),
    "upper lids": (159, 386),
    "lower lids": (145, 374),
    "cheeks": (50, 205, 280, 425),
    "nostrils": (129, 358),
    "mouth corners": (61, 291),
    "upper lip": (37, 0, 267),
    "lower lip": (84, 17, 314),
    "chin": (200, 199),
}
"""Points of the face mesh that stand for a region."""


def displacements_mm(
    rest: Float[np.ndarray, "468 3"], face: Float[np.ndarray, "*batch 468 3"]
) -> dict[str, Float[np.ndarray, "*batch"]]:
    """How far each region has moved from rest: the mean over its points.

    Args:
        rest, face: landmarks of an upright head, metres.
    """
    moved = 1e3 * np.linalg.norm(face - rest, axis=-1)
    return {name: moved[..., list(points)].mean(-1) for name, points in REGIONS.items()}


def strength(rest: Float[np.ndarray, "468 3"], face: Float[np.ndarray, "*batch 468 3"]) -> Float[np.ndarray, "*batch"]:
    """How strong an expression looks: the root mean square over the regions' displacements, millimetres."""
    return np.sqrt(np.mean([d**2 for d in displacements_mm(rest, face).values()], axis=0))


class LinearClassifier:
    """Linear discriminant analysis: the class whose mean is nearest, as the scatter within classes measures distances.

    How talk, heads and people differ under one emotion is in that scatter, and counts for less than what tells
    emotions apart. A class may have several kinds, each with a mean of its own: the scatter is that within kinds, a
    face is of the class of its nearest kind. Otherwise what a weak and a strong showing of one emotion differ by, which
    is what the emotion itself moves, would count as noise. Classes weigh the same.

    References: Friedman, "Regularized discriminant analysis", 1989; Zhu and Martinez, "Subclass discriminant analysis",
    2006.
    """

    def __init__(
        self,
        features: Float[np.ndarray, "n f"],
        classes: Int[np.ndarray, " n"],
        kinds: Int[np.ndarray, " n"] | None = None,
        shrinkage: float = 0.6,
    ) -> None:
        """
        Args:
            features: of the faces to learn from.
            classes: numbers of their emotions in `EMOTIONS`; those that no face shows are never named.
            kinds: which faces of a class are alike, as numbers; all if not given.
            shrinkage: how far the scatter goes towards an even one of the same size, above 0 to 1.
        """
        parts = np.stack([classes, np.zeros_like(classes) if kinds is None else kinds])
        (self._class_of, _), number = np.unique(parts, axis=1, return_inverse=True)
        number = number.ravel()
        means = np.stack([features[number == k].mean(0) for k in range(len(self._class_of))])
        within = features - means[number]
        scatter, even = within * np.sqrt((1 - shrinkage) / len(features)), shrinkage * (within**2).mean()
        # In the space of the examples, of which there are fewer than features.
        gram = scatter @ scatter.T + even * np.eye(len(features))
        self._map = (means.T - scatter.T @ np.linalg.solve(gram, scatter @ means.T)) / even
        self._bias = -0.5 * (means.T * self._map).sum(0)

    def __call__(self, features: Float[np.ndarray, "*batch f"]) -> Int[np.ndarray, "*batch"]:
        """The emotion that each face shows most."""
        return self._class_of[(features @ self._map + self._bias).argmax(-1)]


def confusion(shown: Int[np.ndarray, " n"], named: Int[np.ndarray, " n"]) -> Float[np.ndarray, "e e"]:
    """Share of the faces that show emotion i and are named emotion j; rows sum to 1, or to 0 where there are none."""
    table = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    np.add.at(table, (shown, named), 1.0)
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def against_norms(displaced: Mapping[str, Mapping[str, float]]) -> list[dict[str, object]]:
    """Displacements at full intensity beside the norms.

    Args:
        displaced: emotion -> region -> millimetres.
    """
    return [
        {
            "emotion": norm.emotion,
            "region": norm.region,
            "mm": round(displaced[norm.emotion][norm.region], 2),
            "norm_mm": [norm.least_mm, norm.mean_mm, norm.most_mm],
        }
        for norm in NORMS
    ]
