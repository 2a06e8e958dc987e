"""How far a picture is from the one it should be: L1, L2 and SSIM over premultiplied red, green, blue and alpha.

Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with a
Gaussian window of sigma 1.5, here cut at 2 sigma (7 pixels, which hold 98 % of it) rather than 3.3; weighed against L1
as in Kerbl et al., "3D Gaussian Splatting", 2023, section 7.1. L2 suits noisy pictures: its minimum is their mean, L1's
their median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["C1", "C2", "RADIUS", "TAPS", "Loss", "LossConfig", "LossValue", "Target", "TorchLoss"]

RADIUS = 3
_SIGMA = 1.5
_BELL = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / _SIGMA) ** 2)
TAPS: tuple[float, ...] = tuple((_BELL / _BELL.sum()).tolist())
"""The window, one direction, `RADIUS` pixels to either side."""
C1, C2 = 0.01**2, 0.03**2

_PAD = 12


@dataclass(frozen=True)
class LossConfig:
    """Shares of the loss."""

    l1: float = 0.8
    l2: float = 0.0
    ssim: float = 0.2


@dataclass(frozen=True, eq=False)
class Target:
    """A picture to come to, premultiplied, and where in it the head is."""

    image: UInt8[Tensor, "h w 4"]
    window: tuple[int, int, int, int]
    """First and last + 1 row, first and last + 1 column of the head with a margin: SSIM is taken within."""
    emphasis: Float[Tensor, "h w"] | None = None
    """What each pixel counts, 1 for what is not emphasised."""

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "h w 4"], emphasis: Float[Tensor, "h w"] | None = None) -> Target:
        """A picture with the window of what is not transparent in it; all of it if everything is."""
        height, width = image.shape[:2]
        rows, columns = (np.flatnonzero(image[..., 3].any(axis)) for axis in (1, 0))
        if not len(rows):
            return cls(torch.from_numpy(image), (0, height, 0, width), emphasis)
        return cls(
            torch.from_numpy(np.ascontiguousarray(image)),
            (
                max(int(rows[0]) - _PAD, 0),
                min(int(rows[-1]) + 1 + _PAD, height),
                max(int(columns[0]) - _PAD, 0),
                min(int(columns[-1]) + 1 + _PAD, width),
            ),
            emphasis,
        )

    def to(self, device: torch.device) -> Target:
        emphasis = None if self.emphasis is None else self.emphasis.to(device)
        return Target(self.image.to(device), self.window, emphasis)


@dataclass(frozen=True)
class LossValue:
    """Means over the window and the four channels; emphasis counts."""

    total: float
    l1: float
    l2: float
    ssim: float
    """1 for equal pictures; nan where it has no share."""


class Loss(Protocol):
    """A loss with its gradient."""

    config: LossConfig

    def value_and_gradient(
        self, image: Float[Tensor, "h w 4"], target: Target
    ) -> tuple[LossValue, Float[Tensor, "h w 4"]]:
        """The loss of a picture, and its gradient by the picture. The gradient has no graph."""
        ...


class TorchLoss:
    """The loss in torch operations, on any device and in any precision: the readable twin of the numba kernel."""

    def __init__(self, config: LossConfig | None = None) -> None:
        self.config = config or LossConfig()

    def value_and_gradient(
        self, image: Float[Tensor, "h w 4"], target: Target
    ) -> tuple[LossValue, Float[Tensor, "h w 4"]]:
        """See `Loss.value_and_gradient`."""
        picture = image.detach().requires_grad_()
        wanted = target.image.to(picture) / 255
        y0, y1, x0, x1 = target.window
        weight = (
            torch.ones_like(picture[..., :1]) if target.emphasis is None else target.emphasis.to(picture)[..., None]
        )
        count = 4 * (y1 - y0) * (x1 - x0)
        error = picture - wanted
        l1, l2 = (error.abs() * weight).sum() / count, (error.square() * weight).sum() / count
        total = self.config.l1 * l1 + self.config.l2 * l2
        ssim = torch.tensor(float("nan"))
        if self.config.ssim:
            window = np.s_[y0:y1, x0:x1]
            loss = (1 - _similarity(picture[window], wanted[window])) * weight[window]
            ssim = 1 - loss.sum() / count
            total = total + self.config.ssim * (1 - ssim)
        total.backward()
        assert picture.grad is not None
        return LossValue(*(float(part.detach()) for part in (total, l1, l2, ssim))), picture.grad


def _blurred(image: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
    """Smoothed by the window, zero beyond the edges."""
    channels = image.shape[-1]
    taps = torch.tensor(TAPS).to(image)
    planes = image.permute(2, 0, 1)[None]
    down, across = (taps.reshape(shape).expand(channels, 1, *shape[2:]) for shape in ((1, 1, -1, 1), (1, 1, 1, -1)))
    planes = torch.nn.functional.conv2d(planes, down, padding=(RADIUS, 0), groups=channels)
    planes = torch.nn.functional.conv2d(planes, across, padding=(0, RADIUS), groups=channels)
    return planes[0].permute(1, 2, 0)


def _similarity(a: Float[Tensor, "h w c"], b: Float[Tensor, "h w c"]) -> Float[Tensor, "h w c"]:
    mean_a, mean_b = _blurred(a), _blurred(b)
    squares, product = _blurred(a * a + b * b), _blurred(a * b)
    means = mean_a * mean_a + mean_b * mean_b
    joint = mean_a * mean_b
    return (2 * joint + C1) * (2 * (product - joint) + C2) / ((means + C1) * (squares - means + C2))
