"""How one person moves: measured once from a video of them talking, applied to all that their avatar does.

It is statistics, three numbers relative to what the driver does by itself, and no model of the person: how widely the
mouth opens, how often the eyes blink, how much the head moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from animation.settings import DriverSettings
from avatar.errors import UserError
from avatar.flame.arkit import indices

__all__ = ["NOBODYS", "PersonalStyle"]

_LEAST_S = 8.0
_SHUT, _OPEN = 0.55, 0.3
_WIDE, _BLINKS_A_MINUTE, _TURN_DEG = 0.30, 17.0, 2.4
"""Of the driver itself over minutes of speech: jawOpen that is passed in 5 % of the time, blinks, and the spread of the
head's turn."""
_DOUBT_S = 10.0
"""A short video says little about how often somebody blinks: so many seconds of the usual rate are added to it."""
_LIMITS = {"mouth": (0.6, 1.6), "blinks": (0.3, 3.0), "head": (0.3, 2.0)}


@dataclass(frozen=True)
class PersonalStyle:
    """Relative to the driver's own; 1 changes nothing."""

    mouth: float = 1.0
    blinks: float = 1.0
    head: float = 1.0

    @classmethod
    def measured(
        cls,
        times_s: Float[np.ndarray, " t"],
        weights: Float[np.ndarray, "t 52"],
        neck: Float[np.ndarray, "t 3"],
    ) -> PersonalStyle:
        """From tracked video of somebody talking.

        Args:
            neck: the head's turn, axis-angle, radians.

        Raises:
            UserError: if it is too short, or if the mouth hardly moves.
        """
        span = float(times_s[-1] - times_s[0]) if len(times_s) else 0.0
        if span < _LEAST_S:
            raise UserError(
                f"{span:.1f} s of video are too short to tell how somebody moves ({_LEAST_S:.0f} s at least)"
            )
        wide = float(np.percentile(weights[:, indices("jawOpen")[0]], 95))
        if wide < 0.05:
            raise UserError("the mouth hardly moves in this video: somebody should be talking in it")
        shut = weights[:, indices("eyeBlinkLeft", "eyeBlinkRight")].mean(1)
        blinks, closed = 0, False
        for value in shut:
            blinks += not closed and value > _SHUT
            closed = value > _SHUT or (closed and value > _OPEN)
        rate = (blinks + _BLINKS_A_MINUTE * _DOUBT_S / 60) / ((span + _DOUBT_S) / 60)
        turn = float(np.degrees(np.sqrt(np.var(neck, axis=0).sum())))
        found = {"mouth": wide / _WIDE, "blinks": rate / _BLINKS_A_MINUTE, "head": turn / _TURN_DEG}
        return cls(**{name: float(np.clip(value, *_LIMITS[name])) for name, value in found.items()})

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> PersonalStyle:
        """What an avatar's metadata say; nobody's own if they say nothing that can be used."""
        stored = metadata.get("style")
        if not isinstance(stored, dict):
            return NOBODYS
        try:
            values = {name: float(np.clip(float(stored.get(name, 1.0)), *_LIMITS[name])) for name in _LIMITS}
        except (TypeError, ValueError):
            return NOBODYS
        return cls(**values) if all(np.isfinite(v) for v in values.values()) else NOBODYS

    @property
    def stored(self) -> dict[str, float]:
        """For an avatar's metadata."""
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def applied(self, settings: DriverSettings) -> DriverSettings:
        """The settings of this person, as far as `settings.personal` says."""
        share = settings.personal
        if share == 0 or self == NOBODYS:
            return settings

        def scaled(value: float, factor: float, most: float) -> float:
            return min(value * factor**share, most)

        return replace(
            settings,
            mouth_opening=scaled(settings.mouth_opening, self.mouth, 2.0),
            liveliness=scaled(settings.liveliness, self.head, 2.0),
            blink_rate=scaled(settings.blink_rate, self.blinks, 4.0),
        )


NOBODYS = PersonalStyle()
"""Of avatars that were captured from nobody, or from photos alone."""
