"""The level of detail that a machine can hold."""

from __future__ import annotations

__all__ = ["DetailControl"]


class DetailControl:
    """The number of Gaussians that keeps drawing within a time budget.

    Drawing takes about a + b * k milliseconds for k Gaussians; steps are proportional, downwards at once, upwards
    after a second of calm. One thread observes; any may read `count`.
    """

    START = 45_000
    _OUTLIER = 1.6
    """Budgets that one image may count for: a hiccup costs no detail, and a new avatar is loaded while its first is
    drawn."""

    def __init__(self, budget_ms: float) -> None:
        self.budget_ms = budget_ms
        self.count = self.START
        self._mean_ms: float | None = None
        self._calm = 0
        self._settle = 0

    def observe(self, draw_ms: float, least: int, most: int) -> None:
        """An image took so long; the avatar has `most` Gaussians, the first `least` of which are a whole picture."""
        draw_ms = min(draw_ms, self._OUTLIER * self.budget_ms)
        self._mean_ms = draw_ms if self._mean_ms is None else self._mean_ms + 0.12 * (draw_ms - self._mean_ms)
        self.count = min(max(self.count, least), most)
        if self._settle > 0:
            self._settle -= 1
            return
        ratio = self._mean_ms / self.budget_ms
        if ratio > 1.08:
            self._step(max(0.75, 1 / ratio), least, most)
        elif ratio < 0.92:
            self._calm += 1
            if self._calm >= 30:
                self._step(min(1.5, 0.97 / ratio), least, most)
        else:
            self._calm = 0

    def _step(self, factor: float, least: int, most: int) -> None:
        new = int(min(max(self.count * factor, least), most))
        if new != self.count and self._mean_ms is not None:
            self._mean_ms *= 1 + 0.7 * (new / self.count - 1)  # what to expect
        self.count = new
        self._calm, self._settle = 0, 8
