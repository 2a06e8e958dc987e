"""What a training does with the gradients of a picture: penalties, Adam, limits, and changes by expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.creation.training.adam import SelectiveAdam
from avatar.creation.training.cpu.stepping import channel_step, gaussian_step
from avatar.creation.training.parameters import RAW, Parameters
from avatar.creation.training.penalties import Penalties, add_slopes
from avatar.render.compilation import KERNELS

__all__ = ["Bounds", "learn", "learn_at_once"]

f32 = np.float32


@dataclass(frozen=True, eq=False)
class Bounds:
    """What is different for each Gaussian."""

    pace: Float[Tensor, " n"]
    """What the learning rate of its mean is multiplied by."""
    home: Float[Tensor, " n"]
    """How far from the middle of its triangle it began, in units of the triangle."""
    largest: Float[Tensor, " n"]
    """The logarithm of the widest that it may be, in units of the triangle."""


def learn(
    parameters: Parameters,
    adams: Mapping[str, SelectiveAdam],
    rates: Mapping[str, Tensor],
    penalties: Penalties,
    bounds: Bounds,
    weights: Float[Tensor, " n"],
    active: Sequence[tuple[str, float]],
) -> None:
    """Change what a picture showed, by the gradients that lie on the raw parameters: readable, on any device.

    Args:
        rates: for the columns of each parameter, and for `tint` and `fade`.
        weights: over 0 for Gaussians that were seen.
        active: channels with their weights in the picture.
    """
    t, seen = parameters.tensors, weights > 0
    gradients = parameters.gradients()
    by_color, by_logit = gradients["sh"][:, 0].clone(), gradients["logit_opacities"].clone()
    add_slopes(penalties, t, gradients, bounds.home)
    for name, gradient in gradients.items():
        adams[name].step(gradient, seen, rates[name], bounds.pace if name == "means" else None)
    with torch.no_grad():
        t["log_scales"].clamp_max_(bounds.largest[:, None])
    for channel, weight in active:
        adams[f"tint.{channel}"].step(by_color * weight, seen, rates["tint"])
        adams[f"fade.{channel}"].step(by_logit * weight, seen, rates["fade"])


def learn_at_once(
    parameters: Parameters,
    adams: Mapping[str, SelectiveAdam],
    rates: Mapping[str, Tensor],
    penalties: Penalties,
    bounds: Bounds,
    weights: Float[Tensor, " n"],
    active: Sequence[tuple[str, float]],
    threads: int,
) -> None:
    """As `learn`, on the CPU, in one pass over the Gaussians and one more for each active channel."""
    n, found = len(parameters), parameters.gradients()

    def rows(tensor: Tensor) -> np.ndarray:
        return tensor.detach().reshape(n, -1).numpy()

    def moments(*names: str) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        return tuple(adams[k].first.numpy() for k in names), tuple(adams[k].second.numpy() for k in names)

    def factors(name: str) -> tuple[np.float32, np.float32]:
        first, second = adams[name].corrections()
        return f32(first), f32(second)

    gradients = tuple(rows(found[name]) for name in RAW)
    limits = (
        f32(penalties.widest), f32(penalties.furthest), f32(penalties.width / n), f32(penalties.distance / n),
        f32(penalties.opacity / n),
    )  # fmt: skip
    each = [factors(name) for name in RAW]  # the same: all take every step
    with KERNELS:
        numba.set_num_threads(threads)
        seen = weights.numpy()
        for channel, weight in active:
            tint, fade = f"tint.{channel}", f"fade.{channel}"
            channel_step(
                rows(parameters.tensors[tint]), rows(parameters.tensors[fade]), gradients[4], gradients[3],
                f32(weight), *moments(tint, fade), f32(rates["tint"][0]), f32(rates["fade"][0]), seen,
                factors(tint), factors(fade), threads,
            )  # fmt: skip
        gaussian_step(
            tuple(rows(parameters.tensors[name]) for name in RAW), gradients, *moments(*RAW),
            tuple(rates[name].numpy() for name in RAW), seen, bounds.pace.numpy(), bounds.home.numpy(),
            bounds.largest.numpy(), limits, *each[0], threads,
        )  # fmt: skip
