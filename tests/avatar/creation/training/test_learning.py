"""A step's arithmetic on all Gaussians at once is that of its readable twin."""

from __future__ import annotations

import numpy as np
import torch

from avatar.binding import BoundGaussians
from avatar.creation.training.adam import TorchAdam, open_adam
from avatar.creation.training.cpu.recycled import Recycled
from avatar.creation.training.learning import Bounds, learn, learn_at_once
from avatar.creation.training.parameters import RAW, Parameters
from avatar.creation.training.penalties import Penalties

CHANNELS = ("jawOpen", "mouthPucker", "browInnerUp")
PENALTIES = Penalties(widest=0.8, furthest=0.3, width=0.5, distance=0.4, opacity=0.3)
TOLERANCE = 2e-5


def _parameters(n: int, seed: int) -> Parameters:
    g = torch.Generator().manual_seed(seed)
    bound = BoundGaussians(
        torch.randn(n, 3, generator=g), torch.randn(n, 4, generator=g), torch.randn(n, 3, generator=g),
        torch.randn(n, generator=g), torch.randn(n, 9, 3, generator=g), torch.arange(n),
    )  # fmt: skip
    return Parameters(bound, None, CHANNELS, torch.device("cpu"), 9)


def test_learning_at_once_is_learning_step_by_step() -> None:
    n = 301
    fast, twin = _parameters(n, 0), _parameters(n, 0)
    adams = {name: open_adam(t.data, 2) for name, t in fast.tensors.items()}
    twins = {name: TorchAdam(t.data) for name, t in twin.tensors.items()}
    g = torch.Generator().manual_seed(1)
    rates = {
        name: 0.01 * torch.rand(t[0].numel(), generator=g) for name, t in fast.tensors.items() if "." not in name
    } | {"tint": torch.full((3,), 0.02), "fade": torch.full((1,), 0.03)}
    bounds = Bounds(torch.rand(n, generator=g), torch.rand(n, generator=g), torch.rand(n, generator=g))
    start = {name: t.detach().clone() for name, t in fast.tensors.items()}
    ever = torch.zeros(n, dtype=torch.bool)
    for step in range(4):
        weights = torch.rand(n, generator=g) * (torch.rand(n, generator=g) > 0.4)
        ever |= weights > 0
        for name in RAW:
            gradient = torch.randn(fast.tensors[name].shape, generator=g)
            for parameters in (fast, twin):
                parameters.tensors[name].grad = gradient.clone()
        active = [("jawOpen", 0.5), ("browInnerUp", 1.0)][: step % 3]
        learn_at_once(fast, adams, rates, PENALTIES, bounds, weights, active, 2)
        learn(twin, twins, rates, PENALTIES, bounds, weights, active)
    for name, tensor in fast.tensors.items():
        assert torch.allclose(tensor, twin.tensors[name], atol=TOLERANCE), name
        assert torch.allclose(adams[name].second, twins[name].second, atol=TOLERANCE), name
        assert adams[name].count == twins[name].count, name
    assert not torch.equal(fast.tensors["tint.jawOpen"], start["tint.jawOpen"])
    assert torch.equal(fast.tensors["fade.mouthPucker"], start["fade.mouthPucker"])
    for name in set(RAW) - {"log_scales"}:
        assert torch.equal(fast.tensors[name][~ever], start[name][~ever]), name
    assert bool((fast.tensors["log_scales"] <= bounds.largest[:, None]).all())


def test_an_array_comes_back_only_when_nobody_holds_it() -> None:
    arrays = Recycled()
    first = arrays.take((4, 3))
    address, view = first.ctypes.data, first[1:].reshape(-1)
    assert arrays.take((4, 3)).ctypes.data != address
    del first
    assert arrays.take((4, 3)).ctypes.data != address  # a view of it is left
    del view
    tensor = torch.from_numpy(arrays.take((4, 3)))
    assert arrays.take((4, 3)).ctypes.data != tensor.data_ptr()
    held = {tensor.data_ptr()}
    del tensor
    again = [arrays.take((4, 3)) for _ in range(3)]
    assert held < {a.ctypes.data for a in again} and len({a.ctypes.data for a in again}) == 3
    assert all(a.dtype == np.float32 and a.ctypes.data % 64 == 0 for a in again)
