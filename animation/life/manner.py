"""How a feeling shows in the head, the eyes and the breath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

__all__ = ["Manner", "MannerBlend"]


@dataclass(frozen=True)
class Manner:
    """The bearing of a person at one moment; the defaults are those of a calm one. Sizes and rates are relative."""

    pitch_deg: float = 0.0
    """Posture of the head: down is positive."""
    yaw_deg: float = 0.0
    """To the subject's left."""
    roll_deg: float = 0.0
    """To the subject's right."""
    gaze_up_deg: float = 0.0
    """Where the eyes rest, relative to the camera."""
    gaze_left_deg: float = 0.0
    """To the subject's left."""
    blink_rate: float = 1.0
    blink_length: float = 1.0
    away_rate: float = 1.0
    """How often the eyes leave the camera."""
    away_length: float = 1.0
    away_down_deg: float = 0.0
    """How far below the usual they look then."""
    head_size: float = 1.0
    """Of the head's sway and postures."""
    head_tempo: float = 1.0
    nod_size: float = 1.0
    """Of the nods on stresses."""
    breath_rate: float = 1.0
    breath_depth: float = 1.0

    @property
    def posture(self) -> Float[np.ndarray, "3"]:
        """The head's posture, axis-angle in radians."""
        return np.radians([self.pitch_deg, self.yaw_deg, self.roll_deg])

    @property
    def gaze(self) -> Float[np.ndarray, "2"]:
        """Where the eyes rest: up and to the subject's left, radians."""
        return np.radians([self.gaze_up_deg, self.gaze_left_deg])


_NAMES = tuple(f.name for f in fields(Manner))


class MannerBlend:
    """Mixtures of a fixed set of manners; where a mixture does not reach 1, the rest is the calm one."""

    def __init__(self, manners: Sequence[Manner]) -> None:
        table = np.array([[getattr(manner, name) for name in _NAMES] for manner in manners])
        self._calm = np.array([getattr(Manner(), name) for name in _NAMES])
        self._offsets = table - self._calm

    def __call__(self, mix: Float[np.ndarray, " m"]) -> Manner:
        """The manner of a mixture: weights 0..1 that sum to 1 at most."""
        return Manner(*(self._calm + mix @ self._offsets).tolist())
