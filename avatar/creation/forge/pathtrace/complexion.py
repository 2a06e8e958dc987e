"""The skin's maps for the path tracer, one value per vertex of a finely divided head; its shader adds the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from avatar.creation.forge.brows import beard_density, brow_density
from avatar.creation.forge.facemarks import FaceMarks, region_mask
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.skin import SkinRecipe, creases, mirrored, skin_tone, spot

__all__ = ["skin_maps"]

_MARGIN_M = 0.0008
"""Half the width of the wet edge of a lid."""


def skin_maps(
    points: Float[np.ndarray, "n 3"],
    uv: Float[np.ndarray, "n 2"],
    marks: FaceMarks,
    recipe: AvatarRecipe,
    margins: Float[np.ndarray, "m 3"],
    scalp: Float[np.ndarray, " n"],
) -> dict[str, np.ndarray]:
    """What the material "skin" asks for.

    Args:
        points, uv: of the neutral head.
        margins: points along the edges of all four lids.
        scalp: how thickly hair grows, 0..1.
    """
    p, w = mirrored(points), marks.width
    eye, nose, mouth = marks.eye, marks.nose_tip, marks.mouth
    wing = spot(p, (0.016 * w, marks.subnasale[1] + 0.008, nose[2] - 0.014), (0.006, 0.007, 0.012))
    chin = spot(p, (0, marks.menton[1] + 0.013, mouth[2]), (0.014, 0.008, 0.03))
    bridge = spot(p, (0, nose[1] + 0.008, 0.065), (0.010, 0.022, 0.03))
    brow_ridge = spot(p, (0, marks.brow_y + 0.020, 0.05), (0.034, 0.018, 0.04))
    shadow = spot(p, (eye[0] - 0.004, eye[1] - 0.0135, eye[2] + 0.008), (0.011, 0.0045, 0.02))
    corner = spot(p, (eye[0] - 0.016, eye[1] - 0.001, eye[2] + 0.004), (0.005, 0.009, 0.02))
    maps = {
        "lips": region_mask("lips", uv),
        "lids": region_mask("eyelids", uv),
        "ears": region_mask("ears", uv),
        "inside": region_mask("inside-mouth", uv),
        "scalp": scalp,
        "brow": brow_density(points, marks, recipe.brows),
        "beard": beard_density(points, uv, marks, "short", recipe.seed),
        "crease": creases(points, marks, recipe.seed + 30) * (0.35 + 0.65 * recipe.skin.lines),
        "cheek": spot(p, (0.040 * w, nose[1] - 0.004, 0.032), (0.016, 0.014, 0.04)),
        "nose": np.clip(spot(p, nose, (0.012, 0.010, 0.02)) + wing, 0, 1),
        "tzone": np.clip(bridge + 0.7 * brow_ridge + 0.5 * chin, 0, 1),
        "socket": np.clip(shadow + 0.8 * corner, 0, 1),
        "freckle": np.clip(spot(p, (0.026 * w, nose[1] + 0.008, 0.05), (0.028, 0.016, 0.03)) + 0.25 * brow_ridge, 0, 1),
        "upper": smoothstep(points[:, 1], nose[1], marks.brow_y + 0.02) * smoothstep(points[:, 2], -0.04, 0.0),
        "wet": np.exp(-0.5 * (cKDTree(margins).query(points)[0] / _MARGIN_M) ** 2),
    }
    maps["albedo"] = _albedo(points, marks, recipe.skin, maps, recipe.seed)
    maps["lip_colour"] = _lip_colour(points, marks, recipe.skin, recipe.seed)
    return maps


def _albedo(
    points: np.ndarray, marks: FaceMarks, recipe: SkinRecipe, maps: Mapping[str, np.ndarray], seed: int
) -> np.ndarray:
    """Zones of the face: yellower forehead and neck, redder cheeks, nose, ears and chin, darker around the eyes."""
    p = mirrored(points)
    fair = 1 - np.clip(recipe.melanin, 0, 1)
    forehead = spot(p, (0, marks.hairline_y - 0.016, 0.05), (0.045, 0.022, 0.05))
    chin = spot(p, (0, marks.menton[1] + 0.012, marks.mouth[2]), (0.016, 0.009, 0.03))
    neck = smoothstep(-points[:, 1], -marks.menton[1] + 0.004, -marks.menton[1] + 0.03)
    around = spot(p, (marks.eye[0], marks.eye[1], marks.eye[2] + 0.01), (0.020, 0.013, 0.03))
    blood = (
        0.55 * maps["cheek"] + 0.60 * maps["nose"] + 0.35 * maps["ears"] + 0.22 * chin - 0.22 * forehead - 0.1 * neck
    )
    blood = blood * (0.4 + recipe.redness) + 0.16 * fbm(points, 55, seed + 2, 3)
    pigment = (
        0.10 * forehead + 0.06 * neck + 0.05 * around * (0.6 + recipe.melanin) + 0.10 * fbm(points, 40, seed + 4, 3)
    )
    tone = np.tile(skin_tone(recipe), (len(points), 1))
    tone *= np.exp(-blood[:, None] * np.array([0.02, 0.24, 0.22]) * (0.45 + 0.55 * fair))
    return tone * np.exp(-pigment[:, None] * np.array([0.30, 0.42, 0.62]))


def _lip_colour(points: np.ndarray, marks: FaceMarks, recipe: SkinRecipe, seed: int) -> np.ndarray:
    """Vermilion: the skin's own tone with the blood near, the upper lip darker, no line around it."""
    fair = 1 - np.clip(recipe.melanin, 0, 1)
    base = skin_tone(recipe) * np.array([0.88, 0.58, 0.60]) * (0.62 + 0.38 * fair) + np.array([0.050, 0.010, 0.012])
    upper = smoothstep(points[:, 1], marks.mouth[1] - 0.001, marks.mouth[1] + 0.002)
    uneven = 1 + 0.10 * fbm(points, 300, seed + 15, 2) + 0.06 * gradient_noise(points, 90, seed + 16)
    return np.clip(base * np.array(recipe.lip_tint) * (1 - 0.14 * upper[:, None]) * uneven[:, None], 0.004, 0.9)
