"""News for the user, by kind: whoever shows them finds the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Notice", "NoticeKind"]

NoticeKind = Literal["renderer", "renderer-unavailable", "output", "camera", "clip", "monitor"]


@dataclass(frozen=True)
class Notice:
    """Something that the user should know, and that stops nothing."""

    kind: NoticeKind
    """`renderer`: it was changed, or needs time. `renderer-unavailable`: the one asked for cannot be used.
    `output`: something could not be sent. `camera`: none can be used, or it has gone. `clip`: a file that was to be
    played cannot be read. `monitor`: the voice cannot be played."""
    subject: str
    """Which renderer or output; empty if the detail says it."""
    detail: str
    """One line in English, from whoever found out."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.detail}" if self.subject else self.detail
