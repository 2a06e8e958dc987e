"""The swells in which a feeling lives on once it has set in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["Swells"]


class Swells:
    """How strong a feeling shows, and with which of its faces.

    It reaches its apex as it sets in, falls back a little, and comes up again every few seconds with another mixture of
    the emotion's variants: what moves a face that holds a feeling is the feeling, not noise.
    """

    HELD = 0.88
    """What is left of the apex between the swells."""
    _HOLD_S, _PAUSE_S = (0.8, 2.2), (1.4, 4.2)
    _EVEN = 0.9
    """Dirichlet concentration of the variants: below 1 one of them prevails."""
    _ASYMMETRY = 0.07

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.level = 1.0
        self.shares: Float[np.ndarray, " n"] = np.ones(1)
        """How much of each variant shows; sums to 1."""
        self.asymmetry = 0.0
        """How much more the left side shows than the mean of both."""
        self._next_s = 0.0

    def restart(self, time_s: float, n_variants: int, onset_s: float) -> None:
        """Another feeling sets in; its first apex is its prototype's."""
        self.level, self.shares = 1.0, np.eye(n_variants)[0]
        self._next_s = time_s + onset_s + self._rng.uniform(*self._HOLD_S)

    def step(self, time_s: float, variety: float) -> None:
        """The next pose; `variety` 0..1 is how far the faces may go from the prototype."""
        if time_s < self._next_s:
            return
        if self.level == 1.0:
            self.level = self.HELD
            self._next_s = time_s + self._rng.uniform(*self._PAUSE_S)
            return
        self.level = 1.0
        self._next_s = time_s + self._rng.uniform(*self._HOLD_S)
        others = self._rng.dirichlet(np.full(len(self.shares), self._EVEN))
        self.shares = (1 - variety) * np.eye(len(self.shares))[0] + variety * others
        self.asymmetry = float(variety * np.clip(self._rng.normal(0, self._ASYMMETRY), -0.15, 0.15))
