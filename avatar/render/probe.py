"""A made-up avatar for trying renderers out: an ellipsoid the size of a head, covered with Gaussians."""

from __future__ import annotations

import numpy as np
import torch

from avatar.appearance import Appearance
from avatar.binding import BoundGaussians
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.head import HeadModel
from avatar.rig import Avatar

__all__ = ["probe_avatar", "probe_head"]

_RADII_M = (0.080, 0.115, 0.095)
_N_EXPRESSION = 8


def probe_head(seed: int = 0) -> HeadModel:
    """A head in FLAME's layout with made-up directions and weights: 2,112 vertices, 4,096 triangles."""
    rng = np.random.default_rng(seed)
    rings, around = 33, 64
    polar = np.linspace(0.15, np.pi - 0.15, rings)[:, None]
    turn = np.arange(around)[None] * 2 * np.pi / around
    points = np.stack(
        [np.sin(polar) * np.cos(turn), np.cos(polar) + 0 * turn, np.sin(polar) * np.sin(turn)], -1
    ).reshape(-1, 3)
    vertices = points * _RADII_M
    v = len(vertices)
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    a, b = ring * around + step, ring * around + (step + 1) % around
    faces = np.concatenate([np.stack([a, b, a + around], -1), np.stack([b, b + around, a + around], -1)]).reshape(-1, 3)
    smooth = np.sin(points @ rng.normal(size=(3, 3 * (_N_EXPRESSION + 2))) * 2).reshape(v, 3, -1)
    posedirs = np.sin(points @ rng.normal(size=(3, 3 * 36)) * 2).reshape(v, 3, 36)
    weights = np.exp(rng.normal(size=(1, 5)) + points @ rng.normal(size=(3, 5)))
    regressor = np.exp(points @ rng.normal(size=(3, 5)) * 3).T

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    return HeadModel(
        v_template=tensor(vertices),
        shapedirs=tensor(0.003 * smooth),
        n_shape=2,
        posedirs=tensor(0.001 * posedirs),
        J_regressor=tensor(regressor / regressor.sum(1, keepdims=True)),
        lbs_weights=tensor(weights / weights.sum(1, keepdims=True)),
        faces=torch.from_numpy(faces.astype(np.int64)),
        uv=torch.zeros(1, 2),
        faces_uv=torch.zeros(len(faces), 3, dtype=torch.int64),
        expression_names=tuple(f"e{i}" for i in range(_N_EXPRESSION)),
    )


def probe_avatar(count: int, sh_degree: int = 1, seed: int = 0, *, expressive: bool = False) -> Avatar:
    """`count` Gaussians of a head avatar's sizes and opacities on the probe head.

    Args:
        expressive: let two ARKit channels change colors and opacities.
    """
    rng = np.random.default_rng(seed)
    head = probe_head(seed)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    scales = np.exp(rng.normal(scale=0.45, size=(count, 3))) * [0.1, 0.025, 0.1]  # flat along the normal, axis 1
    sh = rng.normal(scale=0.1, size=(count, (sh_degree + 1) ** 2, 3))
    sh[:, 0] += 1.0
    opacities = np.clip(rng.normal(0.9, 0.1, count), 0.05, 0.99)
    gaussians = BoundGaussians(
        tensor(rng.normal(scale=0.3, size=(count, 3))),
        tensor(np.concatenate([np.ones((count, 1)), rng.normal(scale=0.2, size=(count, 3))], 1)),
        tensor(np.log(scales * 0.8)),
        tensor(np.log(opacities / (1 - opacities))),
        tensor(sh),
        torch.from_numpy(rng.integers(0, head.faces.shape[0], count)),
    )
    zero = np.zeros((len(NAMES), 3), np.float32)
    arkit = ArkitMap(np.zeros((len(NAMES), _N_EXPRESSION), np.float32), zero, zero, zero)
    appearance = None
    if expressive:
        fades = tensor(rng.normal(scale=1.5, size=(2, count)))
        appearance = Appearance.rounded(("jawOpen", "browInnerUp"), tensor(rng.normal(size=(2, count, 3))), fades)
    return Avatar("probe", head, gaussians, arkit, appearance=appearance)
