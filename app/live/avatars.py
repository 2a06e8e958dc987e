"""The avatars thread: loads what the user picks, and keeps what works."""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.live.exchange import Latest
from app.live.inference import ActiveAvatar
from app.live.worker import Failure, Worker
from avatar.errors import UserError
from avatar.library import default_name, open_avatar

__all__ = ["Avatars"]

_log = logging.getLogger(__name__)


class Avatars(Worker):
    """Loads avatars, the newest that was picked and no other, so that they come in the order of the picks.

    A loaded avatar is on trial until it has been driven and drawn. Who breaks it says so, and the one before comes
    back: a stranger's file stops nothing.

    Exchange: `pick` (any thread) into a one-slot mailbox; `active` is read by the inference and the render thread,
    which call `proven` and `broken`; the callbacks come on whichever thread finds out.
    """

    def __init__(
        self,
        active: Latest[ActiveAvatar | None],
        on_shown: Callable[[str | None], None] = lambda asked: None,
        on_failed: Callable[[str | None, str], None] = lambda asked, problem: None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        """
        Args:
            on_shown: what was picked moves on the screen.
            on_failed: what was picked cannot be opened, driven or drawn; one line on why.
        """
        super().__init__("avatars", on_failure)
        self._active = active
        self._on_shown, self._on_failed = on_shown, on_failed
        self._wanted: Latest[str | None] = Latest(None)
        self._seen = 0
        self._good: ActiveAvatar | None = None

    def pick(self, asked: str | None) -> None:
        """Show this, by name or file; None is the default avatar. The old one stays until the new one moves."""
        self._wanted.put(asked)
        self.wake.set()

    def run(self) -> None:
        while not self.stopping:
            version, asked = self._wanted.versioned()
            if version == self._seen:
                self.wake.wait(1.0)
                continue
            self._seen = version
            try:
                avatar = open_avatar(default_name() if asked is None else asked)
                loaded = ActiveAvatar.of(avatar, asked, on_trial=asked is not None)
            except Exception as error:
                if not isinstance(error, UserError):
                    _log.warning("%s cannot be opened", asked, exc_info=True)
                if self._wanted.versioned()[0] == version:
                    self._on_failed(asked, _line(error))
                continue
            if self._wanted.versioned()[0] == version:
                self._active.put(loaded)

    def proven(self, avatar: ActiveAvatar) -> None:
        """It has been driven and drawn."""
        self._good = avatar
        self._on_shown(avatar.asked)

    def broken(self, avatar: ActiveAvatar, error: Exception) -> bool:
        """It cannot be driven or drawn: the one before comes back. False if it is not on trial, so that the error is
        not its fault."""
        if not avatar.on_trial:
            return False
        _log.warning("%s cannot be shown", avatar.asked, exc_info=error)
        if self._active.get() is avatar:
            self._active.put(self._good if self._good is not avatar else None)
        self._on_failed(avatar.asked, f"{avatar.avatar.name}: it cannot be shown ({_line(error)})")
        return True


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
