"""Shaping bundles of curves: arrays (n, k, 3), root first, metres."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from avatar.creation.forge.fibres import DistanceField
from avatar.creation.forge.noise import gradient_noise, smoothstep

__all__ = [
    "along",
    "clumped",
    "coiled",
    "followed",
    "frizzed",
    "kept_out",
    "lengths",
    "locks_of",
    "relaxed",
    "resampled",
    "trimmed",
    "unit",
]

Curves = Float[np.ndarray, "n k 3"]


def unit(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Vectors of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def along(k: int) -> Float[np.ndarray, "1 k 1"]:
    """0 at the root .. 1 at the tip."""
    return np.linspace(0, 1, k)[None, :, None]


def lengths(curves: Curves) -> Float[np.ndarray, " n"]:
    """Arc lengths."""
    return np.linalg.norm(np.diff(curves, axis=1), axis=2).sum(1)


def resampled(curves: Curves, k: int, reach: Float[np.ndarray, " n"] | float = 1.0) -> Float[np.ndarray, "n k 3"]:
    """`k` points evenly spaced over the first `reach` (0..1) of each curve's length."""
    n, m, _ = curves.shape
    run = np.concatenate([np.zeros((n, 1)), np.cumsum(np.linalg.norm(np.diff(curves, axis=1), axis=2), axis=1)], 1)
    at = np.linspace(0, 1, k)[None] * (run[:, -1] * np.broadcast_to(reach, n))[:, None]
    low = np.clip((run[:, None, :] <= at[:, :, None]).sum(2) - 1, 0, m - 2)
    start, end = np.take_along_axis(run, low, 1), np.take_along_axis(run, low + 1, 1)
    f = np.clip((at - start) / np.maximum(end - start, 1e-12), 0, 1)[..., None]
    rows = np.arange(n)[:, None]
    return curves[rows, low] * (1 - f) + curves[rows, low + 1] * f


def trimmed(curves: Curves, share: Float[np.ndarray, " n"] | float) -> Curves:
    """The first `share` of each curve."""
    return resampled(curves, curves.shape[1], share)


def kept_out(curves: Curves, field: DistanceField, clearance_m: float | np.ndarray = 0.0006) -> Curves:
    """Points inside the head, or nearer to it than `clearance_m`, moved out."""
    flat = curves.reshape(-1, 3)
    wanted = np.broadcast_to(np.asarray(clearance_m, float), curves.shape[:2]).ravel()
    deep = np.clip(wanted - field.at(flat), 0, None)
    inside = deep > 0
    out = flat.copy()
    out[inside] += field.gradient(flat[inside]) * deep[inside, None]
    return out.reshape(curves.shape)


def relaxed(
    curves: Curves,
    field: DistanceField,
    height_m: Float[np.ndarray, "n k"],
    rounds: int,
    hug: Float[np.ndarray, "n k"] | float = 1.0,
    pinned: int = 2,
) -> Curves:
    """Pull curves taut over the head like combed hair: smooth them and lay them back at a height above it.

    Args:
        height_m: wanted distance to the skin of every point.
        rounds: of smoothing.
        hug: how firmly a point that floats above that height is drawn down to it, 0..1.
        pinned: points at either end that stay.
    """
    out = curves.copy()
    for _ in range(rounds):
        middle = 0.5 * (out[:, 2:] + out[:, :-2])
        out[:, 1:-1] += 0.9 * (middle - out[:, 1:-1])
        flat = out.reshape(-1, 3)
        gap = (height_m.ravel() - field.at(flat)).reshape(out.shape[:2])
        step = np.where(gap > 0, gap, np.asarray(hug) * np.maximum(gap, -0.004))
        move = field.gradient(flat).reshape(out.shape) * step[..., None]
        inner = slice(pinned, out.shape[1] - pinned)
        out[:, inner] += move[:, inner]
        out[:, : pinned - 1] = curves[:, : pinned - 1]
        out[:, out.shape[1] - 1 :] = curves[:, out.shape[1] - 1 :]
    return out


def followed(
    guides: Curves,
    guide_roots: Float[np.ndarray, "g 3"],
    roots: Float[np.ndarray, "n 3"],
    kin: tuple[Int[np.ndarray, " g"], Int[np.ndarray, " n"]] | None = None,
    neighbours: int = 3,
) -> Curves:
    """A curve from each root that runs as the nearest guides do.

    Args:
        kin: family of each guide and of each root; a curve follows guides of its own family only (no strand crosses
            a parting).
    """
    n, k = len(roots), guides.shape[1]
    shape = guides - guides[:, :1]
    out = np.empty((n, k, 3))
    families = np.zeros(n, int) if kin is None else kin[1]
    for family in np.unique(families):
        mine = np.flatnonzero(families == family)
        theirs = np.arange(len(guides)) if kin is None else np.flatnonzero(kin[0] == family)
        distance, index = cKDTree(guide_roots[theirs]).query(roots[mine], k=min(neighbours, len(theirs)))
        distance, index = distance.reshape(len(mine), -1), index.reshape(len(mine), -1)
        weight = 1 / (distance + 1e-4) ** 2
        weight /= weight.sum(1, keepdims=True)
        # Away from the root a strand keeps its place among its neighbours, drawn together a little.
        out[mine] = roots[mine][:, None] + np.einsum("ng,ngkc->nkc", weight, shape[theirs][index])
    return out


def clumped(
    curves: Curves,
    centres: Int[np.ndarray, " n"],
    strength: Float[np.ndarray, "n k"] | Float[np.ndarray, "1 k"],
) -> Curves:
    """Draw every curve towards another one, its lock's middle, by `strength` 0..1 along it."""
    return curves + np.broadcast_to(strength, curves.shape[:2])[..., None] * (curves[centres] - curves)


def locks_of(
    features: Float[np.ndarray, "n d"], count: int, rng: np.random.Generator, families: np.ndarray | None = None
) -> Int[np.ndarray, " n"]:
    """For each curve the curve in the middle of its lock; `count` locks, none across families."""
    n = len(features)
    chosen = rng.choice(n, min(count, n), replace=False)
    out = np.empty(n, int)
    groups = np.zeros(n, int) if families is None else families
    for family in np.unique(groups):
        mine = np.flatnonzero(groups == family)
        middle = chosen[groups[chosen] == family]
        out[mine] = middle[cKDTree(features[middle]).query(features[mine])[1]] if len(middle) else mine
    return out


def _frames(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across each curve, carried along it without twist (double reflection).

    Reference: W. Wang et al., "Computation of Rotation Minimizing Frames" (2008).
    """
    tangents = unit(np.gradient(curves, axis=1))
    k = curves.shape[1]
    helper = np.where(np.abs(tangents[:, 0, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    first = unit(np.cross(tangents[:, 0], helper))
    across = np.empty_like(curves)
    across[:, 0] = first
    for i in range(k - 1):
        v1 = curves[:, i + 1] - curves[:, i]
        c1 = np.maximum((v1 * v1).sum(1, keepdims=True), 1e-20)
        r = across[:, i] - 2 / c1 * (v1 * across[:, i]).sum(1, keepdims=True) * v1
        t = tangents[:, i] - 2 / c1 * (v1 * tangents[:, i]).sum(1, keepdims=True) * v1
        v2 = tangents[:, i + 1] - t
        c2 = np.maximum((v2 * v2).sum(1, keepdims=True), 1e-20)
        across[:, i + 1] = r - 2 / c2 * (v2 * r).sum(1, keepdims=True) * v2
    return across, np.cross(tangents, across)


def coiled(
    curves: Curves,
    radius_m: Float[np.ndarray, "n k"],
    turns: Float[np.ndarray, "n k"],
    squash: float = 1.0,
) -> Curves:
    """Wind curves into helices around themselves.

    Args:
        radius_m: of the helix along each curve.
        turns: angle along each curve, radians.
        squash: height of the helix's cross-section over its width: 1 a coil, 0 a flat wave.
    """
    a, b = _frames(curves)
    wave = np.cos(turns)[..., None] * a + squash * np.sin(turns)[..., None] * b
    return curves + radius_m[..., None] * (wave - wave[:, :1])


def frizzed(
    curves: Curves,
    amount_m: Float[np.ndarray, "n k"] | float,
    frequency: float,
    rng: np.random.Generator,
    own: float = 0.3,
) -> Curves:
    """Bend curves this way and that, more towards the tip.

    Args:
        amount_m: displacement.
        frequency: bends a metre.
        own: how much a curve goes its own way rather than its neighbours', 0..1.
    """
    n, k, _ = curves.shape
    seed = int(rng.integers(1 << 30))
    shift = own * rng.normal(0, 0.35 / frequency * 4, (n, 1, 3))
    place = (curves + shift).reshape(-1, 3)
    noise = np.stack([gradient_noise(place, frequency, seed + c) for c in range(3)], 1).reshape(n, k, 3)
    grow = smoothstep(along(k), 0.0, 0.35)
    return curves + np.broadcast_to(np.asarray(amount_m), (n, k))[..., None] * grow * (noise - noise[:, :1])
