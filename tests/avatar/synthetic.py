"""A small head in FLAME's layout with random numbers in it, for laws that hold of any head."""

from __future__ import annotations

import numpy as np
import torch

from avatar.binding import BoundGaussians
from avatar.flame import ArkitMap, HeadModel
from avatar.rig import Avatar


def make_head(n_shape: int = 3, n_expression: int = 4, seed: int = 0, side: int = 6) -> HeadModel:
    """A bumpy sheet of side x side vertices, 10 cm wide."""
    g = torch.Generator().manual_seed(seed)
    ys, xs = torch.meshgrid(torch.linspace(-0.05, 0.05, side), torch.linspace(-0.05, 0.05, side), indexing="ij")
    v_template = torch.stack([xs, ys, 0.02 * torch.randn(side, side, generator=g)], -1).reshape(-1, 3)
    n = side * side
    index = torch.arange(n).reshape(side, side)
    a, b, c, d = (i.reshape(-1) for i in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)])
    regressor = torch.rand(5, n, generator=g)
    weights = torch.rand(n, 5, generator=g)
    return HeadModel(
        v_template=v_template,
        shapedirs=0.01 * torch.randn(n, 3, n_shape + n_expression, generator=g),
        n_shape=n_shape,
        posedirs=0.005 * torch.randn(n, 3, 36, generator=g),
        J_regressor=regressor / regressor.sum(1, keepdim=True),
        lbs_weights=weights / weights.sum(1, keepdim=True),
        faces=faces,
        uv=torch.stack([xs, ys], -1).reshape(-1, 2),
        faces_uv=faces,
        expression_names=tuple(f"unit{i}" for i in range(n_expression)),
        regions={"corner": torch.tensor([0, side - 1])},
    )


def make_arkit(head: HeadModel, seed: int = 0) -> ArkitMap:
    """An ARKit map of full column rank where the head has enough coefficients."""
    g = np.random.default_rng(seed)
    e = head.n_expression
    return ArkitMap(
        g.normal(size=(52, e)), g.normal(size=(52, 3)), g.normal(size=(52, 3)), g.normal(size=(52, 3)), head.n_shape
    )


def make_avatar(n: int = 200, seed: int = 0, sh: int = 9) -> Avatar:
    """An avatar of `n` Gaussians on `make_head`."""
    head = make_head(seed=seed, n_shape=0)
    g = torch.Generator().manual_seed(seed)
    gaussians = BoundGaussians(
        0.3 * torch.randn(n, 3, generator=g),
        torch.nn.functional.normalize(torch.randn(n, 4, generator=g), dim=-1),
        torch.randn(n, 3, generator=g) - 2,
        2 * torch.randn(n, generator=g),
        0.3 * torch.randn(n, sh, 3, generator=g),
        torch.randint(0, head.faces.shape[0], (n,), generator=g),
    )
    return Avatar("synthetic", head, gaussians, make_arkit(head, seed), metadata={"made": "by a test"})
