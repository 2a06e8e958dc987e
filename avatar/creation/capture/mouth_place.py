"""A photo with its mouth moved to where the fitted head has its own.

A fit leaves the lips of a smile off by some pixels; a thin upper lip would then be painted with the skin above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import LIPS_INNER, LIPS_OUTER

__all__ = ["with_mouth_at"]

_REACH = 0.5
"""Of the mouth's width: so far from the lips nothing moves any more."""
_RING = 24
"""Points of that border."""


def with_mouth_at(
    picture: Image.Image, landmarks: FaceLandmarks, wanted: Float[np.ndarray, "468 2"]
) -> tuple[Image.Image, FaceLandmarks]:
    """A picture bent around the lips, and its landmarks with it.

    Args:
        wanted: pixels where the head's landmarks are seen; only those of the lips are looked at.
    """
    lips = np.concatenate([LIPS_OUTER, LIPS_INNER])
    found, wanted = landmarks.points[lips, :2], wanted[lips]
    middle, half = found[: len(LIPS_OUTER)].mean(0), np.ptp(found[:, 0]) / 2
    angle = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    reach = half + 2 * _REACH * half
    ring = middle + reach * np.stack([np.cos(angle), np.sin(angle)], 1)
    field = RBFInterpolator(
        np.concatenate([wanted, ring]), np.concatenate([found - wanted, 0 * ring]), kernel="linear", smoothing=1e-3
    )
    low = np.floor(middle - reach).astype(int).clip(0, None)
    high = np.ceil(middle + reach).astype(int).clip(None, picture.size)
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
    places = np.stack([x, y], -1).reshape(-1, 2)
    fade = np.clip(2 - 2 * np.linalg.norm(places - middle, axis=1) / reach, 0, 1)[:, None]
    from_ = places + fade * field(places) - 0.5
    pixels = np.asarray(picture.convert("RGB")).copy()
    for channel in range(3):
        pixels[low[1] : high[1], low[0] : high[0], channel] = (
            ndimage.map_coordinates(pixels[..., channel].astype(np.float32), from_[:, ::-1].T, order=1, mode="nearest")
            .reshape(y.shape)
            .round()
        )
    points = landmarks.points.copy()
    points[lips, :2] = wanted
    return Image.fromarray(pixels), replace(landmarks, points=points)
