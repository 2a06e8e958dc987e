"""Work that a dialog waits for on a thread of its own, and whose end it tells, whatever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from avatar.errors import UserError
from avatar.interrupts import StoppedError

__all__ = ["attempted"]

T = TypeVar("T")


def attempted(make: Callable[[], T]) -> T | UserError | StoppedError:
    """What came of making an avatar, or why there is none."""
    try:
        return make()
    except StoppedError as stopped:
        return stopped
    except UserError as error:
        return error
    except Exception as error:
        return UserError(f"the avatar could not be made ({type(error).__name__}: {error})")
