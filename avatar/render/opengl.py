"""The opengl backend."""

from __future__ import annotations

from avatar.render.protocol import Renderer, RendererUnavailableError

__all__ = ["OpenGLRenderer", "unavailable_reason"]


def unavailable_reason() -> str | None:
    """Why this backend cannot be used here; None if it can."""
    return "not built into this version"


def OpenGLRenderer() -> Renderer:
    raise RendererUnavailableError(unavailable_reason())
