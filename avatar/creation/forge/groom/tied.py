"""Hair combed to a knot at the nape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avatar.creation.forge.groom import curves as cv
from avatar.creation.forge.groom.bundle import Bundle, density, gathered, height, streaks
from avatar.creation.forge.groom.scalp import Roots, Scalp
from avatar.creation.forge.hair_recipe import HairRecipe, hairline_m
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["tied"]


def tied(scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> list[Bundle]:
    """Parted, combed loosely over the ears to a low twisted knot; strands by the temples have slipped out."""
    marks, k = scalp.marks, 30
    knot = scalp.skin_behind(0.0, marks.ear[1] + 0.012) + np.array([0.0, 0.0, 0.004])

    def side_of(p: np.ndarray) -> np.ndarray:
        ragged = 0.0012 * np.sin(p[:, 2] * 260) + 0.0008 * np.sin(p[:, 2] * 610 + 1)
        # Behind the crown hairs of either side cross, and nothing is parted.
        ragged = ragged + 0.020 * smoothstep(scalp.centre[2] - p[:, 2], 0.030, 0.055) * rng.normal(size=len(p))
        return np.where(
            p[:, 0] > recipe.parting_m * smoothstep(p[:, 2], scalp.centre[2] - 0.06, scalp.centre[2] + 0.02) + ragged,
            1,
            -1,
        )

    def route(roots: np.ndarray, side: np.ndarray, lift: np.ndarray) -> np.ndarray:
        """From the root round the side of the head to the knot."""
        front = smoothstep(roots[:, 2], scalp.centre[2] - 0.02, marks.eye[2] + 0.005)
        top = smoothstep(height(roots, scalp), 0.15, 0.75)
        aside = np.stack(
            [
                side * (0.076 + 0.006 * top),
                marks.ear[1] + 0.030 + 0.060 * (1 - front) + 0.010 * rng.normal(size=len(roots)) * 0.3,
                np.full(len(roots), scalp.centre[2] + 0.008) - 0.03 * (1 - front),
            ],
            1,
        )
        share = (0.15 + 0.85 * front * top)[:, None]
        # Behind the crown nothing is parted: hairs near the middle run straight down to the knot.
        apart = 0.02 * side * np.maximum(front, smoothstep(np.abs(roots[:, 0]), 0.004, 0.034))
        direct = 0.5 * (roots + knot) + np.stack([apart, 0 * side, -0.01 + 0 * side], 1)
        middle = direct + share * (aside - direct)
        control = 2 * middle - 0.5 * (roots + knot)
        t = cv.along(k)
        path = (1 - t) ** 2 * roots[:, None] + 2 * t * (1 - t) * control[:, None] + t**2 * knot
        h = lift[:, None] * np.sin(np.pi * np.clip(t[..., 0], 0, 1) ** 0.65) ** 0.8 + 0.0012
        return cv.relaxed(cv.resampled(path, k), scalp.field, h, 34, hug=0.7)

    thick = density(scalp, recipe, seed)
    place = scalp.surface.vertices
    parting = np.exp(-0.5 * ((place[:, 0] - recipe.parting_m) / 0.016) ** 2) * smoothstep(
        height(place, scalp), 0.4, 0.7
    )
    # Where hair is parted, and along the brow, it has to cover the scalp from its very roots.
    edge = np.exp(-0.5 * ((hairline_m(place, marks, recipe, seed) - 0.006) / 0.006) ** 2) * (
        place[:, 2] > scalp.centre[2]
    )
    thick = thick * (1 + 2.6 * parting + 1.6 * edge)
    guides = scalp.scatter(np.minimum(thick, 0.6), min(2600, 200 + recipe.strands // 10), rng)
    guide_side = side_of(guides.points)
    puff = 0.003 + 0.009 * smoothstep(height(guides.points, scalp), 0.35, 0.95)
    lines = route(guides.points, guide_side, puff * recipe.volume)

    count = recipe.strands
    roots = scalp.scatter(thick, count, rng)
    side = side_of(roots.points)
    hair = cv.followed(lines, guides.points, roots.points, (guide_side, side))
    hair = gathered(hair, side, rng, locks=(300, 1700), pull=(0.45, 0.80))
    # Strands lie in layers, and whole locks stand higher than their neighbours: their shadows draw the comb.
    layer = 0.0034 * rng.beta(1.4, 1.2, count) + 0.0030 * np.clip(
        gradient_noise(hair[:, k // 3], 95, seed + 3) + 0.3, 0, 1
    )
    out = cv.unit(scalp.field.gradient(hair.reshape(-1, 3))).reshape(hair.shape)
    hair = hair + out * (layer[:, None] * smoothstep(cv.along(k)[..., 0], 0.02, 0.22))[..., None]
    hair = cv.frizzed(hair, 0.0026, 42, rng, 0.10)
    hair = cv.frizzed(hair, 0.0008, 240, rng, 0.8)
    tail = _bun(hair[:, -3:], knot, scalp, rng)
    # The ends of the combed part glide into the knot.
    whole = np.concatenate([hair[:, :-2], tail], 1)
    whole[:, k - 4 : k + 3] = _smoothed(whole[:, k - 6 : k + 5])[:, 2:-2]
    whole = cv.kept_out(whole, scalp.field, 0.0007)
    radius = rng.uniform(4.2e-5, 6.2e-5, count)

    stray = cv.followed(
        lines,
        guides.points,
        (pick := roots.select(rng.integers(0, count, count // 28))).points,
        (guide_side, side_of(pick.points)),
    )
    stray = cv.trimmed(stray, rng.uniform(0.25, 0.95, len(stray)))
    lift = rng.gamma(1.6, 0.0035, len(stray))[:, None] * smoothstep(cv.along(k)[..., 0], 0.05, 0.8)
    stray = stray + cv.unit(scalp.field.gradient(stray.reshape(-1, 3))).reshape(stray.shape) * lift[..., None]
    stray = cv.kept_out(cv.frizzed(stray, 0.006, 38, rng, 1.0), scalp.field)

    bundles = [
        Bundle("hair", whole, radius, 0.5, streaks(roots.points, seed)),
        Bundle("stray", stray, rng.uniform(1.8e-5, 2.8e-5, len(stray)), 0.8),
        _baby(scalp, recipe, rng, seed, lines, guides, guide_side, side_of),
        _tendrils(scalp, recipe, rng, seed),
    ]
    return bundles


def _smoothed(curves: np.ndarray, rounds: int = 8) -> np.ndarray:
    out = curves.copy()
    for _ in range(rounds):
        out[:, 1:-1] = 0.5 * out[:, 1:-1] + 0.25 * (out[:, 2:] + out[:, :-2])
    return out


def _bun(ends: np.ndarray, knot: np.ndarray, scalp: Scalp, rng: np.random.Generator) -> np.ndarray:
    """Once and a half around a twisted ring at the nape: (n, 26, 3)."""
    n, k = len(ends), 26
    axis = cv.unit(np.array([0.0, -0.15, -1.0]))
    right = np.array([1.0, 0.0, 0.0])
    up = np.cross(axis, right)
    centre = knot + axis * 0.017
    arrive = ends[:, 0] - knot
    start = np.arctan2(arrive @ up, arrive @ right)
    t = np.linspace(0, 1, k)[None]
    # Locks share their way round the ring, so that it looks wound and not felted.
    ropes = np.random.default_rng(5)
    lock = np.round((start + np.pi) / (2 * np.pi) * 40).astype(int) * 5 + rng.integers(0, 5, n)
    n_locks = lock.max() + 1

    def each(low: float, high: float) -> np.ndarray:
        return ropes.uniform(low, high, n_locks)[lock][:, None]

    theta = start[:, None] + 2 * np.pi * each(0.55, 1.25) * t
    phi = each(0, 2 * np.pi) + 2 * np.pi * 0.9 * t + 0.30 * rng.normal(size=(n, 1))
    grow = smoothstep(t, 0.0, 0.25)
    minor = (each(0.0050, 0.0115) + 0.0008 * rng.normal(size=(n, 1))) * grow
    major = 0.004 + each(0.004, 0.0135) * grow + 0.0012 * np.sin(3 * theta + 1)
    radial = np.cos(theta)[..., None] * right + np.sin(theta)[..., None] * up
    height = 0.85 * minor * np.sin(phi) - 0.010 * (1 - grow) + each(-0.15, 0.15) * major * np.sin(theta + each(0, 6.3))
    out = centre + (major + minor * np.cos(phi))[..., None] * radial + height[..., None] * axis
    return cv.frizzed(out, 0.0022, 60, rng, 0.2)


def _baby(
    scalp: Scalp,
    recipe: HairRecipe,
    rng: np.random.Generator,
    seed: int,
    lines: np.ndarray,
    guides: Roots,
    guide_side: np.ndarray,
    side_of: Callable[[np.ndarray], np.ndarray],
) -> Bundle:
    """Short fine hairs along the hairline that escape the comb."""
    edge = hairline_m(scalp.surface.vertices, scalp.marks, recipe, seed)
    band = np.exp(-0.5 * ((edge - 0.001) / 0.0035) ** 2) * (scalp.surface.vertices[:, 2] > scalp.centre[2] - 0.05)
    roots = scalp.scatter(band, 1500, rng)
    hair = cv.followed(lines, guides.points, roots.points, (guide_side, side_of(roots.points)))
    length = rng.gamma(2.2, 0.0065, len(hair)) + 0.004
    hair = cv.resampled(hair, 12, np.clip(length / cv.lengths(hair), 0.01, 1))
    t = cv.along(12)
    hair = hair + roots.normals[:, None] * (
        0.25 * length[:, None, None] * t * (1 - 0.6 * t) * rng.uniform(0, 1, (len(hair), 1, 1))
    )
    hair = cv.frizzed(hair, 0.22 * length[:, None] * np.ones((1, 12)), 70, rng, 1.0)
    return Bundle("baby", cv.kept_out(hair, scalp.field, 0.0003), rng.uniform(1.0e-5, 2.0e-5, len(hair)), 0.8)


def _tendrils(scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> Bundle:
    """A few thin waved locks that have slipped out by the temples and hang before the ears."""
    marks, k = scalp.marks, 28
    edge = hairline_m(scalp.surface.vertices, marks, recipe, seed)
    parts = []
    for side, reach, count, phase in (
        (1.0, 0.112, 70, 0.4),
        (1.0, 0.070, 36, 2.0),
        (-1.0, 0.098, 60, 1.3),
        (-1.0, 0.060, 30, 3.0),
    ):
        vertices = scalp.surface.vertices
        place = np.array([side * 0.066, marks.brow_y + 0.018, marks.eye[2] - 0.026])
        near = np.exp(-0.5 * ((vertices - place) / 0.006).__pow__(2).sum(1)) * (edge > 0)
        roots = scalp.scatter(near + 1e-9 * (edge > 0), count, rng)
        t = cv.along(k)[..., 0]
        fall = np.stack(
            [
                side * (0.004 + 0.012 * smoothstep(t, 0.0, 0.35) - 0.012 * smoothstep(t, 0.5, 1.0)),
                0.006 * np.sin(np.pi * np.clip(t / 0.25, 0, 1)) - reach * t**1.15,
                0.010 * np.sin(np.pi * np.clip(t / 0.5, 0, 1)) + 0.006 * t,
            ],
            -1,
        )
        middle = roots.points.mean(0) + fall
        spread = (roots.points - roots.points.mean(0))[:, None] * (1 - 0.75 * smoothstep(t, 0.0, 0.4)[..., None])
        hair = middle + spread
        own = rng.normal(0, 0.0026, (count, 1, 3)) * smoothstep(t, 0.1, 1.0)[..., None]
        hair = hair + own
        wave = 0.0055 * recipe.wave * smoothstep(t, 0.15, 0.7)
        turns = 2 * np.pi * reach / 0.055 * t + phase + 0.3 * rng.normal(size=(count, 1))
        hair = cv.coiled(hair, np.repeat(wave, count, 0), turns, 0.45)
        hair = cv.trimmed(hair, rng.uniform(0.62, 1.0, count))
        parts.append(cv.kept_out(cv.frizzed(hair, 0.002, 60, rng, 0.8), scalp.field, 0.001))
    curves = np.concatenate(parts)
    return Bundle("tendrils", curves, rng.uniform(2.4e-5, 3.8e-5, len(curves)), 0.75)
