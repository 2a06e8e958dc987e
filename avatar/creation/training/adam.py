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
from torch import Tensor

from avatar.creation.training.cpu.stepping import BETA1, BETA2, EPSILON, adam_step
from avatar.render.compilation import KERNELS

__all__ = ["CpuAdam", "SelectiveAdam", "TorchAdam", "open_adam"]

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

    def corrections(self) -> tuple[float, float]:
        """Count a step; what the first and the second moment are to be multiplied by in it."""
        ...

    def reorder(self, index: Int[Tensor, " n"]) -> None:
        """Follow a change of order of the Gaussians."""
        ...

    def restart(self, rows: Int[Tensor, " m"], like: Int[Tensor, " m"]) -> None:
        """Let rows begin anew at the pace of others."""
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

    def corrections(self) -> tuple[float, float]:
        """See `SelectiveAdam.corrections`."""
        self.count += 1
        return 1 / (1 - BETA1**self.count), 1 / (1 - BETA2**self.count)


class TorchAdam(_Moments):
    """In torch operations, on any device: the readable twin."""

    def step(self, gradient: Tensor, seen: Tensor, rate: Tensor, pace: Tensor | None = None) -> None:
        """See `SelectiveAdam.step`."""
        first, second = self.corrections()
        g, shown = gradient.view_as(self._rows), seen[:, None]
        self.first.copy_(torch.where(shown, BETA1 * self.first + (1 - BETA1) * g, self.first))
        self.second.copy_(torch.where(shown, BETA2 * self.second + (1 - BETA2) * g * g, self.second))
        change = self.first * first / ((self.second * second).sqrt() + EPSILON) * rate
        if pace is not None:
            change = change * pace[:, None]
        self._rows -= torch.where(shown, change, 0)


class CpuAdam(_Moments):
    """In numba, in one pass."""

    def __init__(self, values: Float[Tensor, "n ..."], threads: int) -> None:
        super().__init__(values)
        self._threads = threads

    def step(self, gradient: Tensor, seen: Tensor, rate: Tensor, pace: Tensor | None = None) -> None:
        """See `SelectiveAdam.step`."""
        first, second = self.corrections()
        with KERNELS:
            numba.set_num_threads(self._threads)
            adam_step(
                self._rows.numpy(), gradient.view_as(self._rows).numpy(), self.first.numpy(), self.second.numpy(),
                seen.numpy(), rate.numpy(), np.zeros(0, np.float32) if pace is None else pace.numpy(),
                f32(first), f32(second), self._threads,
            )  # fmt: skip


def open_adam(values: Float[Tensor, "n ..."], threads: int) -> CpuAdam | TorchAdam:
    """The optimiser of a tensor, for the device where it lies. It changes the tensor in place."""
    return CpuAdam(values, threads) if values.device.type == "cpu" else TorchAdam(values)
