"""The OpenGL backend: instanced quadrilaterals, GL 3.3 core. Importing this loads no OpenGL."""

from __future__ import annotations

from avatar.render.opengl.context import is_software, unavailable_reason
from avatar.render.opengl.renderer import OpenGLRenderer
from avatar.render.opengl.window import WindowPainter

__all__ = ["OpenGLRenderer", "WindowPainter", "is_software", "unavailable_reason"]
