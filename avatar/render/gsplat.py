"""The gsplat backend."""

from __future__ import annotations

from collections.abc import Callable

from avatar.render.protocol import Renderer, RendererUnavailableError

__all__ = ["GsplatRenderer", "unavailable_reason"]


def unavailable_reason() -> str | None:
    """Why this backend cannot be used here; None if it can."""
    return "not built into this version"


def GsplatRenderer(notice: Callable[[str], None] | None = None) -> Renderer:
    raise RendererUnavailableError(unavailable_reason())
