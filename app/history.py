"""What something was before, and was going to be."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["History"]

T = TypeVar("T")


class History(Generic[T]):
    """A value whose changes can be undone and done again. For one thread."""

    def __init__(self, value: T, depth: int | None = None) -> None:
        """
        Args:
            depth: how many changes are remembered; all if None.
        """
        self._value = value
        self._depth = depth
        self._past: list[T] = []
        self._future: list[T] = []

    @property
    def value(self) -> T:
        """As it stands."""
        return self._value

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return bool(self._future)

    def change(self, value: T, together: bool = False) -> None:
        """Another value.

        Args:
            together: with the change before it, if there is one, as if both were one.
        """
        if not (together and self._past):
            self._past.append(self._value)
            if self._depth is not None:
                del self._past[: -self._depth]
        self._future.clear()
        self._value = value

    def amend(self, value: T) -> None:
        """Another value, in the place of this one; there is nothing to undo."""
        self._value = value

    def undo(self) -> bool:
        """Take the last change back; False if there is none."""
        return self._travel(self._past, self._future)

    def redo(self) -> bool:
        """Make the change again that was taken back last; False if there is none."""
        return self._travel(self._future, self._past)

    def _travel(self, source: list[T], other: list[T]) -> bool:
        if not source:
            return False
        other.append(self._value)
        self._value = source.pop()
        return True
