"""Avatars drawn straight into a window, in the window's own OpenGL context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avatar.camera import Camera
from avatar.flame.params import FlameParams
from avatar.render.opengl.painter import SplatPainter
from avatar.render.protocol import Background, RendererUnavailableError
from avatar.rig import Avatar
from shaders import ShaderError

__all__ = ["WindowPainter"]


class WindowPainter:
    """Draws avatars straight into a window's framebuffer, in the window's own context.

    Make one, paint and close with the window's context current, on the window's thread. `device` says what draws.
    """

    name = "opengl"

    def __init__(self, load: Callable[[str], int]) -> None:
        """
        Args:
            load: gives the address of an OpenGL function by name, 0 if there is none, as windowing toolkits offer.

        Raises:
            RendererUnavailableError: if the context is older than OpenGL 3.3, or its driver refuses the shaders.
        """
        import moderngl

        settings: dict[str, Any] = {"context": _Loader(load)}
        try:
            self._gl = moderngl.create_context(require=330, **settings)
        except Exception as error:  # moderngl raises bare Exception
            raise RendererUnavailableError(f"the window's OpenGL cannot be used: {error}") from error
        self.device = f"{self._gl.info['GL_VENDOR']} {self._gl.info['GL_RENDERER']}"
        self._number = -1
        self._target: Any = None
        try:
            self._painter: SplatPainter | None = SplatPainter(self._gl)
        except ShaderError as error:
            raise RendererUnavailableError(f"the window's OpenGL cannot be used: {error}") from error

    @property
    def stages_ms(self) -> dict[str, float]:
        """What the stages of the last picture cost on the CPU, milliseconds."""
        return {} if self._painter is None else self._painter.stages_ms

    def paint(
        self,
        framebuffer: int,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
        offset: tuple[int, int] = (0, 0),
    ) -> None:
        """Draw a picture of the camera's size.

        Args:
            framebuffer: OpenGL's number of it.
            offset: where the picture's lower left corner goes, pixels.
        """
        if self._painter is None:
            raise ValueError("WindowPainter.paint: it is closed")
        if framebuffer != self._number:  # moderngl keeps 400 bytes of each that it has looked at, for good
            self._number, self._target = framebuffer, self._gl.detect_framebuffer(framebuffer)
        self._painter.paint(self._target, avatar, params, camera, background, max_gaussians, offset=offset, flip=True)

    def close(self) -> None:
        """Give back everything on the GPU. Closing twice is fine."""
        if self._painter is not None:
            self._painter.release()
            self._painter = None


class _Loader:
    """What moderngl asks of a foreign context."""

    def __init__(self, load: Callable[[str], int]) -> None:
        self._load = load

    def load_opengl_function(self, name: str) -> int:
        return int(self._load(name) or 0)

    def load(self, name: str) -> int:
        return self.load_opengl_function(name)

    def __enter__(self) -> None:
        """The window makes its context current itself."""

    def __exit__(self, *args: object) -> None:
        """And keeps it."""

    def release(self) -> None:
        """And owns it."""
