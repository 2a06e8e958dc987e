"""What every style shares: bundles of hairs, where they grow, locks within locks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.groom import curves as cv
from avatar.creation.forge.groom.scalp import Scalp
from avatar.creation.forge.hair_recipe import HairRecipe, hairline_m
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["Bundle", "density", "gathered", "height", "streaks"]


@dataclass(frozen=True, eq=False)
class Bundle:
    """Hairs of one kind.

    Attributes:
        name: "hair", "stray", "baby", ...
        curves: metres, root first.
        radius_m: of each at its thickest.
        taper: how much of that is gone at the tip, 0..1.
        tone: how much darker (above 0) or lighter than the others each is, about -1..1.
    """

    name: str
    curves: Float[np.ndarray, "n k 3"]
    radius_m: Float[np.ndarray, " n"]
    taper: float = 0.7
    tone: Float[np.ndarray, " n"] | float = 0.0


def density(scalp: Scalp, recipe: HairRecipe, seed: int, soft_m: float = 0.006) -> Float[np.ndarray, " v"]:
    """How thickly hair grows at the vertices of a scalp, 0..1; it thins out over `soft_m` along its edge."""
    edge = hairline_m(scalp.surface.vertices, scalp.marks, recipe, seed)
    return smoothstep(edge, -0.0020, soft_m)


def height(p: Float[np.ndarray, "n 3"], scalp: Scalp) -> Float[np.ndarray, " n"]:
    """0 at the eyes .. 1 at the crown."""
    marks = scalp.marks
    return (p[:, 1] - marks.eye[1]) / (marks.crown[1] - marks.eye[1])


def gathered(
    hair: np.ndarray,
    family: np.ndarray,
    rng: np.random.Generator,
    locks: tuple[int, int],
    pull: tuple[float, float],
) -> np.ndarray:
    """Wide locks, and thin ones within them."""
    k = hair.shape[1]
    t = cv.along(k)[..., 0]
    for count, most in zip(locks[::-1], pull[::-1], strict=True):
        features = np.concatenate([hair[:, 0], hair[:, k // 3], 0.6 * hair[:, 2 * k // 3]], 1)
        middle = cv.locks_of(features, count, rng, family)
        own = rng.uniform(0.5, 1.0, len(hair))[middle][:, None] * rng.uniform(0.55, 1.0, (len(hair), 1))
        hair = cv.clumped(hair, middle, most * own * smoothstep(t, 0.03, 0.40))
    return hair


def streaks(roots: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, " n"]:
    """A tone for each hair that it shares with its neighbours: locks differ by what sun and scalp gave them."""
    return 2.0 * gradient_noise(roots, 160, seed) + 1.6 * gradient_noise(roots, 480, seed + 1)
