"""Adam for Gaussians: only those that a picture showed take a step.

Reference: Kingma and Ba, "Adam", 2015. Gaussians that were not seen are left alone, as in Mallick et al., "Taming
3DGS", 2024: their moments would carry them on although nothing speaks for it.
"""

from __future__ import annotations

from typing import Protocol

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import prange
from torch import Tensor

from avatar.render.compilation import KERNELS, parallel_kernel

__all__ = ["CpuAdam", "SelectiveAdam", "TorchAdam", "open_adam"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-15
f32 = np.float32


class SelectiveAdam(Protocol):
    """Steps for one tensor of parameters, a row for each Gaussian."""

    first: Float[Tensor, "n k"]
    second: Float[Tensor, "n k"]
    """The moments."""
    count: int
    """Steps taken."""

    def step(
        self,
        gradient: Float[Tensor, "n k"],
        seen: Bool[Tensor, " n"],
        rate: Float[Tensor, " k"],
        pace: Float[Tensor, " n"] | None = None,
    ) -> None:
        """Change the rows that were seen.

        Args:
            rate: of learning, for each column.
            pace: what each row's rate is multiplied by.
        """
        ...


class _Moments:
    """What a step needs to remember."""

    def __init__(self, values: Float[Tensor, "n ..."]) -> None:
        self._rows = values.view(len(values), -1)
        self.first, self.second = torch.zeros_like(self._rows), torch.zeros_like(self._rows)
        self.count = 0

    def reorder(self, index: Int[Tensor, " n"]) -> None:
        """Follow a change of order of the Gaussians."""
        self.first[:], self.second[:] = self.first[index], self.second[index]

    def restart(self, rows: Int[Tensor, " m"], like: Int[Tensor, " m"]) -> None:
        """Let rows begin anew at the pace of others."""
        self.first[rows] = 0
        self.first[like] = 0
        self.second[rows] = self.second[like]

    def _corrections(self) -> tuple[float, float]:
        self.count += 1
        return 1 / (1 - _BETA1**self.count), 1 / (1 - _BETA2**self.count)


class TorchAdam(_Moments):
    """In torch operations, on any device: the readable twin."""

    def step(self, gradient: Tensor, seen: Tensor, rate: Tensor, pace: Tensor | None = None) -> None:
        """See `SelectiveAdam.step`."""
        first, second = self._corrections()
        g, shown = gradient.view_as(self._rows), seen[:, None]
        self.first.copy_(torch.where(shown, _BETA1 * self.first + (1 - _BETA1) * g, self.first))
        self.second.copy_(torch.where(shown, _BETA2 * self.second + (1 - _BETA2) * g * g, self.second))
        change = self.first * first / ((self.second * second).sqrt() + _EPSILON) * rate
        if pace is not None:
            change = change * pace[:, None]
        self._rows -= torch.where(shown, change, 0)


@parallel_kernel
def _step(values, gradient, first, second, seen, rate, pace, first_factor, second_factor, workers):
    n, columns = values.shape
    b1 = f32(_BETA1)
    b2 = f32(_BETA2)
    one = f32(1)
    for worker in prange(workers):
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            if seen[i]:
                own = pace[i] if pace.size > 0 else one
                for j in range(columns):
                    g = gradient[i, j]
                    m = b1 * first[i, j] + (one - b1) * g
                    v = b2 * second[i, j] + (one - b2) * g * g
                    first[i, j] = m
                    second[i, j] = v
                    values[i, j] -= own * rate[j] * (m * first_factor) / (np.sqrt(v * second_factor) + f32(_EPSILON))


class CpuAdam(_Moments):
    """In numba, in one pass."""

    def __init__(self, values: Float[Tensor, "n ..."], threads: int) -> None:
        super().__init__(values)
        self._threads = threads

    def step(self, gradient: Tensor, seen: Tensor, rate: Tensor, pace: Tensor | None = None) -> None:
        """See `SelectiveAdam.step`."""
        first, second = self._corrections()
        with KERNELS:
            numba.set_num_threads(self._threads)
            _step(
                self._rows.numpy(), gradient.view_as(self._rows).numpy(), self.first.numpy(), self.second.numpy(),
                seen.numpy(), rate.numpy(), np.zeros(0, np.float32) if pace is None else pace.numpy(),
                f32(first), f32(second), self._threads,
            )  # fmt: skip


def open_adam(values: Float[Tensor, "n ..."], threads: int) -> CpuAdam | TorchAdam:
    """The optimiser of a tensor, for the device where it lies. It changes the tensor in place."""
    return CpuAdam(values, threads) if values.device.type == "cpu" else TorchAdam(values)
