"""What the driver needs to know of a head: its blendshapes, its lips, its lids, its eyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from animation.life.lids import LidModel, default_lids
from animation.life.style import NOBODYS, PersonalStyle
from animation.speech.lips import LipModel, default_lips
from avatar.flame.arkit import ArkitMap, indices
from avatar.flame.head import HeadModel

__all__ = ["DrivenFace"]

_SCULPTED_GAZE = 0.4
"""Radians a unit of eyeLook stands for on heads whose eyes do not turn but have the gaze sculpted."""

_LOOKS = {
    "up": (0, "eyeLookUpLeft", "eyeLookUpRight"),
    "down": (0, "eyeLookDownLeft", "eyeLookDownRight"),
    "left": (1, "eyeLookOutLeft", "eyeLookInRight"),
    "right": (1, "eyeLookInLeft", "eyeLookOutRight"),
}
"""Axis of rotation, and the blendshapes of the left and the right eye that turn about it."""


@dataclass(frozen=True, eq=False)
class DrivenFace:
    """A head as it is driven. Making one costs some milliseconds; it holds nothing that changes, so that any number of
    drivers may share it and a driver may go over to another at any pose."""

    arkit: ArkitMap
    lips: LipModel
    """For exact closures."""
    lids: LidModel
    """For blinks that close exactly."""
    style: PersonalStyle = NOBODYS
    """How the person moves that the head was captured from."""

    @classmethod
    def of(cls, head: HeadModel, arkit: ArkitMap, style: PersonalStyle = NOBODYS) -> DrivenFace:
        """The face of this very head where it says which vertices are lips and lids; else with the generic head's."""
        return cls(
            arkit,
            LipModel.from_head(head, arkit) if LipModel.fits(head) else default_lips(),
            LidModel.from_head(head, arkit) if LidModel.fits(head) else default_lids(),
            style,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_reaches", {look: _reach(self.arkit, *parts) for look, parts in _LOOKS.items()})

    def look(self, weights: Float32[np.ndarray, "52"], gaze: Float[np.ndarray, "2"]) -> None:
        """Turn the eyes up and to the subject's left, radians; in place."""
        up, left = float(gaze[0]), float(gaze[1])
        for value, positive, negative in ((up, "up", "down"), (left, "left", "right")):
            index, radians = self._reaches[positive if value >= 0 else negative]  # type: ignore[attr-defined]
            weights[index] += np.float32(min(abs(value) / radians, 1.0))


def _reach(arkit: ArkitMap, axis: int, left: str, right: str) -> tuple[np.ndarray, float]:
    """A pair of blendshapes, and how far one unit of them turns the eyes about an axis, radians."""
    pair = indices(left, right)
    turn = (abs(float(arkit.leye[pair[0], axis])) + abs(float(arkit.reye[pair[1], axis]))) / 2
    return pair, turn if turn > 0.02 else _SCULPTED_GAZE
