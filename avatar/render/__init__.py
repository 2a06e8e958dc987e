"""Renderers: one interface, several backends. Importing this loads none of them."""

from __future__ import annotations

from avatar.render.protocol import BUFFERS, Background, Renderer, RendererUnavailableError, to_bgra
from avatar.render.selection import BACKENDS, available_renderers, open_renderer

__all__ = [
    "BACKENDS",
    "BUFFERS",
    "Background",
    "Renderer",
    "RendererUnavailableError",
    "available_renderers",
    "open_renderer",
    "to_bgra",
]
