"""What the tracking of each picture was off by: poses that are learned beside what the pictures show.

Reference: Qian et al., "GaussianAvatars", CVPR 2024, section 4, which goes on fitting FLAME's parameters of every
picture while Gaussians are trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["POSE_PARTS", "CorrectionRates", "PoseCorrections"]

POSE_PARTS = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose", "transl")
"""Three columns each, in this order; the expression's follow."""
_BETA1, _BETA2 = 0.8, 0.95


@dataclass(frozen=True)
class CorrectionRates:
    """Adam's learning rates, a step for each time that the picture is drawn, and how far corrections are believed."""

    turn_rad: float = 4e-3
    shift_m: float = 6e-4
    expression: float = 3e-2
    hold_turn: float = 0.02
    """Penalty on half a squared correction, per squared radian."""
    hold_shift: float = 2.0
    """Per squared metre."""
    hold_expression: float = 2e-4


class PoseCorrections:
    """A row for each picture: what is added to its tracked pose."""

    def __init__(self, pictures: int, n_expression: int, rates: CorrectionRates, device: torch.device) -> None:
        turns = 3 * (len(POSE_PARTS) - 1)
        self.values = torch.zeros(pictures, turns + 3 + n_expression, device=device)
        self.first, self.second = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.counts = torch.zeros(pictures, 1, device=device)

        def columns(turn: float, shift: float, expression: float) -> Tensor:
            return torch.tensor([turn] * turns + [shift] * 3 + [expression] * n_expression, device=device)

        self._rates = columns(rates.turn_rad, rates.shift_m, rates.expression)
        self._hold = columns(rates.hold_turn, rates.hold_shift, rates.hold_expression)
        self._taken: tuple[int, Tensor] | None = None

    def of(self, picture: int) -> Float[Tensor, " k"]:
        """A leaf whose gradient the next `step` takes."""
        own = self.values[picture].detach().clone().requires_grad_()
        self._taken = picture, own
        return own

    def step(self, factor: float) -> None:
        """Learn from the last picture, whose gradient has been taken."""
        assert self._taken is not None
        picture, own = self._taken
        if own.grad is None:
            return
        slope = own.grad + self._hold * self.values[picture]
        self.counts[picture] += 1
        count = float(self.counts[picture])
        first, second = self.first[picture], self.second[picture]
        first.mul_(_BETA1).add_(slope, alpha=1 - _BETA1)
        second.mul_(_BETA2).add_(slope.square(), alpha=1 - _BETA2)
        change = first / (1 - _BETA1**count) / ((second / (1 - _BETA2**count)).sqrt() + 1e-12)
        self.values[picture] -= factor * self._rates * change
