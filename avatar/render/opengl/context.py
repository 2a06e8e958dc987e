"""OpenGL contexts without a window."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

from avatar.render.protocol import RendererUnavailableError

__all__ = ["OffscreenContext", "is_software", "unavailable_reason"]

_Result = TypeVar("_Result")

_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "swrast", "software rasterizer", "gdi generic", "microsoft basic")
_LIBRARIES = {"libgl": ("GL", "libGL.so.1"), "libegl": ("EGL", "libEGL.so.1")}


def is_software(device: str) -> bool:
    """Whether a GL_VENDOR / GL_RENDERER string names a renderer that runs on the CPU."""
    return any(name in device.lower() for name in _SOFTWARE)


@cache
def _library(name: str) -> str | None:
    """A shared library's name if it can be loaded."""
    for candidate in (_LIBRARIES[name][1], find_library(_LIBRARIES[name][0])):
        if candidate:
            try:
                ctypes.CDLL(candidate)
                return candidate
            except OSError:
                continue
    return None


@dataclass(frozen=True, eq=False)
class _Made:
    """A moderngl context and what lasts as long as it."""

    gl: Any
    rest: Any
    """A framebuffer of one pixel, bound while nothing is drawn."""
    timer: Any
    """A query of elapsed time; moderngl cannot delete these."""
    egl: Any
    """The EGL library, None where it is not used."""


_spare: list[_Made] = []
"""Contexts closed: a new one costs 0.1 s, and 40 KB that moderngl never gives back."""


def _create() -> _Made:
    """A new context, current on this thread."""
    import moderngl

    settings: dict[str, Any] = {}
    if sys.platform.startswith("linux"):
        settings = {"backend": "egl", "libgl": _library("libgl"), "libegl": _library("libegl")}
        missing = [_LIBRARIES[k][1] for k in _LIBRARIES if settings[k] is None]
        if missing:
            raise RendererUnavailableError(
                f"{' and '.join(missing)} not found (Debian, Ubuntu: apt install libgl1 libegl1)"
            )
    try:
        gl = moderngl.create_context(standalone=True, require=330, **settings)
    except Exception as error:  # moderngl raises bare Exception for a driver's refusal
        raise RendererUnavailableError(f"no OpenGL 3.3 context: {error}") from error
    egl = ctypes.CDLL(settings["libegl"]) if settings else None
    return _Made(gl, gl.simple_framebuffer((1, 1)), gl.query(time=True), egl)


class OffscreenContext:
    """A context of its own, current for good on a thread of its own: any thread may use it.

    Making a context current and letting go of it takes NVIDIA's driver 36 ms (measured on an H200), so that is not done
    for each picture; handing a picture to another thread takes microseconds.
    """

    def __init__(self) -> None:
        """
        Raises:
            RendererUnavailableError: if there is no OpenGL 3.3.
        """
        self._thread = ThreadPoolExecutor(1, "opengl")
        self._sound = True
        try:
            self._made, info = self._thread.submit(self._begin).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self.gl = self._made.gl
        self.timer = self._made.timer
        """Measures what the GPU is busy with in a `with` block: `elapsed`, nanoseconds."""
        self.device = f"{info['GL_VENDOR']} {info['GL_RENDERER']}"

    def _begin(self) -> tuple[_Made, dict[str, Any]]:
        """The context, current here, and what its driver says of itself, which it says here alone."""
        made = _spare.pop() if _spare else _create()
        made.gl.__enter__()
        return made, made.gl.info

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Do something with the context on its thread, and wait for it. Not from within such work."""
        return self._thread.submit(self._guarded, work).result()

    def _guarded(self, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        finally:
            self._made.rest.use()  # so that no framebuffer is deleted while it is bound

    def check(self) -> None:
        """See whether the driver has complained, which it does in silence: out of memory, a GPU that is gone.

        For the context's own thread.

        Raises:
            RendererUnavailableError: if it has.
        """
        error = self.gl.error
        if error != "GL_NO_ERROR":
            self._sound = False
            raise RendererUnavailableError(f"OpenGL reports {error}")

    def close(self) -> None:
        """Put the context by for the next one to open, if it is sound."""
        self._thread.submit(self._end).result()
        self._thread.shutdown()

    def _end(self) -> None:
        sound = self._sound and self.gl.error == "GL_NO_ERROR"
        self.gl.__exit__(None, None, None)
        if sound and self._made.egl is not None:  # elsewhere a context stays with the thread that made it
            _spare.append(self._made)
        else:
            self.gl.release()
        if self._made.egl is not None:
            self._made.egl.eglReleaseThread()


@cache
def unavailable_reason() -> str | None:
    """Why OpenGL cannot be used here, in one line; None if it can. The answer is kept."""
    if find_spec("moderngl") is None:
        return "the package moderngl is not installed"
    try:
        OffscreenContext().close()
    except RendererUnavailableError as error:
        return str(error)
    return None
