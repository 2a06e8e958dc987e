"""The tip of the tongue: what raises it, worked out from where a head's tongue lies.

ARKit has only tongueOut. For t, d, n and l the tip rises behind the upper teeth, for th it comes between the teeth: it
becomes a blade there, and it stays up while the jaw goes down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["TongueTip"]

_BODY_M, _BLADE_M = 0.034, 0.020
"""How far behind the tip the tongue follows its rise, and how far it becomes thinner."""
_THICKNESS_M = 0.0024
"""Of the blade at the tip."""
_ABOVE_M = 0.0015
"""What brings the tip from where it lies, jaw closed, to the ridge behind the upper teeth."""
_BLADE_AT = 0.3
"""The rise at which the tip is as thin as it gets."""
_SLICES = 12


@dataclass(frozen=True, eq=False)
class TongueTip:
    """Two directions of the unposed head, and how much of each a raised tip has. Metres."""

    directions: Float[Tensor, "v 3 2"]
    """Up, per metre of the tip; and from its own thickness to that of a blade."""
    lever_m: float
    """From the jaw's joint forward to the tip: what an angle of the jaw takes it down by."""

    @classmethod
    def of(
        cls, v_template: Float[Tensor, "v 3"], regions: Mapping[str, Int[Tensor, " n"]], jaw: Float[Tensor, "3"]
    ) -> TongueTip | None:
        """Of a head that says which of its vertices are the tongue; None for others.

        Args:
            v_template: the head at rest.
            regions: its named vertices.
            jaw: its joint.
        """
        index = regions.get("tongue")
        if index is None or len(index) < _SLICES:
            return None
        tongue = v_template[index]
        tip = tongue[tongue[:, 2].argmax()]
        lever_m = max(float(tip[2] - jaw[2]), _BODY_M)
        back = tip[2] - tongue[:, 2]
        body, blade = (_eased((1 - back / reach).clamp(0, 1)) for reach in (_BODY_M, _BLADE_M))
        above = _upper_side(tongue) - tongue[:, 1]
        thickness = float(above[back < _BLADE_M / 4].max())
        directions = v_template.new_zeros(len(v_template), 3, 2)
        directions[index, 1, 0] = body
        directions[index, 2, 0] = body * float(jaw[1] - tip[1]) / lever_m  # the jaw takes the tip back as well as down
        directions[index, 1, 1] = blade * above.clamp_min(0) * max(1 - _THICKNESS_M / max(thickness, 1e-6), 0)
        return cls(directions, lever_m)

    def amounts(self, tip: Float[Tensor, "*batch"], jaw_angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2"]:
        """Of `directions`.

        Args:
            tip: how far it is raised, 0..1.
            jaw_angle: how far the jaw is open, radians.
        """
        up = tip * (_ABOVE_M + self.lever_m * jaw_angle.clamp_min(0))
        return torch.stack([up, (tip / _BLADE_AT).clamp(0, 1).expand_as(up)], -1)

    def amounts_of(self, tip: float, jaw_angle: float) -> tuple[float, float]:
        """The quick twin of `amounts`, for one pose."""
        return tip * (_ABOVE_M + self.lever_m * max(jaw_angle, 0.0)), min(max(tip / _BLADE_AT, 0.0), 1.0)


def _eased(x: Tensor) -> Tensor:
    return x * x * (3 - 2 * x)


def _upper_side(tongue: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Height of the tongue's upper side above or below each vertex: the highest nearby along its length."""
    z = tongue[:, 2]
    width = (z.max() - z.min()) / _SLICES
    near = (z[:, None] - z[None, :]).abs() <= width
    return torch.where(near, tongue[None, :, 1], -torch.inf).amax(1)
