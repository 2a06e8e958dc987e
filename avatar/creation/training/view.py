"""One picture of a head with its camera and pose: what training learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.formats.atomic import replacing
from avatar.formats.untrusted import refusing

__all__ = ["View", "premultiply", "read_picture", "write_picture"]

Rgba = UInt8[np.ndarray, "h w 4"]

_PLAIN_SHARE = 0.95  # of the pixels outside the mask: a background of one colour, put there when the set was made
_MAX_PIXELS = 64_000_000


@dataclass(frozen=True, eq=False)
class View:
    """A picture, where its camera stood, and what the head did."""

    name: str
    camera: Camera
    params: FlameParams
    picture: Path | Rgba
    """A file, with the background in its alpha channel or in `mask`; or premultiplied RGBA."""
    mask: Path | None = None
    timestep: int = 0
    """Views of one timestep show one pose."""

    def read(self) -> Rgba:
        """The picture, premultiplied.

        Raises:
            UserError: if a file is missing, damaged, of another size than the camera's, or shows a background.
        """
        image = read_picture(self.picture, self.mask) if isinstance(self.picture, Path) else self.picture
        size = (self.camera.height, self.camera.width)
        if image.shape[:2] != size:
            raise UserError(
                f"{self.name}: the picture has {image.shape[1]} x {image.shape[0]} pixels, "
                f"its camera {size[1]} x {size[0]}"
            )
        return image


def premultiply(straight: UInt8[np.ndarray, "h w 4"]) -> Rgba:
    """RGBA with its colour weighted by alpha, rounded to nearest."""
    out = straight.copy()
    alpha = straight[..., 3:].astype(np.uint16)
    out[..., :3] = (straight[..., :3] * alpha + 127) // 255
    return out


def read_picture(path: Path, mask: Path | None = None) -> Rgba:
    """A picture file as premultiplied RGBA.

    Without an alpha channel, `mask` says what belongs to the head. Where everything outside of it is white (as VHAP
    writes it) or black, the picture is taken as composed over that, and the background is taken out again.

    Raises:
        UserError: if a file is missing or damaged, the sizes differ, or nothing tells the head from the background.
    """
    pixels = _open(path)
    if pixels.shape[2] == 4:
        return premultiply(pixels)
    if mask is None:
        raise UserError(
            f"{path}: has no alpha channel and no mask (fg_mask_path): the background would become part of the head"
        )
    alpha = _open(mask)[..., -1]
    if alpha.shape != pixels.shape[:2]:
        raise UserError(
            f"{mask}: {alpha.shape[1]} x {alpha.shape[0]} pixels, its picture has {pixels.shape[1]} x {pixels.shape[0]}"
        )
    return np.dstack([_without_background(pixels, alpha), alpha])


def write_picture(path: Path, image: UInt8[np.ndarray, "h w 4"]) -> None:
    """Write premultiplied RGBA as a PNG, whose alpha is straight."""
    alpha = image[..., 3:].astype(np.uint16)
    straight = image.copy()
    straight[..., :3] = np.minimum((image[..., :3] * np.uint16(255) + alpha // 2) // np.maximum(alpha, 1), 255)
    with replacing(path) as fresh:
        Image.fromarray(straight).save(fresh, format="PNG", compress_level=2)


def _open(path: Path) -> np.ndarray:
    """Pixels of an image file, (h, w, 3) or (h, w, 4)."""
    if not path.is_file():
        raise UserError(f"{path}: no such picture")
    with refusing(path, "a picture"), Image.open(path) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise UserError(f"{path}: {image.width} x {image.height} pixels; make it smaller")
        has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def _without_background(pixels: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"]) -> np.ndarray:
    """Premultiplied colour of a picture whose background is white, black, or something else."""
    outside = pixels[alpha == 0]
    clear = 255 - alpha[..., None].astype(np.int16)
    if len(outside) and (outside.min(1) >= 250).mean() >= _PLAIN_SHARE:
        return np.clip(pixels - clear, 0, 255 - clear).astype(np.uint8)
    if len(outside) and (outside.max(1) <= 5).mean() >= _PLAIN_SHARE:
        return np.minimum(pixels, 255 - clear).astype(np.uint8)
    return ((pixels * (255 - clear).astype(np.uint16) + 127) // 255).astype(np.uint8)
