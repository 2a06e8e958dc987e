"""The one exception for things a user can mend."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Bad input: the message is one line that says what is wrong, where, and what to do about it."""
