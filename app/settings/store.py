"""The settings in force: one value, replaced as a whole, observed, undone; free of Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from app.history import History
from app.settings.files import save_settings
from app.settings.settings import LOOK_FIELDS, Preset, Settings

__all__ = ["Store"]

_NOT_UNDONE = frozenset({"collapsed", "version", "presets", "theme"})


class Store:
    """The settings in force: one value, replaced as a whole, observed, undone.

    For one thread, the owner's. Observers are called in the order of subscription, with the names that changed.
    """

    _MERGE_S = 0.8
    _DEPTH = 100

    def __init__(self, settings: Settings | None = None, path: Path | None = None) -> None:
        self._history = History(settings or Settings(), self._DEPTH)
        self._path = path
        self._observers: list[Callable[[Settings, frozenset[str]], None]] = []
        self._last: tuple[frozenset[str], float] = (frozenset(), 0.0)

    @property
    def value(self) -> Settings:
        """The settings in force."""
        return self._history.value

    def subscribe(self, observer: Callable[[Settings, frozenset[str]], None]) -> Callable[[], None]:
        """Call `observer(settings, changed)` after every change; the result ends it."""
        self._observers.append(observer)

        def leave() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return leave

    def change(self, **changes: Any) -> None:
        """Replace some fields. Changes of the same fields in quick succession (a slider) are undone together.

        Raises:
            ValueError: for a value out of its range.
        """
        new = msgspec.structs.replace(self.value, **changes)
        try:
            msgspec.convert(msgspec.to_builtins(new), Settings)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        names = frozenset(n for n in changes if getattr(new, n) != getattr(self.value, n))
        if not names:
            return
        undone = names - _NOT_UNDONE
        if undone:
            now = time.monotonic()
            together = self._last[0] == undone and now - self._last[1] <= self._MERGE_S
            self._last = (undone, now)
            self._history.change(new, together)
        else:
            self._history.amend(new)
        self._tell(names)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        return self._history.can_redo

    def undo(self) -> None:
        """Go back one change."""
        self._travel(self._history.undo)

    def redo(self) -> None:
        """Take the last undo back."""
        self._travel(self._history.redo)

    def keep_preset(self, name: str) -> None:
        """Remember the present look under a name; one of the same name is replaced."""
        look = {field: getattr(self.value, field) for field in LOOK_FIELDS}
        values = msgspec.json.decode(msgspec.json.encode(look))  # as it will be read back from the file
        others = tuple(p for p in self.value.presets if p.name != name)
        self.change(presets=(*others, Preset(name, values)))

    def apply_preset(self, name: str) -> None:
        """Take a look on, in one step that can be undone.

        Raises:
            KeyError: if there is none of this name.
        """
        preset = next((p for p in self.value.presets if p.name == name), None)
        if preset is None:
            raise KeyError(name)
        fields = msgspec.to_builtins(self.value) | {k: v for k, v in preset.values.items() if k in LOOK_FIELDS}
        try:
            wanted = msgspec.convert(fields, Settings).checked()
        except msgspec.ValidationError as error:
            raise ValueError(f"the preset {name!r} cannot be used: {error}") from error
        self._last = (frozenset(), 0.0)
        self.change(**{field: getattr(wanted, field) for field in LOOK_FIELDS})

    def drop_preset(self, name: str) -> None:
        """Forget a look."""
        self.change(presets=tuple(p for p in self.value.presets if p.name != name))

    def save(self) -> None:
        """Write the file, all or nothing.

        Raises:
            OSError: if it cannot be written.
        """
        save_settings(self.value, self._path)

    def _travel(self, step: Callable[[], bool]) -> None:
        before = self.value
        if not step():
            return
        self._history.amend(
            msgspec.structs.replace(self.value, **{name: getattr(before, name) for name in _NOT_UNDONE})
        )
        self._last = (frozenset(), 0.0)
        self._tell(frozenset(f for f in Settings.__struct_fields__ if getattr(self.value, f) != getattr(before, f)))

    def _tell(self, changed: frozenset[str]) -> None:
        for observer in tuple(self._observers):
            observer(self.value, changed)
