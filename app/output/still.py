"""Single images, and alpha as other programs expect it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from app.output.files import writing
from avatar.errors import UserError
from avatar.formats.atomic import replacing

__all__ = ["save_still", "straight", "to_rgba"]


def save_still(path: str | Path, bgra: UInt8[np.ndarray, "h w 4"]) -> Path:
    """Write one image as PNG with straight alpha.

    Raises:
        UserError: if the path is not a .png, or cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise UserError(f"{target.name}: a still is a .png file")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as fresh:
            Image.fromarray(to_rgba(straight(bgra)), "RGBA").save(fresh, "PNG", compress_level=6)
    return target


def straight(bgra: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Premultiplied BGRA with the colors divided by alpha; contiguous, and the same array if nothing is to be done."""
    bgra = np.ascontiguousarray(bgra)
    alpha = bgra[..., 3].reshape(-1)
    soft = np.flatnonzero((alpha > 0) & (alpha < 255))  # few: the outline; where alpha is 0, so are the colors
    if not soft.size:
        return bgra
    out = bgra.copy()
    flat = out.reshape(-1, 4)
    pixels = flat[soft]
    scale = np.float32(255) / pixels[:, 3:]
    pixels[:, :3] = np.minimum(pixels[:, :3] * scale + np.float32(0.5), 255)
    flat[soft] = pixels
    return out


def to_rgba(bgra: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Red first."""
    out = np.empty(bgra.shape, np.uint8)
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = (bgra[..., c] for c in (2, 1, 0, 3))
    return out
