"""What in a photo is skin, and what is hair, clothes and the rest of the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage

from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.matte import Matte
from avatar.tracking.topology import BROWS, CHIN, EYE_RINGS, LIPS_INNER, LIPS_OUTER, NOSE_TIP, OVAL

__all__ = ["Layers", "polygon", "separate"]

_CORE = 0.72
"""Of the face's outline: surely skin (or a feature in it)."""
_AROUND = 1.12
_REACH = 0.35
"""How far from the face skin is looked for (ears, neck), relative to its width."""
_CLAMP = 8.0


@dataclass(frozen=True, eq=False)
class Layers:
    """Of one photo; all (h, w)."""

    person: Bool[np.ndarray, "h w"]
    skin: Float[np.ndarray, "h w"]
    """How likely bare skin, features of the face included; 0..1."""
    rest: Bool[np.ndarray, "h w"]
    """Hair, clothes, whatever the person wears."""
    features: Bool[np.ndarray, "h w"]
    """Eyes and their lashes, and the opening of the mouth: not painted on skin."""
    face_width: float
    """Pixels."""


def polygon(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The inside of a ring of points."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(mask) > 0


def separate(picture: Image.Image, landmarks: FaceLandmarks, matte: Matte) -> Layers:
    """Tell skin by the face's own colours, the rest by what lies around it."""
    size, points = picture.size, landmarks.points[:, :2]
    outline = points[OVAL]
    middle, width = outline.mean(0), float(np.ptp(outline[:, 0]))
    oval = polygon(outline, size)
    core = polygon(middle + _CORE * (outline - middle), size)
    around = polygon(middle + _AROUND * (outline - middle), size)
    margin = max(1, round(width / 110))
    eyes = np.zeros(oval.shape, bool)
    for ring in EYE_RINGS:
        eyes |= polygon(points[np.r_[ring[:9], ring[:8:-1]]], size)
    open_eyes = ndimage.binary_dilation(eyes, iterations=2 * margin)  # with the lashes
    mouth = polygon(points[LIPS_INNER], size)
    lips = polygon(points[LIPS_OUTER], size)

    rows = np.arange(size[1])[:, None]
    brows = points[BROWS, 1].min()
    person = matte.alpha > 0.5
    colours = _colours(np.asarray(picture, np.float64) / 255)
    face = core & (rows > brows) & ~open_eyes & ~lips
    above = (matte.alpha > 0.8) & ~around & (rows < points[CHIN, 1] - 0.25 * width)
    if above.sum() < 50:  # no hair to be seen: then all around the face is looked at
        above = (matte.alpha > 0.8) & ~around
    log_ratio = (
        _log_likelihood(colours, face) - _log_likelihood(colours, above) if above.any() else np.full(oval.shape, 4.0)
    )
    smooth = ndimage.gaussian_filter(np.clip(log_ratio, -_CLAMP, _CLAMP), width / 110)
    skin = 1 / (1 + np.exp(-smooth))
    skin[core & (rows > brows)] = 1
    reach = ndimage.binary_dilation(oval, iterations=max(1, int(_REACH * width))) & person
    pieces, _ = ndimage.label((skin > 0.5) & reach)
    x, y = (int(np.clip(v, 0, n - 1)) for v, n in zip(points[NOSE_TIP], size, strict=True))
    bare = (pieces == pieces[y, x]) & reach
    skin = np.where(bare, skin, np.minimum(skin, 0.2))
    rest = person & ~ndimage.binary_closing(bare, iterations=2 * margin)
    rest = ndimage.binary_opening(rest, iterations=margin)
    pieces, count = ndimage.label(rest)
    if count:
        sizes = ndimage.sum(rest, pieces, range(1, count + 1))
        rest = np.isin(pieces, 1 + np.flatnonzero(sizes > 0.004 * person.sum()))
    return Layers(person, skin, rest & ~(core & (rows > brows)), open_eyes | mouth, width)


def _colours(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    total = image.sum(2)
    return np.stack([np.log(total + 0.05), image[..., 0] / (total + 1e-3), image[..., 2] / (total + 1e-3)], 2)


def _log_likelihood(colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Of a normal distribution fitted to the colours there, outliers left out."""
    found = colours[where]
    centre = np.median(found, 0)
    near = found[np.linalg.norm((found - centre) / (found.std(0) + 1e-6), axis=1) < 3]
    spread = np.cov(near.T) + np.diag([0.01, 2e-5, 2e-5])
    away = colours - centre
    distance = np.einsum("...i,ij,...j->...", away, np.linalg.inv(spread), away)
    return -0.5 * (distance + np.linalg.slogdet(spread)[1])
