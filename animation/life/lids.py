"""The eyelids of the head model: how far a blink must close them for given blendshape weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float32

from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.heads import open_head

__all__ = ["LidModel", "default_lids"]

_SIDES = ("left", "right")
_BLINK = indices("eyeBlinkLeft", "eyeBlinkRight")
_WIDE = indices("eyeWideLeft", "eyeWideRight")


@dataclass(frozen=True, eq=False)
class LidModel:
    """Mean height between the margins of the lids, quadratic in each weight; millimetres, left eye first.

    Squints, cheeks, brows and the direction of gaze move the lids too. Adding a full blink to them would drive one
    lid through the other, and wide eyes would keep a blink from closing; so a blink goes exactly to where the lids
    meet when it is alone.
    """

    open_mm: Float32[np.ndarray, "2"]
    linear_mm: Float32[np.ndarray, "52 2"]
    quadratic_mm: Float32[np.ndarray, "52 2"]
    """Zero but for the directions of gaze, which turn the eyes and move the lids along an arc."""

    @staticmethod
    def fits(head: HeadModel) -> bool:
        """Whether a head says where the margins of its lids are."""
        return all(f"{lid}_lid_margin_{side}" in head.regions for lid in ("upper", "lower") for side in _SIDES)

    @classmethod
    def from_head(cls, head: HeadModel, arkit: ArkitMap) -> LidModel:
        """The lids of a head with the regions `upper_lid_margin_left` and so on.

        Raises:
            ValueError: if the head lacks them.
        """
        names = [f"{lid}_lid_margin_{side}" for side in _SIDES for lid in ("upper", "lower")]
        try:
            margins = [head.regions[name] for name in names]
        except KeyError as error:
            raise ValueError(f"LidModel: the head has no region {error.args[0]!r}") from error
        units = np.eye(len(NAMES), dtype=np.float32)
        weights = np.concatenate([np.zeros((1, len(NAMES)), np.float32), units / 2, units])
        posed = head.part(torch.cat(margins)).vertices(arkit.params(weights)).numpy()[..., 1]
        *parts, _ = np.split(posed, np.cumsum([len(margin) for margin in margins]), axis=1)
        upper_left, lower_left, upper_right, lower_right = (part.mean(1) for part in parts)
        heights = [1e3 * (upper_left - lower_left), 1e3 * (upper_right - lower_right)]
        height = np.stack(heights, 1).astype(np.float32)
        half, full = np.split(height[1:] - height[0], 2)
        return cls(height[0], 4 * half - full, 2 * full - 4 * half)

    def height_mm(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch 2"]:
        """Mean opening of each eye; slightly negative when the lids are shut."""
        weights = np.asarray(weights, np.float32)
        return self.open_mm + weights @ self.linear_mm + weights**2 @ self.quadratic_mm

    def close(self, weights: Float32[np.ndarray, "52"], blink: float) -> None:
        """Move the lids the fraction `blink` (0..1) of the way from where they are to being shut; in place."""
        if blink <= 0:
            return
        full = weights.copy()
        full[_WIDE] = full[_BLINK] = 0.0
        alone = (self.linear_mm + self.quadratic_mm)[_BLINK, [0, 1]]  # what a blink by itself does, a negative height
        shut = self.open_mm + alone
        full[_BLINK] = np.clip((shut - self.height_mm(full)) / np.minimum(alone, -1e-3), 0.0, 1.0)
        for index in (_WIDE, _BLINK):
            weights[index] += np.float32(blink) * (full[index] - weights[index])


@cache
def default_lids() -> LidModel:
    """The lids of the generic head that ships."""
    return LidModel.from_head(*open_head())
