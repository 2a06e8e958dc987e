"""Work that a dialog waits for on a thread of its own, and whose end it tells, whatever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from avatar.errors import UserError

__all__ = ["attempted"]

T = TypeVar("T")


def attempted(make: Callable[[], T]) -> T | UserError:
    """What came of making an avatar, or why there is none."""
    try:
        return make()
    except UserError as error:
        return error
    except Exception as error:
        return UserError(f"the avatar could not be made ({type(error).__name__}: {error})")
