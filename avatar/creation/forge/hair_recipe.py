"""Hair of the head: its sliders, and where it grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["HairRecipe", "hair_density", "hairline_m", "scalp_height"]


_EDGE = np.array([
    (0.0, 0.068), (0.30, 0.0675), (0.55, 0.060), (0.78, 0.043), (0.94, 0.025), (1.07, 0.004), (1.18, -0.014),
    (1.29, -0.020), (1.40, -0.008), (1.50, 0.011), (1.60, 0.014), (1.76, -0.016), (2.0, -0.040), (2.2, -0.048),
    (3.15, -0.056),
])  # fmt: skip
"""The edge of the hair: angle around the skull from the front, radians, and height above the eyes, metres, where the
forehead is 68 mm high. Over the temple it falls to a point before the ear, rises over the ear and falls to the nape."""


@dataclass(frozen=True)
class HairRecipe:
    """Sliders of the hair.

    Attributes:
        style: one of `hair_styles.STYLES`.
        colour: linear RGB.
        length: factor on the style's own length.
        volume: factor on the style's own height above the scalp.
        wave: 0 straight .. 1 wavy.
        grey: share of grey strands.
        recession: 0 full hairline .. 1 bald on top.
        parting_m: sideways place of the parting; positive is the subject's left.
        strands: detail strands.
    """

    style: str = "bob"
    colour: tuple[float, float, float] = (0.055, 0.030, 0.016)
    length: float = 1.0
    volume: float = 1.0
    wave: float = 0.3
    grey: float = 0.0
    recession: float = 0.0
    parting_m: float = 0.022
    strands: int = 3000


def scalp_height(p: np.ndarray, marks: FaceMarks) -> np.ndarray:
    """Height on the head: 0 at the eyes, 1 at the crown."""
    return (p[:, 1] - marks.eye[1]) / (marks.crown[1] - marks.eye[1])


def _azimuth(p: np.ndarray, marks: FaceMarks) -> np.ndarray:
    """Angle around the skull, 0 in front .. pi at the back, about an axis between the ears."""
    return np.arctan2(np.abs(p[:, 0]), p[:, 2] - marks.ear[2] + 0.010)


def hairline_m(points: np.ndarray, marks: FaceMarks, recipe: HairRecipe, seed: int) -> Float[np.ndarray, " n"]:
    """How far points of the scalp lie behind the uneven edge of the hair, metres; negative on bare skin."""
    az = _azimuth(points, marks)
    size = (marks.hairline_y - marks.eye[1]) / 0.068
    y = marks.eye[1] + np.interp(az, *_EDGE.T) * size
    corner = np.exp(-0.5 * ((az - 0.62) / 0.20) ** 2)
    y = y + recipe.recession * (0.030 * np.exp(-0.5 * (az / 0.5) ** 2) + 0.045 * corner + 0.02 * (az < 1.1))
    y = y + 0.0045 * gradient_noise(points, 75, seed) + 0.0030 * gradient_noise(points, 240, seed + 1)
    return points[:, 1] - y


def hair_density(points: np.ndarray, marks: FaceMarks, recipe: HairRecipe, seed: int) -> Float[np.ndarray, " n"]:
    """How thickly hair grows at points of the scalp, 0..1, with an uneven edge that thins out."""
    if recipe.style == "none":
        return np.zeros(len(points))
    density = smoothstep(hairline_m(points, marks, recipe, seed), -0.0035, 0.0090)
    if recipe.recession > 0:
        top = smoothstep(scalp_height(points, marks), 0.72, 0.92) * smoothstep(-points[:, 2], -0.06, 0.10)
        density = density * (1 - np.clip(1.5 * recipe.recession, 0, 1) * top)
    return density
