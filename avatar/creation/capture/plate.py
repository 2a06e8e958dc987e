"""What stands behind a person before a camera that stands still: what no picture's person hides, seen in all others.

With it an outline is no guess: how much of the background a pixel shows is how much it is not the person.

Reference: Qian and Sezan, "Video background replacement without a blue screen", ICIP 1999 (difference matting).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

from avatar.tracking.matte import Matte, soft_matte

__all__ = ["Plate"]

_AWAY = 0.03
"""Relative to the smaller side: what is so far from whatever may be the person is background."""
_NOBODY = 0.1
"""Less likely a person is none."""
_FEWEST = 5
"""Pictures that must show a place behind the person."""
_SIGMAS = 1.5
"""Standard deviations, of a median of absolute deviations."""
_NOISE = 0.008
"""What pixels of a picture are off by, 0..1: a sensor's noise and compression."""
_GUESSED, _DEEP = 0.2, 0.05
"""How far a matte without a plate is off along the outline, and as far within as the background may shine through."""
_REACH = 0.06
"""Relative to the smaller side: how far within the outline the background may shine through, and hair beyond it."""
_CERTAIN = 0.03
"""A plate is believed to give hair its own color back where it is off by less."""
_UNLIKE = 0.02
"""How far a mixture of two colors may be from what is seen."""
_LEAST, _MOST = 0.03, 0.97
"""Less of the person is none, more is all."""
_ENOUGH = 100
"""Pixels that tell how brightly a picture is exposed."""
_LEVELS = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
"""At which holes are looked for."""


@dataclass(frozen=True, eq=False)
class Plate:
    """The background as all pictures show it."""

    image: Float[np.ndarray, "h w 3"]
    """0..1; continued where the person always stands."""
    doubt: Float[np.ndarray, "h w"]
    """What it may be off by: little where it is seen and still, much where something moves or nobody knows."""

    @classmethod
    def of(
        cls,
        pictures: Sequence[Image.Image],
        people: Sequence[Float[np.ndarray, "h w"]],
        tell: Callable[[float], None] = lambda share: None,
    ) -> Plate:
        """From pictures of one size.

        Args:
            people: what `PersonSegmenter` says of each.
        """
        away = max(2, round(_AWAY * min(pictures[0].size)))
        shown = np.stack([np.asarray(picture, np.float32) / 255 for picture in pictures])
        free = np.stack([ndimage.binary_erosion(p < _NOBODY, iterations=away, border_value=1) for p in people])
        known = free.sum(0) >= min(_FEWEST, len(pictures))
        if not known.any():
            return cls(np.zeros(shown.shape[1:]), np.ones(known.shape))
        tell(0.2)
        image = _median(shown, free)
        tell(0.4)
        for k, picture in enumerate(shown):  # cameras never expose quite alike
            shown[k] = picture / _gain(picture, image, free[k] & known)
        image = _median(shown, free)
        tell(0.7)
        off = _median(np.abs(shown - image).max(-1, keepdims=True), free)[..., 0]
        image, spread = _continued(image, known, 4 * away)
        return cls(image, np.where(known, _SIGMAS * off, spread))

    def matte(self, picture: Image.Image, person: Float[np.ndarray, "h w"]) -> Matte:
        """A matte that is right where the background is known, and as without a plate elsewhere."""
        image, first = np.asarray(picture, np.float64) / 255, soft_matte(picture, person)
        reach = max(3, round(_REACH * min(picture.size)))
        inside = ndimage.binary_erosion(person > 0.9, iterations=reach, border_value=1)
        outside = ndimage.binary_erosion(person < _NOBODY, iterations=reach, border_value=1)
        certain = self.doubt < _CERTAIN
        back = self.image * _gain(image, self.image, outside & certain)
        fronts = _likely_fronts(image, np.minimum(first.alpha, person), reach)
        band = ~inside & ~outside
        if not fronts or not certain.any():
            return first
        depth = ndimage.distance_transform_edt(person > 0.9)[band]
        guessed = _DEEP + (_GUESSED - _DEEP) * np.exp(-4 * depth / reach)
        some = [(front[band], spread[band]) for front, spread in fronts]
        found, off = _share(image[band], back[band], some, np.hypot(_NOISE, self.doubt[band]))
        believed = guessed**2 / (guessed**2 + off**2)
        alpha = np.where(outside, 0.0, 1.0)
        alpha[band] = believed * found + (1 - believed) * first.alpha[band]
        alpha = _without_holes(alpha)
        own = _own(image, back, alpha, fronts[-1][0])
        return Matte(alpha, np.where(certain[..., None], own, first.foreground))


def _median(pictures: Float[np.ndarray, "n h w c"], free: Bool[np.ndarray, "n h w"]) -> Float[np.ndarray, "h w c"]:
    """Over the pictures that show a place; 0 for none."""
    found = np.zeros(pictures.shape[1:])
    middle = np.maximum(free.sum(0) - 1, 0) // 2
    for row in range(len(found)):  # all at once would take a gigabyte
        order = np.sort(np.where(free[:, row, :, None], pictures[:, row], np.inf), 0)
        found[row] = np.take_along_axis(order, middle[None, row, :, None], 0)[0]
    return np.where(np.isfinite(found), found, 0.0)


def _gain(
    picture: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "3"]:
    """How much brighter a picture is."""
    if where.sum() < _ENOUGH:
        return np.ones(3)
    return np.median(picture[where], 0) / np.maximum(np.median(plate[where], 0), 0.02)


def _continued(
    image: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], radius: int
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """What is known goes on into the rest; and how much it varies near there."""
    distance, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    mean, spread = _usual(image, known.astype(np.float64), radius)
    mean, spread = mean[nearest[0], nearest[1]], spread[nearest[0], nearest[1]]
    return np.where(known[..., None], image, mean), spread + 0.1 * distance / max(image.shape[:2])


def _usual(
    image: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"], radius: int
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Mean and standard deviation around each pixel."""

    def blurred(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, (2 * radius + 1,) * 2 + (0,) * (values.ndim - 2))

    total = blurred(weight)[..., None] + 1e-9
    mean = blurred(image * weight[..., None]) / total
    square = blurred(image**2 * weight[..., None]) / total
    return mean, np.sqrt((square - mean**2).clip(0).max(-1))


def _likely_fronts(
    image: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"], reach: int
) -> list[tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]]:
    """Colors that the person may have at each pixel, and how much they vary: of what is surely the person nearby."""
    found, calm = [], ndimage.uniform_filter(image, (3, 3, 0))
    for depth in (max(3, reach // 4), max(4, reach // 2)):
        sure = ndimage.binary_erosion(alpha > 0.9, iterations=depth)
        if sure.any():
            rows, columns = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
            mean, spread = _usual(image, sure.astype(np.float64), 2 * depth)
            found += [(front[rows, columns], spread[rows, columns]) for front in (calm, mean)]
    return found


def _share(
    image: Float[np.ndarray, "n 3"],
    back: Float[np.ndarray, "n 3"],
    fronts: Sequence[tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]],
    noise: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """How much of each pixel is the person, by the colors that explain it best; and how far that may be off."""
    total, first, second, off = (np.zeros(len(image)) for _ in range(4))
    for front, spread in fronts:
        contrast = front - back
        size = np.maximum((contrast**2).sum(-1), 1e-6)
        share = (((image - back) * contrast).sum(-1) / size).clip(0, 1)
        left = ((image - back - share[:, None] * contrast) ** 2).sum(-1)
        weight = np.exp(-0.5 * left / (_UNLIKE**2 + noise**2)) + 1e-9
        total += weight
        first += weight * share
        second += weight * share**2
        off += weight * (noise**2 + left + (share * spread) ** 2) / size
    mean = first / total
    apart = (second / total - mean**2).clip(0)
    return ((mean - _LEAST) / (_MOST - _LEAST)).clip(0, 1), np.sqrt(apart + off / total)


def _without_holes(alpha: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """What shows the background and is shut in by what does not is no background: whites of eyes, sheen, an ear."""
    filled = alpha.copy()
    for level in _LEVELS:
        open_ = np.pad(alpha < level, 1, constant_values=True)
        outer = np.zeros_like(open_)
        outer[[0, -1]] = outer[:, [0, -1]] = True
        shut = ~ndimage.binary_propagation(outer, mask=open_)[1:-1, 1:-1]
        filled[shut] = np.maximum(filled[shut], level)
    return np.where(filled >= _LEVELS[-1], np.where(alpha >= _LEVELS[-1], alpha, 1.0), filled)


def _own(
    image: Float[np.ndarray, "h w 3"],
    back: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    front: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "h w 3"]:
    """The person's color: the picture without the background, and that of its surroundings where little is left."""
    a = alpha[..., None]
    exact = (image - (1 - a) * back) / np.maximum(a, 0.05)
    share = ((a - 0.1) / 0.4).clip(0, 1)
    return (share * exact + (1 - share) * front).clip(0, 1)
