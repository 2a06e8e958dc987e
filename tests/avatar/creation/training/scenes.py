"""Small random scenes with a loss, for comparing ways back with one another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.training.splatting import Splatter, TensorCamera, frames_in_camera
from avatar.flame.skinning import axis_angle_to_matrix

__all__ = ["RAW", "SCENES", "Scene", "gradients", "loss_of", "made"]


@dataclass(frozen=True)
class Scene:
    """Gaussians on a few large triangles."""

    gaussians: int
    size: tuple[int, int]
    harmonics: int
    scale: float
    opaque: float = 0.0
    fov_deg: float = 20.0
    distance_m: float = 1.0


SCENES = {
    "degree 0": Scene(12, (24, 24), 1, 0.4),
    "degree 1": Scene(12, (24, 24), 4, 0.4),
    "degree 2": Scene(40, (24, 24), 9, 0.6, opaque=3),
    "degree 3": Scene(40, (40, 24), 16, 0.6),
    "crowded": Scene(300, (33, 49), 9, 0.5, opaque=3),
    "a pixel wide": Scene(200, (50, 50), 16, 0.12),
    "beyond the edges": Scene(60, (32, 24), 9, 0.8, fov_deg=75, distance_m=0.15),
}


def made(scene: Scene, seed: int) -> tuple[BoundGaussians, Tensor, Tensor, Camera]:
    """Gaussians on a few large triangles, the triangles' vertices and faces, and a camera."""
    r = np.random.default_rng(seed)
    vertices = torch.from_numpy(r.normal(size=(8, 3)) * 0.06).float()
    faces = torch.from_numpy(np.array([[0, 1, 2], [2, 1, 3], [3, 4, 5], [5, 6, 7], [0, 6, 4]]))
    n, k = scene.gaussians, scene.harmonics

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(r.normal(size=shape)).float()

    sh = 0.3 * normal(n, k, 3)
    sh[:, 0] = 1.2 * normal(n, 3) + 0.3
    bound = BoundGaussians(
        0.5 * normal(n, 3), normal(n, 4), np.log(scene.scale) + 0.6 * normal(n, 3), 1.5 * normal(n) + scene.opaque,
        sh, torch.from_numpy(r.integers(0, len(faces), n)),
    )  # fmt: skip
    camera = Camera.orbit(*scene.size, 25, 10, scene.distance_m, (0.0, 0.0, 0.0), scene.fov_deg)
    return bound, vertices, faces, camera


RAW = ("means", "quats", "log_scales", "logit_opacities", "sh")


def _turned(viewmat: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """A camera moved by an axis-angle rotation and a translation."""
    motion = torch.eye(4).to(viewmat)
    motion = torch.cat([torch.cat([axis_angle_to_matrix(rotation), translation[:, None]], 1), motion[3:]])
    return motion @ viewmat


def loss_of(
    splatter: Splatter,
    scene: Scene,
    seed: int,
    dtype: torch.dtype,
    count: int | None = None,
    changes: dict[str, Tensor] | None = None,
    intrinsics: bool = True,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A picture, a loss of it, and everything that it was made of.

    Args:
        changes: added to what it is made of, by name.
        intrinsics: whether these are to have gradients.
    """
    bound, vertices, faces, camera = made(scene, seed)
    g = torch.Generator().manual_seed(seed)
    n = len(bound)
    leaves = {name: getattr(bound, name) for name in RAW}
    leaves |= {"vertices": vertices, "rotation": torch.zeros(3), "translation": torch.zeros(3)}
    leaves |= {"intrinsics": TensorCamera.of(camera).intrinsics}
    leaves |= {"tint": 0.1 * torch.randn(n, 3, generator=g), "fade": 0.1 * torch.randn(n, generator=g)}
    changed = {name: leaf.to(dtype) + (changes or {}).get(name, 0) for name, leaf in leaves.items()}
    leaves = {name: leaf.detach().requires_grad_(name != "intrinsics" or intrinsics) for name, leaf in changed.items()}
    viewmat = _turned(torch.from_numpy(camera.viewmat).to(dtype), leaves["rotation"], leaves["translation"])
    frames = frames_in_camera(leaves["vertices"], faces, viewmat)
    if dtype == torch.float64 and not changes:  # both are to go back from the same frames
        given = frames_in_camera(leaves["vertices"].float(), faces, torch.from_numpy(camera.viewmat))
        frames = frames + (given - frames).detach()
    seen = replace(TensorCamera.of(camera, viewmat), intrinsics=leaves["intrinsics"])
    raw = replace(bound, **{name: leaves[name] for name in RAW})
    image = splatter.render(raw, frames, seen, count, leaves["tint"], leaves["fade"])
    return image.detach(), (image * torch.randn(image.shape, generator=g).to(dtype)).sum(), leaves


def gradients(
    splatter: Splatter,
    scene: Scene,
    seed: int,
    dtype: torch.dtype,
    count: int | None = None,
    intrinsics: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A picture, and the gradients of its loss by everything that it was made of."""
    image, loss, leaves = loss_of(splatter, scene, seed, dtype, count, intrinsics=intrinsics)
    loss.backward()
    return image, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
