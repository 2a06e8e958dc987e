"""Smooth random fields over space, for everything on skin, hair and cloth that should not look even."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numba import njit

__all__ = ["bumped", "fbm", "gradient_noise", "smoothstep"]

_TABLE = 256


@njit(cache=True, nogil=True)
def _gradient_noise(points: np.ndarray, gradients: np.ndarray, order: np.ndarray) -> np.ndarray:
    out = np.empty(points.shape[0])
    for p in range(points.shape[0]):
        fx, fy, fz = np.floor(points[p, 0]), np.floor(points[p, 1]), np.floor(points[p, 2])
        rx, ry, rz = points[p, 0] - fx, points[p, 1] - fy, points[p, 2] - fz
        ix, iy, iz = int(fx) & 255, int(fy) & 255, int(fz) & 255
        ux = rx * rx * rx * (rx * (rx * 6 - 15) + 10)
        uy = ry * ry * ry * (ry * (ry * 6 - 15) + 10)
        uz = rz * rz * rz * (rz * (rz * 6 - 15) + 10)
        total = 0.0
        for c in range(8):
            a, b, d = c & 1, (c >> 1) & 1, c >> 2
            g = gradients[order[(order[(order[(ix + a) & 255] + iy + b) & 255] + iz + d) & 255]]
            dot = g[0] * (rx - a) + g[1] * (ry - b) + g[2] * (rz - d)
            total += dot * (ux if a else 1 - ux) * (uy if b else 1 - uy) * (uz if d else 1 - uz)
        out[p] = total
    return out


def gradient_noise(points: Float[np.ndarray, "n 3"], frequency: float, seed: int) -> Float[np.ndarray, " n"]:
    """Gradient noise, about -0.7..0.7, `frequency` features per unit length.

    Reference: K. Perlin, "Improving Noise" (2002).
    """
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(_TABLE, 3))
    gradients *= 1.4 / np.linalg.norm(gradients, axis=1, keepdims=True)
    return _gradient_noise(
        np.ascontiguousarray(points, np.float64) * frequency + 37.3, gradients, rng.permutation(_TABLE)
    )


def fbm(points: Float[np.ndarray, "n 3"], frequency: float, seed: int, octaves: int = 4) -> Float[np.ndarray, " n"]:
    """Octaves of gradient noise, each twice as fine and half as strong."""
    return sum(
        (gradient_noise(points, frequency * 2.0**k, seed + 101 * k) * 0.5**k for k in range(octaves)),
        start=np.zeros(len(points)),
    )


def bumped(
    normals: Float[np.ndarray, "n 3"], points: Float[np.ndarray, "n 3"], height, step_m: float = 2e-4
) -> Float[np.ndarray, "n 3"]:
    """Normals of a surface raised by `height(points) -> metres`."""
    base = height(points)
    slope = np.stack([(height(points + step_m * np.eye(3)[k]) - base) / step_m for k in range(3)], 1)
    slope -= (slope * normals).sum(1, keepdims=True) * normals
    out = normals - slope
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)
