"""The thread that draws a person in the making: the newest wish counts, and what takes longer comes when hands rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PyQt6.QtCore import QObject, pyqtSignal

from app.backdrop import Studio
from app.live.exchange import Latest
from avatar.errors import UserError

if TYPE_CHECKING:
    from app.forging import AvatarRecipe

__all__ = ["PortraitPainter", "Wish"]


class _Portrait(Protocol):
    """`app.forging.Portrait`."""

    def picture(self, recipe: AvatarRecipe, side: int, turn_deg: float, wall: Studio) -> np.ndarray: ...
    def settle(self, recipe: AvatarRecipe) -> bool: ...
    def close(self) -> None: ...


OpenPortrait = Callable[["AvatarRecipe", Callable[[float], None]], _Portrait]


@dataclass(frozen=True)
class Wish:
    """What is to be seen."""

    recipe: AvatarRecipe
    side: int
    turn_deg: float
    wall: Studio


class _StoppedError(Exception):
    pass


class PortraitPainter(QObject):
    """Draws wishes on a thread of its own.

    Exchange: `ask` puts a wish into one slot, the newest wins; pictures come back through another, with `ready`.
    """

    ready = pyqtSignal()
    """There is a new `picture`."""
    preparing = pyqtSignal(float)
    """The share done of what comes before the first picture."""
    rested = pyqtSignal()
    """The picture is whole: nothing is still to be made."""
    failed = pyqtSignal(str)

    def __init__(self, open_portrait: OpenPortrait) -> None:
        super().__init__()
        self.picture: Latest[np.ndarray | None] = Latest(None)
        """BGRA."""
        self._open = open_portrait
        self._portrait: _Portrait | None = None
        self._wish: Latest[Wish | None] = Latest(None)
        self._whole: Wish | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def ask(self, wish: Wish) -> None:
        """Draw this, and nothing that was asked for before it; starts the thread if there is none."""
        self._wish.put(wish)
        self._wake.set()
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="portrait", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what it has prepared is kept for the next wish."""
        thread, self._thread = self._thread, None
        self._stopping = True
        self._wake.set()
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """End the thread, and give everything back."""
        self.stop()
        if self._portrait is not None:
            self._portrait.close()
            self._portrait = None

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait()
                self._wake.clear()
                self._draw_until_whole()
        except _StoppedError:
            return
        except UserError as error:
            self.failed.emit(str(error))
        except Exception as error:
            self.failed.emit(f"the preview has failed ({type(error).__name__}: {error})")

    def _draw_until_whole(self) -> None:
        """Return when the newest wish is on show with all its parts."""
        while not self._stopping:
            wish = self._wish.get()
            if wish is None or wish is self._whole:
                return
            if self._portrait is None:
                self._portrait = self._open(wish.recipe, self._tell)
                continue
            self.picture.put(self._portrait.picture(wish.recipe, wish.side, wish.turn_deg, wish.wall))
            self.ready.emit()
            if self._wish.get() is not wish or self._stopping:
                continue
            if not self._portrait.settle(wish.recipe):
                self._whole = wish
                self.rested.emit()

    def _tell(self, share: float) -> None:
        if self._stopping:
            raise _StoppedError
        self.preparing.emit(share)
