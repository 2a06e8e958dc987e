"""Natural curls: coils of a pencil's width that stand off the head in a round shape."""

from __future__ import annotations

import numpy as np

from avatar.creation.forge.groom import curves as cv
from avatar.creation.forge.groom.bundle import Bundle, density, height
from avatar.creation.forge.groom.scalp import Scalp
from avatar.creation.forge.hair_recipe import HairRecipe, hairline_m
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = ["curly"]

_POINTS = (36, 60)
"""Of a hair, the shortest and the longest."""
_HAIRS_A_LOCK = 18


def curly(scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> list[Bundle]:
    """Every lock grows outwards, droops a little, and winds; a few hairs of each go their own way."""
    marks = scalp.marks
    thick = density(scalp, recipe, seed, 0.010)
    # Where it is short no hair lies over another's root: there have to be more of them to cover the scalp.
    n_locks = int(recipe.strands * max(1.0, 2 - recipe.length)) // _HAIRS_A_LOCK
    starts = scalp.scatter(thick, n_locks, rng)
    reach = _reach(starts.points, scalp, recipe) * rng.uniform(0.80, 1.08, n_locks)
    points = int(np.interp(recipe.length, (0.4, 1.0), _POINTS))
    axes = _grow(starts.points, starts.normals, reach, points, scalp, rng, seed)
    edge = hairline_m(starts.points, marks, recipe, seed)
    small = 0.45 + 0.55 * smoothstep(edge, 0.0, 0.020)

    lock = np.repeat(np.arange(n_locks), _HAIRS_A_LOCK)
    n = len(lock)
    t = cv.along(points)[..., 0]
    spread = rng.normal(0, 0.0034 * min(1.0, recipe.wave**0.5), (n, 3))
    spread -= (spread * starts.normals[lock]).sum(1, keepdims=True) * starts.normals[lock]
    # Short hair stands too close to hang together in locks; in locks it would bare the scalp between them.
    hang = 0.80 * min(1.0, recipe.length) ** 0.6
    hair = axes[lock] + spread[:, None] * (1 - hang * smoothstep(t, 0.0, 0.28))[..., None]
    radius = (0.0044 * recipe.wave * small * rng.uniform(0.65, 1.25, n_locks))[lock]
    pitch = 0.0120 * max(recipe.wave, 0.1) ** 0.7 * rng.uniform(0.8, 1.25, n_locks)[lock]
    phase = rng.uniform(0, 2 * np.pi, n_locks)[lock]
    alone = rng.random(n) < 0.12
    phase = phase + np.where(alone, rng.uniform(0, 2 * np.pi, n), rng.normal(0, 0.32, n))
    radius = radius * np.where(alone, rng.uniform(0.7, 1.5, n), rng.normal(1.0, 0.10, n))
    handed = np.where(rng.random(n_locks) < 0.5, -1.0, 1.0)[lock]
    run = t * cv.lengths(hair)[:, None]
    turns = phase[:, None] + handed[:, None] * 2 * np.pi * run / pitch[:, None]
    hair = cv.coiled(hair, radius[:, None] * smoothstep(t, 0.02, 0.22) * (1 - 0.25 * t), turns)
    hair = cv.frizzed(hair, 0.0007, 150, rng, 1.0)
    # Each coil ends where it likes, or the outline would be clipped like a hedge.
    hair = cv.trimmed(hair, rng.uniform(0.70, 1.0, n_locks)[lock] * rng.uniform(0.9, 1.0, n))
    hair = cv.kept_out(hair, scalp.field, 0.0007)

    stray = hair[rng.integers(0, n, n // 26)]
    stray = stray + rng.normal(0, 0.006, (len(stray), 1, 3)) * smoothstep(t, 0.2, 1.0)[..., None]
    stray = cv.kept_out(cv.frizzed(stray, 0.004, 60, rng, 1.0), scalp.field)
    return [
        Bundle("hair", hair, rng.uniform(4.4e-5, 6.2e-5, n), 0.4),
        Bundle("stray", stray, rng.uniform(2.4e-5, 3.4e-5, len(stray)), 0.6),
        _edge(scalp, recipe, rng, seed),
    ]


def _reach(p: np.ndarray, scalp: Scalp, recipe: HairRecipe) -> np.ndarray:
    """How far the hair stands off: most on top and behind, least at the brow and the nape; cut short, it is tapered."""
    marks = scalp.marks
    front = smoothstep(p[:, 2], marks.ear[2] + 0.045, marks.ear[2] + 0.10)
    high = height(p, scalp)
    length = np.interp(high, [-0.6, -0.1, 0.35, 1.0], [0.030, 0.046, 0.058, 0.062])
    taper = np.clip(1 - recipe.length, 0, 0.8) * (1 - smoothstep(high, 0.15, 0.85))
    return length * (1 - 0.30 * front) * (1 - taper) * recipe.length


def _grow(
    roots: np.ndarray,
    normals: np.ndarray,
    reach: np.ndarray,
    points: int,
    scalp: Scalp,
    rng: np.random.Generator,
    seed: int,
) -> np.ndarray:
    """The middles of the locks: out of the skin, then where the crowd and gravity send them."""
    n = len(roots)
    out = cv.unit(roots - scalp.centre + [0.0, 0.012, 0.0])
    velocity = cv.unit(0.75 * normals + 0.5 * out)
    position, path = roots.copy(), [roots.copy()]
    steps = 16
    own = rng.normal(0, 0.30, (n, 3))
    for i in range(1, steps):
        s = i / (steps - 1)
        swirl = np.stack([gradient_noise(position, 42, seed + 900 + c) for c in range(3)], 1)
        fall = np.array([0.0, -0.75, 0.0]) * s * (0.35 + 0.65 * (1 - np.abs(out[:, 1:2])))
        wanted = cv.unit(out + own * 0.6 + 0.75 * swirl + fall)
        velocity = cv.unit(0.68 * velocity + 0.32 * wanted)
        position = position + velocity * (reach / (steps - 1))[:, None]
        path.append(position)
    return cv.resampled(np.stack(path, 1), points)


def _edge(scalp: Scalp, recipe: HairRecipe, rng: np.random.Generator, seed: int) -> Bundle:
    """Short soft hairs along the hairline, curled flat on the skin."""
    vertices = scalp.surface.vertices
    edge = hairline_m(vertices, scalp.marks, recipe, seed)
    band = np.exp(-0.5 * ((edge - 0.002) / 0.004) ** 2) * (vertices[:, 2] > scalp.centre[2] - 0.04)
    roots = scalp.scatter(band, 2200, rng)
    n, k = len(roots), 14
    side = np.sign(roots.points[:, :1])
    flow = np.concatenate([0.7 * side, np.full((n, 1), 0.15), np.full((n, 1), -0.35)], 1)
    flow = flow + 0.8 * np.stack([gradient_noise(roots.points, 120, seed + 700 + c) for c in range(3)], 1)
    flow = cv.unit(flow - (flow * roots.normals).sum(1, keepdims=True) * roots.normals)
    length = rng.gamma(3.0, 0.0035, n) + 0.003
    t = cv.along(k)
    line = roots.points[:, None] + length[:, None, None] * (
        flow[:, None] * t + 0.35 * roots.normals[:, None] * (t - 0.6 * t**2)
    )
    turns = rng.uniform(0, 6.3, (n, 1)) + 2 * np.pi * t[..., 0] * (length / 0.008)[:, None]
    line = cv.coiled(line, np.broadcast_to((0.0011 * t[..., 0]), (n, k)).copy(), turns, 0.8)
    return Bundle("baby", cv.kept_out(line, scalp.field, 0.0003), rng.uniform(1.6e-5, 3.0e-5, n), 0.7)
