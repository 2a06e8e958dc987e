"""What in a photo is skin, and what is hair, clothes and the rest of the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage, sparse
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import splu

from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.matte import Matte
from avatar.tracking.topology import BROWS, CHIN, EYE_RINGS, LIPS_INNER, LIPS_OUTER, NOSE_TIP, OVAL

__all__ = ["Layers", "polygon", "separate"]

_CORE = 0.72
"""Of the face's outline: surely skin (or a feature in it)."""
_AROUND = 1.12
_REACH = 0.35
"""How far from the face skin is looked for (ears, neck), relative to its width."""
_THROAT = 1.2
"""How far below the chin."""
_CLAMP = 8.0
_UNLIKE = 0.03
"""Share of the face's own pixels whose colors are as unlike it as a sample of hair must be."""
_LIKELY_SKIN = 3.0
"""How much likelier skin is within the face's outline, a logarithm."""
_BLUR = 0.04
"""Of the face's width: so far around a pixel colours are looked at to tell clothes from hair."""
_CLUSTERS, _MOST_SAMPLES = 3, 20_000
_SPREAD_FACE_PX = 110
"""Skin is told from the rest on a picture shrunk until the face is about so wide."""
_EDGE, _PRIOR, _SURE = 0.05, 0.02, 10.0
"""A difference of colours that is an edge; how much a pixel's own colour counts beside its neighbours; and a seed's."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Of one photo; all (h, w)."""

    person: Bool[np.ndarray, "h w"]
    skin: Float[np.ndarray, "h w"]
    """How likely bare skin, features of the face included; 0..1."""
    rest: Bool[np.ndarray, "h w"]
    """Hair, clothes, whatever the person wears."""
    clothes: Bool[np.ndarray, "h w"]
    """Of that, what is below the chin and not of the hair's colours."""
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
    """Tell skin by the face's own colours, the rest by those above and below it, and both by edges of the picture."""
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
    hair = (matte.alpha > 0.8) & ~around & (rows < brows)  # ears are below
    if hair.sum() < 50:  # no hair to be seen: then all around the face is looked at
        hair = (matte.alpha > 0.8) & ~around
    if hair.any() and face.any():
        likely = _log_likelihood(colours, face)
        hair &= likely < np.quantile(likely[face], _UNLIKE)  # no forehead
    clothes = (matte.alpha > 0.8) & (rows > points[CHIN, 1] + 0.5 * width)
    below = np.abs(np.arange(size[0]) - middle[0]) < 0.5 * width  # a shaded neck has the colour of brown hair
    neck = below & (rows > points[CHIN, 1] - 0.05 * width) & (rows < points[CHIN, 1] + 0.5 * width)
    unlike_hair, unlike_clothes = (_log_ratio(colours, face, other) for other in (hair, clothes))
    above = rows < points[CHIN, 1]  # a light forehead may look like a shirt
    ratio = np.where(neck, unlike_clothes, np.where(above, unlike_hair, np.minimum(unlike_hair, unlike_clothes)))
    ratio += _LIKELY_SKIN * oval
    sure = core & (rows > brows)
    skin = _spread(np.asarray(picture, np.float64) / 255, person, ratio, sure, width)
    throat = below & (rows > points[CHIN, 1]) & (rows < points[CHIN, 1] + _THROAT * width)
    reach = (ndimage.binary_dilation(oval, iterations=max(1, int(_REACH * width))) | throat) & person
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
    rest &= ~sure
    lips_row = points[LIPS_OUTER, 1].max()  # collars reach up to the chin
    worn = rest & (rows > lips_row)
    if hair.sum() >= 50 and clothes.sum() >= 50:
        like_hair = ndimage.gaussian_filter(_log_ratio(colours, clothes, hair), _BLUR * width) <= 0
        pieces, _ = ndimage.label(rest & (like_hair | ~worn))
        worn &= ~np.isin(pieces, np.setdiff1d(pieces[rest & (rows < lips_row)], 0))  # hair hangs from the head
    edge = ndimage.binary_dilation(worn, iterations=4 * margin) & person & ~rest & (rows > points[CHIN, 1])
    worn, rest = worn | edge, rest | edge  # with the edge of a collar, which skin would smear
    return Layers(person, skin, rest, worn, open_eyes | mouth, width)


def _spread(
    image: Float[np.ndarray, "h w 3"],
    person: Bool[np.ndarray, "h w"],
    ratio: Float[np.ndarray, "h w"],
    sure: Bool[np.ndarray, "h w"],
    width: float,
) -> Float[np.ndarray, "h w"]:
    """Skin, 0..1, from what colours say of each pixel and what is sure: it changes at edges of the picture only, so
    that a cheek in the shade stays skin.

    Reference: Grady, "Random walks for image segmentation", 2006 (with prior models).
    """
    step = max(1, round(width / _SPREAD_FACE_PX))
    small = ndimage.gaussian_filter(image, (0.5 * step, 0.5 * step, 0))[::step, ::step]
    inside, fixed = person[::step, ::step], sure[::step, ::step]
    belief = ndimage.gaussian_filter(ratio, 0.5 * step)[::step, ::step]
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    rows, columns, weights = [], [], []
    for axis in (0, 1):
        here, there = [np.moveaxis(number, axis, 0)[part].ravel() for part in (slice(-1), slice(1, None))]
        apart = np.square(np.diff(small, axis=axis)).sum(2)
        apart = np.moveaxis(apart, axis, 0).ravel()
        both = (here >= 0) & (there >= 0)
        rows.append(here[both])
        columns.append(there[both])
        weights.append(np.exp(-apart[both] / (2 * _EDGE**2)) + 1e-3)
    n = int(inside.sum())
    if not n:
        return np.zeros(person.shape)
    one_way = sparse.coo_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), (n, n))
    links = (one_way + one_way.T).tocsr()
    hold = np.where(fixed, _SURE, _PRIOR * np.abs(belief) / _CLAMP)[inside]
    wanted = np.where(fixed, 1.0, 1 / (1 + np.exp(-belief)))[inside]
    system = sparse.diags(np.asarray(links.sum(1)).ravel() + hold + 1e-6) - links
    found = np.zeros(inside.shape)
    found[inside] = splu(system.tocsc()).solve(hold * wanted)
    full = Image.fromarray(found.astype(np.float32)).resize(person.shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(full, np.float64).clip(0, 1) * person


def _colours(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    total = image.sum(2)
    return np.stack([np.log(total + 0.05), image[..., 0] / (total + 1e-3), image[..., 2] / (total + 1e-3)], 2)


def _log_ratio(colours: np.ndarray, one: np.ndarray, other: np.ndarray) -> Float[np.ndarray, "h w"]:
    """How much likelier colours belong to one region than to the other; moderately so where there is no other."""
    if other.sum() < 50:
        return np.full(other.shape, _CLAMP / 2)
    return np.clip(_log_likelihood(colours, one) - _log_likelihood(colours, other), -_CLAMP, _CLAMP)


def _log_likelihood(colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Of the likeliest of a few normal distributions, fitted to the clusters of the colours there."""
    found = colours[where]
    if len(found) > _MOST_SAMPLES:
        found = found[:: len(found) // _MOST_SAMPLES + 1]
    spread = found.std(0) + 1e-6
    _, cluster = kmeans2(found / spread, _CLUSTERS, minit="++", rng=0)
    best = np.full(where.shape, -np.inf)
    for k in range(_CLUSTERS):
        mine = found[cluster == k]
        if len(mine) < 0.02 * len(found) or len(mine) < 10:
            continue
        covariance = np.cov(mine.T) + np.diag([0.01, 2e-5, 2e-5])
        away = colours - np.median(mine, 0)
        distance = np.einsum("...i,ij,...j->...", away, np.linalg.inv(covariance), away)
        share = np.log(len(mine) / len(found))
        best = np.maximum(best, share - 0.5 * (distance + np.linalg.slogdet(covariance)[1]))
    return best
