"""The settings in force: one value, replaced as a whole, observed, undone; free of Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

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
        self._value = settings or Settings()
        self._path = path
        self._observers: list[Callable[[Settings, frozenset[str]], None]] = []
        self._undo: list[Settings] = []
        self._redo: list[Settings] = []
        self._last: tuple[frozenset[str], float] = (frozenset(), 0.0)

    @property
    def value(self) -> Settings:
        """The settings in force."""
        return self._value

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
        new = msgspec.structs.replace(self._value, **changes)
        try:
            msgspec.convert(msgspec.to_builtins(new), Settings)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        names = frozenset(n for n in changes if getattr(new, n) != getattr(self._value, n))
        if not names:
            return
        undone = names - _NOT_UNDONE
        if undone:
            now = time.monotonic()
            if self._last[0] != undone or now - self._last[1] > self._MERGE_S or not self._undo:
                self._undo.append(self._value)
                del self._undo[: -self._DEPTH]
            self._last = (undone, now)
            self._redo.clear()
        self._replace(new, names)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        return bool(self._redo)

    def undo(self) -> None:
        """Go back one change."""
        self._travel(self._undo, self._redo)

    def redo(self) -> None:
        """Take the last undo back."""
        self._travel(self._redo, self._undo)

    def keep_preset(self, name: str) -> None:
        """Remember the present look under a name; one of the same name is replaced."""
        look = {field: getattr(self._value, field) for field in LOOK_FIELDS}
        values = msgspec.json.decode(msgspec.json.encode(look))  # as it will be read back from the file
        others = tuple(p for p in self._value.presets if p.name != name)
        self.change(presets=(*others, Preset(name, values)))

    def apply_preset(self, name: str) -> None:
        """Take a look on, in one step that can be undone.

        Raises:
            KeyError: if there is none of this name.
        """
        preset = next((p for p in self._value.presets if p.name == name), None)
        if preset is None:
            raise KeyError(name)
        fields = msgspec.to_builtins(self._value) | {k: v for k, v in preset.values.items() if k in LOOK_FIELDS}
        try:
            wanted = msgspec.convert(fields, Settings).checked()
        except msgspec.ValidationError as error:
            raise ValueError(f"the preset {name!r} cannot be used: {error}") from error
        self._last = (frozenset(), 0.0)
        self.change(**{field: getattr(wanted, field) for field in LOOK_FIELDS})

    def drop_preset(self, name: str) -> None:
        """Forget a look."""
        self.change(presets=tuple(p for p in self._value.presets if p.name != name))

    def save(self) -> None:
        """Write the file, all or nothing.

        Raises:
            OSError: if it cannot be written.
        """
        save_settings(self._value, self._path)

    def _travel(self, source: list[Settings], other: list[Settings]) -> None:
        if not source:
            return
        target = source.pop()
        other.append(self._value)
        kept = {name: getattr(self._value, name) for name in _NOT_UNDONE}
        target = msgspec.structs.replace(target, **kept)
        changed = frozenset(f for f in Settings.__struct_fields__ if getattr(target, f) != getattr(self._value, f))
        self._last = (frozenset(), 0.0)
        self._replace(target, changed)

    def _replace(self, new: Settings, changed: frozenset[str]) -> None:
        self._value = new
        for observer in tuple(self._observers):
            observer(new, changed)
