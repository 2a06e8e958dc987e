"""Where the features of a face are: everything that is painted or grown on a head is placed relative to these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import gaussian_filter

from avatar.creation.forge.makehuman import data_dir
from avatar.creation.forge.surface import SkinSurface

__all__ = ["FaceMarks", "region_mask"]


_SOFT_TEXELS = 1.2
"""The masks are as coarse as 1.3 mm a texel on the lips: smooth away the steps."""


@lru_cache(maxsize=8)
def _texture(name: str) -> np.ndarray:
    image = Image.open(data_dir() / "mpfb2/textures" / f"mpfb_{name}.jpg").convert("L")
    return gaussian_filter(np.asarray(image, np.float32) / 255, _SOFT_TEXELS)


def region_mask(name: str, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """A region of the skin, 0..1, bilinear: 'lips', 'eyelids', 'ears', 'inside-mouth' or 'face'."""
    texture = _texture(name)
    height, width = texture.shape
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    ix, iy = x.astype(int), y.astype(int)
    fx, fy = x - ix, y - iy
    above = texture[iy, ix] * (1 - fx) + texture[iy, ix + 1] * fx
    below = texture[iy + 1, ix] * (1 - fx) + texture[iy + 1, ix + 1] * fx
    return above * (1 - fy) + below * fy


@dataclass(frozen=True)
class FaceMarks:
    """Points of a neutral face, metres; of paired ones the left.

    Attributes:
        eye: centre of the eyeball.
        nose_tip, subnasale, mouth, menton: on the midline; `menton` is the underside of the chin.
        mouth_half_width: from the midline to the corner of the lips.
        ear: centre of the ear.
        brow_y: height of the middle of the brow.
        hairline_y: height of the hairline on the midline.
        crown: the top of the skull.
        width: scale of the face relative to an eye distance of 61 mm.
    """

    eye: Float[np.ndarray, " 3"]
    nose_tip: Float[np.ndarray, " 3"]
    subnasale: Float[np.ndarray, " 3"]
    mouth: Float[np.ndarray, " 3"]
    menton: Float[np.ndarray, " 3"]
    mouth_half_width: float
    ear: Float[np.ndarray, " 3"]
    brow_y: float
    hairline_y: float
    crown: Float[np.ndarray, " 3"]
    width: float

    @staticmethod
    def of(surface: SkinSurface, eye: Float[np.ndarray, " 3"]) -> FaceMarks:
        """Find the landmarks of a neutral skin surface, given the centre of the left eyeball."""
        v = surface.vertices
        centroid = v[surface.triangles].mean(1)
        uv = surface.uv.mean(1)
        lips = region_mask("lips", uv) > 0.5
        ears = (region_mask("ears", uv) > 0.5) & (centroid[:, 0] > 0)
        outside = region_mask("inside-mouth", uv) < 0.3
        middle = centroid[(np.abs(centroid[:, 0]) < 0.003) & (centroid[:, 2] > 0) & outside]
        nose_tip = middle[middle[:, 2].argmax()]
        lip_points = centroid[lips & outside]
        mouth = lip_points[np.abs(lip_points[:, 0]) < 0.004].mean(0)
        between = middle[(middle[:, 1] < nose_tip[1]) & (middle[:, 1] > mouth[1] + 0.004)]
        subnasale = between[between[:, 2].argmin()]
        menton = _menton(middle, mouth)
        brow_y = float(eye[1] + 0.0185 * eye[0] / 0.0295)
        top = v[v[:, 1].argmax()]
        for point in (nose_tip, subnasale, mouth, menton, top):
            point[0] = 0.0
        return FaceMarks(
            eye=np.asarray(eye, float),
            nose_tip=nose_tip,
            subnasale=subnasale,
            mouth=mouth,
            menton=menton,
            mouth_half_width=float(lip_points[:, 0].max()),
            ear=centroid[ears].mean(0),
            brow_y=brow_y,
            hairline_y=float(brow_y + 0.80 * (brow_y - subnasale[1])),
            crown=top.copy(),
            width=float(eye[0] / 0.0305),
        )


def _menton(middle: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """The lowest point of the chin: where the front profile, followed downwards from the mouth, turns under."""
    best = mouth
    for y in np.arange(mouth[1] - 0.02, mouth[1] - 0.07, -0.002):
        near = middle[np.abs(middle[:, 1] - y) < 0.0025]
        if len(near) == 0 or near[:, 2].max() < mouth[2] - 0.022:
            break
        best = near[near[:, 2].argmax()]
    return best.copy()
