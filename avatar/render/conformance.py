"""Scenes that bite, and how far a backend's pictures of them are from exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.arkit import NAMES, indices
from avatar.render.probe import probe_avatar
from avatar.render.protocol import Background, Renderer
from avatar.render.reference import ReferenceRenderer

__all__ = [
    "EXPRESSION_THRESHOLD_DB",
    "SCENES",
    "THRESHOLD_DB",
    "Scene",
    "conformance_db",
    "expression_db",
    "psnr_db",
]

THRESHOLD_DB = {"cpu": 60.0, "gsplat": 60.0, "opengl": 55.0, "reference": 120.0}
"""What each backend must reach on every scene; OpenGL cannot stop at a finished pixel as the others do."""
EXPRESSION_THRESHOLD_DB = 54.0
"""What each must reach on `expression_db`: bytes that are one off now and then."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Something to draw."""

    cloud: GaussianCloud
    camera: Camera
    background: Background = None


def psnr_db(a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."]) -> float:
    """Peak signal-to-noise ratio of values clipped to 0..1, all channels alike; 200 for equal ones."""
    error = float(np.mean((np.clip(a, 0, 1).astype(np.float64) - np.clip(b, 0, 1)) ** 2))
    return 200.0 if error < 1e-20 else -10 * math.log10(error)


def conformance_db(renderer: Renderer, scene: Scene) -> float:
    """The PSNR of a backend's picture of a scene, alpha included, against the exact one."""
    exact = ReferenceRenderer().render_exact(scene.cloud, scene.camera, scene.background)
    return psnr_db(renderer.render(scene.cloud, scene.camera, scene.background), exact)


def expression_db(renderer: Renderer) -> float:
    """The PSNR of a backend's picture of an avatar whose expression changes colors, in bytes."""
    avatar = probe_avatar(2000, sh_degree=2, expressive=True)
    weights = np.zeros(len(NAMES), np.float32)
    weights[indices("jawOpen", "browInnerUp")] = 0.7, 0.4
    params = avatar.head.neutral().replace(blendshape_weights=weights)
    camera = Camera.orbit(96, 112, 20, 5, target=(0, 0, 0))
    exact = ReferenceRenderer().draw(avatar, params, camera)
    return psnr_db(renderer.draw(avatar, params, camera) / 255, exact / 255)


def _cloud(
    rng: np.random.Generator,
    means: np.ndarray,
    scales: np.ndarray,
    opacities: np.ndarray | float,
    sh_degree: int = 0,
) -> GaussianCloud:
    n = len(means)
    sh = rng.normal(scale=0.25, size=(n, (sh_degree + 1) ** 2, 3))
    sh[:, 0] = rng.uniform(-1.6, 1.9, (n, 3))  # some clip at zero, some go above one

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    return GaussianCloud(
        tensor(means),
        tensor(rng.normal(size=(n, 4))),
        tensor(np.broadcast_to(scales, (n, 3))),
        tensor(np.broadcast_to(opacities, n)),
        tensor(sh),
    )


def _ball(rng: np.random.Generator, n: int, radius_m: float = 0.1) -> np.ndarray:
    return rng.normal(size=(n, 3)) * radius_m / 2


def _head_like(sh_degree: int, width: int = 160, height: int = 160, background: Background = None) -> Scene:
    rng = np.random.default_rng(sh_degree)
    means = _ball(rng, 3000)
    scales = np.exp(rng.normal(math.log(0.002), 0.6, (3000, 3)))
    cloud = _cloud(rng, means, scales, np.clip(rng.normal(0.85, 0.15, 3000), 0.02, 0.995), sh_degree)
    return Scene(cloud, Camera.orbit(width, height, 25, 10, target=(0, 0, 0)), background)


def _needles() -> Scene:
    """A thousand times as long as thin, many of them longer than the picture."""
    rng = np.random.default_rng(11)
    scales = np.stack([rng.uniform(0.01, 0.3, 400), *rng.uniform(1e-5, 2e-4, (2, 400))], 1)
    return Scene(_cloud(rng, _ball(rng, 400), scales, rng.uniform(0.2, 0.9, 400)), Camera.orbit(144, 112))


def _huge() -> Scene:
    """Larger than the picture, with small ones among them."""
    rng = np.random.default_rng(12)
    scales = np.concatenate([rng.uniform(0.2, 3.0, (25, 3)), rng.uniform(0.001, 0.004, (400, 3))])
    opacities = np.concatenate([rng.uniform(0.02, 0.3, 25), rng.uniform(0.3, 0.9, 400)])
    return Scene(_cloud(rng, _ball(rng, 425), scales, opacities), Camera.orbit(96, 128), (0.2, 0.9, 0.4))


def _behind() -> Scene:
    """All around the camera: behind it, in its plane, and just before the near plane."""
    rng = np.random.default_rng(13)
    camera = Camera.orbit(128, 96, target=(0, 0, 0))
    means = camera.position + rng.normal(size=(1500, 3)) * 0.4
    means[:300] = camera.position - np.array([0, 0, 1]) * rng.uniform(0.0, 0.03, (300, 1))
    return Scene(_cloud(rng, means, rng.uniform(0.0005, 0.01, (1500, 3)), rng.uniform(0.1, 0.8, 1500)), camera)


def _all_behind() -> Scene:
    scene = _behind()
    keep = scene.cloud.means[:, 2] > float(scene.camera.position[2])
    kept = GaussianCloud(*(getattr(scene.cloud, f)[keep] for f in ("means", "quats", "scales", "opacities", "sh")))
    return Scene(kept, scene.camera, (0.3, 0.2, 0.1))


def _edges() -> Scene:
    """A wide view, most Gaussians on its edges or beyond: the clamp of the linearised projection at work."""
    rng = np.random.default_rng(14)
    camera = Camera.orbit(120, 88, target=(0, 0, 0), distance_m=0.5, fov_deg=75)
    n = 1200
    turn = rng.uniform(0, 2 * np.pi, n)
    out = rng.uniform(0.25, 0.9, n)
    means = np.stack([out * np.cos(turn), out * np.sin(turn), rng.uniform(-0.2, 0.35, n)], 1)
    return Scene(_cloud(rng, means, rng.uniform(0.002, 0.08, (n, 3)), rng.uniform(0.05, 0.7, n)), camera)


def _faint_and_solid() -> Scene:
    """Opacities on both sides of 1/255 and of 0.999."""
    rng = np.random.default_rng(15)
    n = 3000
    opacities = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 0.012, n), rng.uniform(0.99, 1.0, n))
    opacities[:40], opacities[40:80] = 0.0, 1.0
    cloud = _cloud(rng, _ball(rng, n), rng.uniform(0.0005, 0.006, (n, 3)), opacities)
    return Scene(cloud, Camera.orbit(128, 128), (1.0, 1.0, 1.0))


def _crowd() -> Scene:
    """Thousands on top of one another in a pixel or so, in depth order."""
    rng = np.random.default_rng(16)
    n = 4000
    means = rng.normal(size=(n, 3)) * [0.0015, 0.0015, 0.05]
    return Scene(
        _cloud(rng, means, rng.uniform(0.0001, 0.002, (n, 3)), rng.uniform(0.004, 0.3, n)),
        Camera.orbit(24, 24, target=(0, 0, 0), fov_deg=2),
    )


def _empty() -> Scene:
    rng = np.random.default_rng(17)
    return Scene(_cloud(rng, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)), Camera.orbit(40, 30), (0.1, 0.5, 0.9))


def _one_pixel() -> Scene:
    scene = _head_like(1)
    return Scene(scene.cloud, Camera.orbit(1, 1, fov_deg=3), None)


SCENES: dict[str, Callable[[], Scene]] = {
    "SH degree 0": lambda: _head_like(0),
    "SH degree 1, colored background": lambda: _head_like(1, background=(0.25, 0.5, 0.75)),
    "SH degree 2": lambda: _head_like(2),
    "SH degree 3, white background": lambda: _head_like(3, background=(1.0, 1.0, 1.0)),
    "odd size": lambda: _head_like(1, 161, 97),
    "narrower than a tile": lambda: _head_like(0, 13, 203, (0.0, 0.0, 0.0)),
    "one pixel": _one_pixel,
    "needles": _needles,
    "huge": _huge,
    "behind the camera": _behind,
    "all behind the camera": _all_behind,
    "edges of the view": _edges,
    "faint and solid": _faint_and_solid,
    "crowd in a pixel": _crowd,
    "empty": _empty,
}
"""By name: how to make each."""
