"""Short hair: tapered sides, a longer top in pointed locks, swept aside or back."""

from __future__ import annotations

import numpy as np

from avatar.creation.forge.groom import curves as cv
from avatar.creation.forge.groom.bundle import Bundle, density, gathered, height, streaks
from avatar.creation.forge.groom.scalp import Roots, Scalp
from avatar.creation.forge.hair_recipe import HairRecipe, hairline_m
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["short"]

_POINTS = 16
_BALDING = 0.15
"""From this recession on hair is combed back and not aside."""


def short(scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> list[Bundle]:
    """Sides that lie down and back, a top that rises at the brow and falls aside, a whorl behind."""
    # Where it is short no hair lies over another's root: there have to be more of them to cover the scalp.
    high = smoothstep(height(scalp.surface.vertices, scalp), 0.30, 0.75)
    thick = density(scalp, recipe, seed, 0.007 + 0.012 * recipe.recession) * _thinning(scalp, recipe) * (2.0 - high)
    roots = scalp.scatter(thick, recipe.strands, rng)
    hair = _grow(roots, scalp, recipe, rng, seed)
    n = len(hair)
    top = smoothstep(height(roots.points, scalp), 0.45, 0.75)
    # Only what is long hangs together in locks.
    locks = gathered(hair, np.zeros(n, int), rng, locks=(n // 90, n // 14), pull=(0.42, 0.55))
    hair = hair + top[:, None, None] * (locks - hair)
    t = cv.along(_POINTS)[..., 0]
    wave = (0.0016 * recipe.wave * top)[:, None] * smoothstep(t, 0.1, 0.7)
    hair = cv.coiled(hair, wave, 2 * np.pi * 1.2 * t + gradient_noise(roots.points, 60, seed + 5)[:, None] * 9, 0.5)
    size = cv.lengths(hair)[:, None] * np.ones_like(t)
    hair = cv.frizzed(hair, 0.05 * size, 90, rng, 0.4)
    hair = cv.frizzed(hair, 0.02 * size, 320, rng, 1.0)
    hair = cv.kept_out(hair, scalp.field, 0.0006)
    thin = 0.75 + 0.25 * smoothstep(hairline_m(roots.points, scalp.marks, recipe, seed), 0.0, 0.012)
    loose = hair[rng.integers(0, n, n // 30)]
    loose = cv.frizzed(loose, 0.16 * cv.lengths(loose)[:, None] * np.ones_like(t), 70, rng, 1.0)
    return [
        Bundle("hair", hair, rng.uniform(4.2e-5, 6.0e-5, n) * thin, 0.55, streaks(roots.points, seed)),
        Bundle("stray", cv.kept_out(loose, scalp.field), rng.uniform(2.0e-5, 3.0e-5, len(loose)), 0.8),
    ]


def _thinning(scalp: Scalp, recipe: HairRecipe) -> np.ndarray:
    """Behind a receding hairline the top is thin too."""
    p = scalp.surface.vertices
    top = smoothstep(height(p, scalp), 0.62, 0.95) * smoothstep(p[:, 2], scalp.centre[2] - 0.07, scalp.centre[2] + 0.02)
    return 1 - np.clip(1.7 * recipe.recession, 0, 0.85) * top


def _lengths(p: np.ndarray, scalp: Scalp, recipe: HairRecipe) -> np.ndarray:
    """Metres: longest at the brow, tapered to the nape and before the ears."""
    front = smoothstep(p[:, 2], scalp.centre[2], scalp.marks.eye[2])
    back = recipe.recession > _BALDING
    sides = (0.003, 0.006, 0.012, 0.020, 0.038, 0.044) if back else (0.003, 0.005, 0.008, 0.013, 0.034, 0.046)
    length = np.interp(height(p, scalp), [-0.55, -0.2, 0.15, 0.45, 0.70, 1.0], sides)
    return length * (1 + 0.22 * front) * recipe.length


def _grow(roots: Roots, scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> np.ndarray:
    marks, p = scalp.marks, roots.points
    back = recipe.recession > _BALDING
    n = len(roots)
    # What is combed aside ends where the head turns down: there hair lies, and is cut shorter.
    steep = np.zeros((n, 1)) if back else smoothstep(np.abs(roots.normals[:, :1]), 0.35, 0.75)
    length = _lengths(p, scalp, recipe) * rng.uniform(0.72, 1.06, n) * (1 - 0.45 * steep[:, 0])
    top = smoothstep(height(p, scalp), 0.42, 0.74)[:, None] * (1 - 0.85 * steep)
    front = smoothstep(p[:, 2], scalp.centre[2] + 0.02, marks.eye[2] + 0.004)[:, None]
    one = np.ones(n)
    lying = np.stack([0 * one, -0.85 * one, -0.40 * one], 1)
    # Before the ears hair grows down, behind them back.
    lying[:, 2] += 0.5 * smoothstep(p[:, 2], marks.ear[2] + 0.005, marks.ear[2] + 0.035)
    whorl = marks.crown + np.array([0.012, -0.004, -0.045])
    away = cv.unit(p - whorl)
    turned = cv.unit(np.cross(away, roots.normals))
    if back:
        combed = np.stack([0.25 * np.sign(p[:, 0]), 0.10 * one, -0.95 * one], 1)
    else:
        aside = -np.sign(recipe.parting_m) * smoothstep(
            p[:, 0] * -np.sign(recipe.parting_m), -abs(recipe.parting_m) - 0.004, -abs(recipe.parting_m) + 0.012
        )
        aside = np.where(aside == 0, np.sign(recipe.parting_m) * 0.55, aside)
        combed = np.stack([0.85 * aside, 0.25 * one, 0.30 * one], 1)
        combed = combed + front * np.stack([0 * one, 0.20 * one, 0.30 * one], 1)
        combed = combed * front + (1 - front) * (0.75 * combed + 0.65 * away + 0.35 * turned)
    flow = cv.unit(lying * (1 - top) + combed * top)
    flow = flow + 0.32 * np.stack([gradient_noise(p, 75, seed + 600 + c) for c in range(3)], 1) * (0.4 + 0.6 * top)
    rise = 0.26 + 0.50 * front * top + 0.22 * top
    rise = (0.6 * rise if back else rise - 0.20 * (1 - top)) * recipe.volume
    velocity = cv.unit(rise * roots.normals + 0.8 * flow + 0.10 * rng.normal(size=(n, 3)))
    # Combed aside, hair lies down over the side of the head; combed back, it may stand.
    lies = 0.0 if back else 0.85
    position, path = p.copy(), [p.copy()]
    step = length / (_POINTS - 1)
    for i in range(1, _POINTS):
        s = i / (_POINTS - 1)
        normal = scalp.field.gradient(position)
        outward = (flow * normal).sum(1, keepdims=True)
        along = flow - np.where(outward > 0, lies, 1.0) * outward * normal
        wanted = cv.unit(along + (0.25 - 0.55 * s) * rise * normal + np.array([0.0, -0.95 * s, 0.0]) * top)
        velocity = cv.unit(0.80 * velocity + 0.20 * wanted)
        position = position + velocity * step[:, None]
        path.append(position)
    return cv.kept_out(np.stack(path, 1), scalp.field, 0.0005)
