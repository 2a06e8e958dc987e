"""What OpenGL a window can have here."""

from __future__ import annotations

from PyQt6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext, QSurfaceFormat

__all__ = ["missing_opengl", "surface_format"]

_WITHOUT_OPENGL = ("offscreen", "minimal", "linuxfb", "vnc")
"""Platforms of Qt on which a QOpenGLWidget has no framebuffer, and does not say so."""


def surface_format() -> QSurfaceFormat:
    """OpenGL 3.3 core with an alpha channel."""
    form = QSurfaceFormat()
    form.setVersion(3, 3)
    form.setProfile(QSurfaceFormat.OpenGLContextProfile.CoreProfile)
    form.setAlphaBufferSize(8)
    return form


def missing_opengl() -> str | None:
    """Why no window can be drawn with OpenGL here, one line; None if one can."""
    if QGuiApplication.platformName() in _WITHOUT_OPENGL:
        return f"the display {QGuiApplication.platformName()!r} has none"
    context, surface = QOpenGLContext(), QOffscreenSurface()
    context.setFormat(surface_format())
    if not context.create():
        return "no context can be made"
    surface.setFormat(context.format())
    surface.create()
    if not context.makeCurrent(surface):
        return "a context cannot be used"
    version = context.format().version()
    context.doneCurrent()
    surface.destroy()
    return None if version >= (3, 3) else f"3.3 is needed, the driver has {version[0]}.{version[1]}"
