"""What an expression does to the color of Gaussians: folds, wrinkles, the shadow in a mouth.

Each of a few ARKit channels carries a small change of color and opacity for every Gaussian, linear in the channel's
weight, as blendshapes carry one of place for every vertex.

Reference: Ma et al., "3D Gaussian Blendshapes for Head Avatar Animation", 2024, and Li et al., "GaussianSpeech", 2024,
whose expression-dependent color this is, reduced to ARKit's channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int8
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.flame.arkit import ArkitMap, indices
from avatar.flame.params import FlameParams

__all__ = ["CHANNELS", "Appearance"]

CHANNELS = (
    "browInnerUp", "browDownLeft", "browDownRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "jawOpen", "mouthPucker",
    "mouthSmileLeft", "mouthSmileRight",
)  # fmt: skip
"""The channels that fold skin or open the mouth: those that are trained."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """Changes of an avatar's Gaussians, in their order, as 8-bit integers with one step for each channel."""

    channels: tuple[str, ...]
    """ARKit names."""
    tint_codes: Int8[Tensor, "c n 3"]
    """Times their step: what a channel at weight 1 adds to the spherical harmonics of degree 0."""
    tint_steps: Float32[Tensor, " c"]
    fade_codes: Int8[Tensor, "c n"]
    """Times their step: what it adds to the logit opacities."""
    fade_steps: Float32[Tensor, " c"]

    def __post_init__(self) -> None:
        indices(*self.channels)
        c, n = len(self.channels), self.tint_codes.shape[1]
        expected = {"tint_codes": (c, n, 3), "tint_steps": (c,), "fade_codes": (c, n), "fade_steps": (c,)}
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"Appearance.{name}: expected shape {shape} for {c} channels, got {found}")

    @classmethod
    def rounded(cls, channels: Sequence[str], tints: Float[Tensor, "c n 3"], fades: Float[Tensor, "c n"]) -> Appearance:
        """From exact changes; the largest of each channel sets its step."""
        (tint_codes, tint_steps), (fade_codes, fade_steps) = (_rounded(values) for values in (tints, fades))
        return cls(tuple(channels), tint_codes, tint_steps, fade_codes, fade_steps)

    def __len__(self) -> int:
        return self.tint_codes.shape[1]

    @property
    def tints(self) -> Float32[Tensor, "c n 3"]:
        """What each channel at weight 1 adds to the spherical harmonics of degree 0."""
        return self.tint_codes * self.tint_steps[:, None, None]

    @property
    def fades(self) -> Float32[Tensor, "c n"]:
        """What each channel at weight 1 adds to the logit opacities."""
        return self.fade_codes * self.fade_steps[:, None]

    def weights(self, arkit: ArkitMap, params: FlameParams) -> Float32[np.ndarray, " c"]:
        """How much of each channel a single pose has."""
        known = params.blendshape_weights
        return np.asarray(arkit.weights(params) if known is None else known, np.float32)[indices(*self.channels)]

    def applied(self, bound: BoundGaussians, weights: Float[np.ndarray, " c"]) -> BoundGaussians:
        """The Gaussians as they look at these weights: the readable twin of what renderers do."""
        n, amount = len(bound), torch.from_numpy(weights)
        tint = torch.tensordot(amount, self.tints[:, :n], 1)
        fade = torch.tensordot(amount, self.fades[:, :n], 1)
        sh = torch.cat([bound.sh[:, :1] + tint[:, None], bound.sh[:, 1:]], 1)
        return replace(bound, sh=sh, logit_opacities=bound.logit_opacities + fade)

    def reordered(self, index: Int[Tensor, " m"]) -> Appearance:
        """Of other Gaussians, or in another order."""
        return replace(self, tint_codes=self.tint_codes[:, index], fade_codes=self.fade_codes[:, index])


def _rounded(values: Float[Tensor, "c ..."]) -> tuple[Int8[Tensor, "c ..."], Float32[Tensor, " c"]]:
    """Codes and the step of each channel; a channel that changes nothing has a step of 0."""
    flat = values.detach().float().reshape(len(values), -1)
    steps = flat.abs().amax(1) / 127 if flat.shape[1] else torch.zeros(len(values))
    codes = (flat / steps.clamp_min(1e-30)[:, None]).round().to(torch.int8)
    return codes.reshape(values.shape), steps
