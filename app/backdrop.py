"""What stands behind the avatar: a colour, nothing, or a studio's wall."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import ImageColor

from avatar.errors import UserError

__all__ = ["STUDIO", "Backdrop", "Studio", "colour_of", "image_of", "parse_background"]

Colour = tuple[float, float, float]
"""RGB in 0..1."""


@dataclass(frozen=True)
class Studio:
    """The wall of a portrait studio: a soft pool of light behind the head, which falls off to the corners.

    The pool lies a little off the middle, on the side away from the avatars' key light, so that the lit cheek stands
    before the darker half and the shaded one before the lighter: the head comes off the wall.
    """

    lit: Colour
    """In the middle of the pool."""
    shade: Colour
    """In the corners."""

    _CENTRE = (0.56, 0.40)
    """Of the pool: shares of the width and height, from the left and the top."""
    _REACH = (0.62, 0.78)
    """How far the light reaches sideways, and up and down: shares of a square picture's side; in others farther along
    the longer side."""
    _FLOOR = 0.16
    """How much darker the wall is at the bottom, where the shoulders stand before it."""

    def picture(self, width: int, height: int) -> UInt8[np.ndarray, "h w 4"]:
        """The wall as an opaque BGRA image; the same array each time, which cannot be written to."""
        return _painted(self, width, height)


Backdrop = Colour | Studio | None
"""A colour, a studio, or None for a transparent background."""


def colour_of(backdrop: Backdrop) -> Colour | None:
    """What a renderer draws over: nothing where an image comes behind, or all is transparent."""
    return None if isinstance(backdrop, Studio) else backdrop


def image_of(backdrop: Backdrop, width: int, height: int) -> UInt8[np.ndarray, "h w 4"] | None:
    """The opaque BGRA image that comes behind, if there is one."""
    return backdrop.picture(width, height) if isinstance(backdrop, Studio) else None


STUDIO = Studio(lit=(0.70, 0.715, 0.74), shade=(0.33, 0.345, 0.375))
"""What videos have where nothing else is asked for: a mid grey, before which fair hair and dark hair show alike."""


def parse_background(text: str) -> Backdrop:
    """A backdrop from `studio`, `transparent`, a colour's name or #rrggbb.

    Raises:
        UserError: if it is none of them.
    """
    if text == "studio":
        return STUDIO
    if text == "transparent":
        return None
    try:
        r, g, b = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UserError(
            f"background {text!r}: expected studio, transparent, or a colour such as white or #20242c"
        ) from error
    return r / 255, g / 255, b / 255


@lru_cache(maxsize=4)
def _painted(studio: Studio, width: int, height: int) -> UInt8[np.ndarray, "h w 4"]:
    side = min(width, height)
    x = ((np.arange(width) + 0.5) - studio._CENTRE[0] * width) / (studio._REACH[0] * (width * side) ** 0.5)
    y = ((np.arange(height) + 0.5) - studio._CENTRE[1] * height) / (studio._REACH[1] * (height * side) ** 0.5)
    light = np.exp(-(x**2 + (y**2)[:, None]))
    light *= 1 - studio._FLOOR * np.linspace(0, 1, height)[:, None] ** 2
    lit, shade = np.array(studio.lit[::-1]), np.array(studio.shade[::-1])
    colour = 255 * (shade + light[..., None] * (lit - shade))
    # Half a level of noise: without it the steps between levels show as rings.
    colour += np.random.default_rng(0).uniform(0, 1, (height, width, 1))
    picture = np.full((height, width, 4), 255, np.uint8)
    picture[..., :3] = np.clip(colour, 0, 255)
    picture.setflags(write=False)
    return picture
