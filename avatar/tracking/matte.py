"""Which pixels are the person: a coarse mask by a network, then a soft matte along its edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

from avatar.tracking.networks import Network

__all__ = ["Matte", "PersonSegmenter", "soft_matte"]

_EDGE = 0.012
"""Half of the band in which the matte is uncertain, relative to the picture's smaller side."""
_SMOOTH = 1e-4


@dataclass(frozen=True, eq=False)
class Matte:
    """A person cut out of a picture, 0..1."""

    alpha: Float[np.ndarray, "h w"]
    foreground: Float[np.ndarray, "h w 3"]
    """The person's own colours, without the background that shines through hair; defined everywhere."""


class PersonSegmenter:
    """MediaPipe's selfie segmentation."""

    def __init__(self, threads: int = 1) -> None:
        """Raises:
        UserError: if LiteRT or the model cannot be had.
        """
        self._net = Network("selfie_segmentation.tflite", threads)

    def __call__(self, picture: Image.Image) -> Float[np.ndarray, "h w"]:
        """How likely each pixel is a person, 0..1, at the picture's size."""
        size = self._net.size
        small = np.asarray(picture.resize((size, size), Image.Resampling.BOX), np.float32) / 255
        (mask,) = self._net(small)
        full = Image.fromarray(mask[..., 0]).resize(picture.size, Image.Resampling.BICUBIC)
        return np.asarray(full, np.float64).clip(0, 1)


def soft_matte(picture: Image.Image, person: Float[np.ndarray, "h w"]) -> Matte:
    """A matte that follows strands of hair.

    Args:
        person: what `PersonSegmenter` says; trusted well inside and outside, not along its edge.

    Reference: He et al., "Guided image filtering", 2010; Forte, "Approximate fast foreground colour estimation", 2021.
    """
    image = np.asarray(picture, np.float64) / 255
    reach = max(2, round(_EDGE * min(picture.size)))
    inside = ndimage.binary_erosion(person > 0.9, iterations=reach, border_value=1)
    outside = ndimage.binary_erosion(person < 0.1, iterations=reach, border_value=1)
    alpha = _guided(image, person, 2 * reach)
    alpha = np.clip((alpha - 0.1) / 0.8, 0, 1)
    alpha = np.where(inside, 1.0, np.where(outside, 0.0, alpha))
    foreground, background = image, image
    for radius in (4 * reach, reach):
        foreground, background = _blur_fusion(image, alpha, foreground, background, radius)
    return Matte(alpha, foreground)


def _guided(image: Float[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"], radius: int) -> Float[np.ndarray, "h w"]:
    """`mask` as locally linear in the picture's colours."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, (2 * radius + 1,) * 2 + (0,) * (values.ndim - 2))

    m_image, m_mask = mean(image), mean(mask)
    products = image[..., :, None] * image[..., None, :]
    spread = mean(products.reshape(*mask.shape, 9)).reshape(*mask.shape, 3, 3)
    spread = spread - m_image[..., :, None] * m_image[..., None, :] + _SMOOTH * np.eye(3)
    together = mean(image * mask[..., None]) - m_image * m_mask[..., None]
    slope = np.linalg.solve(spread, together[..., None])[..., 0]
    offset = m_mask - (slope * m_image).sum(-1)
    return (mean(slope) * image).sum(-1) + mean(offset)


def _blur_fusion(
    image: np.ndarray, alpha: np.ndarray, foreground: np.ndarray, background: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    a = alpha[..., None]

    def mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        size = (2 * radius + 1, 2 * radius + 1, 0)
        return ndimage.uniform_filter(values * weight, size) / (ndimage.uniform_filter(weight, size) + 1e-5)

    front, back = mean(foreground, a), mean(background, 1 - a)
    front = front + a * (image - a * front - (1 - a) * back)
    return front.clip(0, 1), back.clip(0, 1)
