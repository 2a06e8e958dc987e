"""A performance while it is being edited; knows nothing of Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from animation.expression.track import EmotionCue
from animation.performance.document import Performance
from app.history import History

__all__ = ["Block", "Direction", "moved", "restrained"]

_APART_S = 0.05
"""No two cues come closer to each other than this."""


@dataclass(frozen=True)
class Block:
    """A cue as it is drawn: until the next one, or the end of the clip."""

    index: int
    start_s: float
    end_s: float
    cue: EmotionCue


def moved(cues: tuple[EmotionCue, ...], index: int, time_s: float) -> tuple[EmotionCue, ...]:
    """The cues with one of them at another time, between its neighbours."""
    low = cues[index - 1].time_s + _APART_S if index > 0 else 0.0
    high = cues[index + 1].time_s - _APART_S if index + 1 < len(cues) else float("inf")
    time_s = round(max(low, min(time_s, high)), 3)
    return (*cues[:index], replace(cues[index], time_s=time_s), *cues[index + 1 :])


def restrained(cues: tuple[EmotionCue, ...], index: int, intensity: float) -> tuple[EmotionCue, ...]:
    """The cues with another intensity, 0..1, of one of them."""
    intensity = round(min(max(intensity, 0.0), 1.0), 2)
    return (*cues[:index], replace(cues[index], intensity=intensity), *cues[index + 1 :])


class Direction:
    """The performance of a clip, its editing and undoing.

    For one thread. Observers are called after every change, those of undoing included.
    """

    _DEPTH = 200

    def __init__(self, performance: Performance | None = None, duration_s: float = 0.0) -> None:
        self._history = History(performance or Performance(), self._DEPTH)
        self.duration_s = duration_s
        self._observers: list[Callable[[], None]] = []

    def subscribe(self, observer: Callable[[], None]) -> None:
        """Call `observer()` after every change."""
        self._observers.append(observer)

    @property
    def performance(self) -> Performance:
        """As it stands."""
        return self._history.value

    @property
    def cues(self) -> tuple[EmotionCue, ...]:
        """In the order of their times."""
        return self.performance.cues

    def blocks(self, cues: tuple[EmotionCue, ...] | None = None) -> list[Block]:
        """The cues, or others in their place, as stretches of time."""
        cues = self.cues if cues is None else cues
        ends = [*(cue.time_s for cue in cues), self.duration_s][1:]
        pairs = enumerate(zip(cues, ends, strict=True))
        return [Block(k, cue.time_s, max(end_s, cue.time_s), cue) for k, (cue, end_s) in pairs]

    def put(self, time_s: float, emotion: str, intensity: float) -> int:
        """A new cue, or another emotion for the one that stands there; its index."""
        time_s = round(min(max(time_s, 0.0), self.duration_s), 3)
        near = [k for k, cue in enumerate(self.cues) if abs(cue.time_s - time_s) < _APART_S]
        if near:
            self.change(near[0], emotion=emotion, intensity=intensity)
            return near[0]
        self.take((*self.cues, EmotionCue(time_s, emotion, intensity)))
        return next(k for k, cue in enumerate(self.cues) if cue.time_s == time_s)

    def change(self, index: int, **fields: object) -> None:
        """Another emotion, intensity or transition for a cue."""
        cue = replace(self.cues[index], **fields)  # type: ignore[arg-type]
        self.take((*self.cues[:index], cue, *self.cues[index + 1 :]))

    def remove(self, index: int) -> None:
        """Without this cue; the one before goes on."""
        self.take((*self.cues[:index], *self.cues[index + 1 :]))

    def take(self, cues: tuple[EmotionCue, ...]) -> None:
        """These cues instead."""
        self._go(replace(self.performance, cues=cues))

    def open(self, performance: Performance) -> None:
        """A performance from a file; can be undone, too."""
        self._go(performance)

    def undo(self) -> None:
        """Take back the last change, if there is one."""
        if self._history.undo():
            self._tell()

    def redo(self) -> None:
        """Do again what was taken back last."""
        if self._history.redo():
            self._tell()

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something has been taken back."""
        return self._history.can_redo

    def _go(self, performance: Performance) -> None:
        if performance != self.performance:
            self._history.change(performance)
            self._tell()

    def _tell(self) -> None:
        for observer in self._observers:
            observer()
