"""Moving Gaussians that no picture needs to where pictures ask for more, without changing what is seen.

Reference: Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", 2024, equation 9, for a pair; here
sources are drawn in proportion to how strongly pictures pull at them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.creation.training.parameters import Parameters
from avatar.flame.skinning import quaternion_to_matrix

__all__ = ["Usefulness", "relocate"]

_SPREAD = 0.4
"""How far apart the two of a pair begin, in standard deviations of the one."""
_LEAST, _MOST = 0.005, 0.99


class Usefulness:
    """What pictures have said of each Gaussian since the last relocation."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.peak = torch.zeros(n, device=device)
        """The greatest share that it had in a pixel."""
        self.pull = torch.zeros(n, device=device)
        """How strongly pictures pulled at its place, summed."""
        self.pictures = 0

    def add(self, peaks: Float[Tensor, " n"], pulls: Float[Tensor, " n"]) -> None:
        """A picture has been taken back. A coarse Gaussian may be of use in those of few Gaussians alone."""
        torch.maximum(self.peak, peaks, out=self.peak)
        self.pull += pulls
        self.pictures += 1

    def clear(self) -> None:
        self.peak.zero_()
        self.pull.zero_()
        self.pictures = 0

    def reorder(self, index: Int[Tensor, " n"]) -> None:
        self.peak, self.pull = self.peak[index], self.pull[index]


def relocate(
    parameters: Parameters,
    useful: Usefulness,
    share: float,
    useless: float,
    levels: Sequence[int],
    rng: np.random.Generator,
    fixed: Bool[np.ndarray, " n"] | None = None,
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Move what is seen and hardly matters onto others, in place; a pair looks as the one did.

    What no picture has shown stays where it is, unless it is too faint to matter: teeth behind closed lips are not
    useless. Nothing is moved onto what comes in an earlier level of detail, which that level would then see halved; nor
    onto what would leave two useless ones, since thousands gather where pictures go on to pull at what no Gaussian can
    mend.

    Args:
        share: of all Gaussians, to be moved at most.
        useless: a Gaussian with a smaller peak may be moved.
        levels: numbers of Gaussians that are pictures of their own, rising.
        fixed: neither moved nor moved onto.

    Returns:
        What was moved, and onto what.
    """
    peak = useful.peak.cpu().numpy()
    faint = parameters.tensors["logit_opacities"].detach().sigmoid().flatten().cpu().numpy() < useless
    free = np.ones(len(peak), bool) if fixed is None else ~fixed
    candidates = np.flatnonzero((peak < useless) & ((peak > 0) | faint) & free)
    chosen = candidates[np.argsort(peak[candidates], kind="stable")[: int(share * len(peak))]]
    chance = np.where((peak < 2 * useless) | ~free, 0.0, useful.pull.cpu().numpy().astype(np.float64))
    moved, source = _pairs(chosen, chance, [0, *levels], rng)
    device = parameters.triangles.device
    to, of = (torch.from_numpy(np.ascontiguousarray(i)).to(device) for i in (moved, source))
    t = {name: tensor.data for name, tensor in parameters.tensors.items()}
    old = t["logit_opacities"][of].sigmoid().clamp(max=_MOST)
    new = 1 - (1 - old).sqrt()
    # The sum of eq. 9 for two: what both together cover, at a scale of one
    shrink = old / (2 * new - new * new / math.sqrt(2))
    t["logit_opacities"][of] = new.clamp(_LEAST, 1 - _LEAST).logit()
    t["log_scales"][of] += shrink.log()[:, None]
    parameters.copy(of, to)
    noise = torch.from_numpy(rng.normal(size=(len(moved), 3)).astype(np.float32)).to(device)
    along = quaternion_to_matrix(t["quats"][of]) @ (noise * t["log_scales"][of].exp() * _SPREAD)[..., None]
    t["means"][to] += along.squeeze(-1)
    t["means"][of] -= along.squeeze(-1)
    return to, of


def _pairs(
    moved: Int[np.ndarray, " m"], chance: Float[np.ndarray, " n"], starts: Sequence[int], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """A source for each that is moved, from its own level or later ones, in proportion to `chance`, none twice."""
    level = np.searchsorted(starts, moved, side="right")
    chance = chance.copy()
    to, of = [], []
    for i in np.unique(level):
        here = moved[level == i]
        allowed = chance.copy()
        allowed[: starts[i - 1]] = 0
        here = here[: np.count_nonzero(allowed)]
        if len(here):
            source = rng.choice(len(chance), len(here), replace=False, p=allowed / allowed.sum())
            chance[source] = 0
            to.append(here)
            of.append(source)
    nothing = np.zeros(0, np.int64)
    return np.concatenate([nothing, *to]), np.concatenate([nothing, *of])
