"""Styles of hair: which way strands lie, and how long they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.fibres import DistanceField
from avatar.creation.forge.hair_recipe import HairRecipe, scalp_height
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["STYLES", "HairHead", "HairStyle", "parting_side"]


@dataclass(frozen=True)
class HairHead:
    """What strands need to know about the head they grow on."""

    marks: FaceMarks
    field: DistanceField
    centre: np.ndarray


@dataclass(frozen=True)
class HairStyle:
    """How a style is laid.

    Attributes:
        points: points of a strand.
        lift_m: height above the scalp of the outermost layer.
        flow: (positions, skull normals, roots, recipe, head) -> wanted directions.
        length: (roots, recipe, head) -> metres.
        clump, frizz: pull of locks together, and scatter, 0..1.
        stiff: how slowly a strand turns towards the flow, 0..1.
        width_m, base_width_m: standard deviations of strands and ribbons.
        wave_m, wavelength_m: of the waves at `wave` = 1.
    """

    points: int
    lift_m: float
    flow: Callable[[np.ndarray, np.ndarray, np.ndarray, HairRecipe, HairHead], np.ndarray]
    length: Callable[[np.ndarray, HairRecipe, HairHead], np.ndarray]
    clump: float
    frizz: float
    stiff: float
    width_m: float
    base_width_m: float
    wave_m: float = 0.004
    wavelength_m: float = 0.07


def parting_side(p: np.ndarray, recipe: HairRecipe, roots: np.ndarray) -> np.ndarray:
    """-1 or 1: the side of the parting that a strand falls to, a little ragged."""
    return np.sign(roots[:, 0] - recipe.parting_m + 0.0015 * np.sin(roots[:, 2] * 300))


def _falling(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    """From a parting over the head, then straight down; the front swept aside, off the face."""
    marks = head.marks
    side = parting_side(p, recipe, roots)
    n = len(p)
    flow = np.stack([side * 0.95, np.full(n, -0.45), np.full(n, -0.30)], 1)
    front = smoothstep(roots[:, 2], marks.ear[2] + 0.045, marks.ear[2] + 0.085)
    flow += front[:, None] * np.stack([side * 0.35, np.full(n, 0.12), np.full(n, -0.75)], 1)
    back = smoothstep(marks.ear[2] - p[:, 2], 0.035, 0.075)
    flow = flow * (1 - back[:, None]) + back[:, None] * np.stack([side * 0.15, np.full(n, -1.0), np.full(n, -0.05)], 1)
    low = smoothstep(marks.brow_y + 0.035 - p[:, 1], 0.0, 0.05)
    forward = np.clip((roots[:, 2] - marks.ear[2]) / 0.08, -0.3, 1.0)
    down = np.stack([0.10 * side, np.full(n, -1.0), 0.10 * forward], 1)
    return flow * (1 - low[:, None]) + down * low[:, None]


def _long_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    top = np.clip(scalp_height(roots, head.marks), 0, 1)
    return 0.20 + 0.13 * top


def _bob_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    marks = head.marks
    hem = marks.mouth[1] - 0.022 + 0.012 * smoothstep(marks.ear[2] - roots[:, 2], 0.0, 0.08)
    over = np.clip(marks.crown[1] - roots[:, 1], 0, 0.05) * 0.2
    return np.clip((roots[:, 1] - hem) * 1.02 + 0.035 * np.clip(scalp_height(roots, marks), 0, 1) - over, 0.02, None)


def _swept(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    """Short sides lying down and back, a longer top combed from the parting up, over and back."""
    marks = head.marks
    n = len(p)
    height = scalp_height(roots, marks)
    side = parting_side(p, recipe, roots)
    front = smoothstep(roots[:, 2], marks.ear[2] + 0.055, marks.ear[2] + 0.09)
    top = smoothstep(height + 0.28 * front, 0.60, 0.82)
    lying = np.stack([0 * side, np.full(n, -0.9), np.full(n, -0.45)], 1)
    away = np.where(side == np.sign(recipe.parting_m), side, -np.sign(recipe.parting_m))
    combed = np.stack([away * 0.75, np.full(n, 0.30), np.full(n, -0.25)], 1)
    combed += front[:, None] * np.stack([0.0 * side, np.full(n, 0.55), np.full(n, -0.35)], 1)
    return lying * (1 - top[:, None]) + combed * top[:, None]


def _swept_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    height = scalp_height(roots, head.marks)
    return np.interp(height, [-0.5, 0.1, 0.45, 0.75, 1.0], [0.006, 0.010, 0.018, 0.042, 0.048])


def _crop(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    """Very short, standing off the skin and leaning away from the crown's whorl."""
    whorl = head.marks.crown + np.array([0.012, 0.0, -0.035])
    away = roots - whorl
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    return normals * 0.35 + away * 0.9 + np.array([0.0, -0.15, 0.1])


def _crop_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    height = scalp_height(roots, head.marks)
    return np.interp(height, [-0.5, 0.1, 0.6, 1.0], [0.004, 0.006, 0.011, 0.014])


def _tied(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    """Combed tight to a knot at the back of the head."""
    return _knot(head) - p


def _knot(head: HairHead) -> np.ndarray:
    marks = head.marks
    return np.array([0.0, marks.brow_y + 0.030, marks.ear[2] - 0.115])


def _tied_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    return 1.12 * np.linalg.norm(roots - _knot(head), axis=1) + 0.01


def _curly(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    """Outwards, but bent this way and that by a field of a curl's size: coils that crowd each other."""
    out = p - head.centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    swirl = np.stack([gradient_noise(p, 105, 900 + c) + 0.8 * gradient_noise(p, 230, 930 + c) for c in range(3)], 1)
    return 0.60 * out + 1.7 * swirl + np.array([0.0, 0.03, -0.03])


def _curly_length(roots: np.ndarray, recipe: HairRecipe, head: HairHead) -> np.ndarray:
    height = np.clip(scalp_height(roots, head.marks), -0.6, 1)
    front = smoothstep(roots[:, 2], head.marks.ear[2] + 0.05, head.marks.ear[2] + 0.10)
    return np.interp(height, [-0.6, 0.0, 0.6, 1.0], [0.020, 0.040, 0.060, 0.064]) * (1 - 0.35 * front)


STYLES: dict[str, HairStyle] = {
    "long": HairStyle(19, 0.020, _falling, _long_length, 0.58, 0.24, 0.62, 0.00025, 0.0027, 0.0075, 0.085),
    "bob": HairStyle(15, 0.014, _falling, _bob_length, 0.50, 0.22, 0.62, 0.00032, 0.0020, 0.004, 0.07),
    "tied": HairStyle(11, 0.006, _tied, _tied_length, 0.35, 0.10, 0.30, 0.00030, 0.0020, 0.002, 0.06),
    "short": HairStyle(10, 0.018, _swept, _swept_length, 0.50, 0.20, 0.50, 0.00017, 0.0015, 0.002, 0.04),
    "cropped": HairStyle(4, 0.010, _crop, _crop_length, 0.15, 0.45, 0.40, 0.00020, 0.0016, 0.0, 0.04),
    "curly": HairStyle(15, 0.060, _curly, _curly_length, 0.0, 0.30, 0.35, 0.00034, 0.0036, 0.0026, 0.012),
    "none": HairStyle(2, 0.0, _crop, _crop_length, 0.0, 0.0, 0.5, 0.0002, 0.001),
}
"""Hair styles by name."""
