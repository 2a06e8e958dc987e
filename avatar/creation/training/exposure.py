"""What each picture's camera did to brightness and color, learned beside what the pictures show.

Reference: Kerbl et al., "A Hierarchical 3D Gaussian Representation for Real-Time Rendering of Very Large Datasets",
2024, section 5, which learns an affine change of color for every picture; here without mixing of channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Exposures"]

_RATE = 3e-3
_BETA = 0.9


class Exposures:
    """A gain and an offset of red, green and blue for each of some pictures. All together they change nothing."""

    def __init__(self, pictures: int, device: torch.device) -> None:
        self.values = torch.zeros(pictures, 2, 3, device=device)
        """Logarithms of gains, then offsets."""
        self.momentum = torch.zeros_like(self.values)
        self._taken: tuple[int, Tensor] | None = None

    def applied(self, image: Float[Tensor, "h w 4"], picture: int) -> Float[Tensor, "h w 4"]:
        """A premultiplied picture as that camera would have taken it."""
        own = self.values[picture].detach().requires_grad_()
        self._taken = picture, own
        color, alpha = image[..., :3], image[..., 3:]
        return torch.cat([color * own[0].exp() + alpha * own[1], alpha], -1)

    def step(self, factor: float) -> None:
        """Learn from the last picture, whose gradient has been taken."""
        assert self._taken is not None
        picture, own = self._taken
        if own.grad is None:
            return
        scale = own.grad.abs().max().clamp_min(1e-12)
        self.momentum[picture] = _BETA * self.momentum[picture] + (1 - _BETA) * own.grad / scale
        self.values[picture] -= _RATE * factor * self.momentum[picture]
        self.values -= self.values.mean(0)  # what all pictures have in common belongs to the head
