"""Which backend to draw with."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.render.fallback import FallbackRenderer
from avatar.render.kernel_cache import is_compiled, kernel_folder
from avatar.render.probe import probe_avatar
from avatar.render.protocol import Renderer, RendererUnavailableError

__all__ = ["BACKENDS", "available_renderers", "open_renderer"]

_log = logging.getLogger(__name__)

BACKENDS = ("gsplat", "opengl", "cpu", "reference")
"""Names that `open_renderer` takes besides "auto", fastest first; `reference` is for tests."""

Notice = Callable[[str], None]


def _open_gsplat(notice: Notice | None = None) -> Renderer:
    from avatar.render.gsplat import GsplatRenderer

    return GsplatRenderer(notice=notice)


def _open_opengl() -> Renderer:
    from avatar.render.opengl import OpenGLRenderer

    return OpenGLRenderer()


def _open_cpu(patient: bool = True) -> Renderer:
    if patient or is_compiled() or kernel_folder(Path(__file__).parent / "cpu") is None:
        return _compiled_cpu()
    from avatar.render.warming import WarmingRenderer

    return WarmingRenderer(_compiled_cpu)


def _compiled_cpu() -> Renderer:
    from avatar.render.cpu import CpuRenderer

    return CpuRenderer()


def _open_reference() -> Renderer:
    from avatar.render.reference import ReferenceRenderer

    return ReferenceRenderer()


def _opener(name: str, notice: Notice | None, patient: bool = True) -> Callable[[], Renderer]:
    if name == "gsplat":
        return lambda: _open_gsplat(notice)
    return {"opengl": _open_opengl, "cpu": lambda: _open_cpu(patient), "reference": _open_reference}[name]


def _open_instead(name: str) -> Renderer:
    """Open a backend that is to take over from another: OpenGL in software would be slower than the CPU."""
    renderer = _opener(name, None)()
    if renderer.is_software:
        renderer.close()
        raise RendererUnavailableError(f"{renderer.device} draws in software")
    return renderer


def _why_not(name: str) -> str:
    """'ok', or the one-line reason why a backend cannot be used. Compiles nothing."""
    if name == "gsplat":
        from avatar.render.gsplat import unavailable_reason as reason
    elif name == "opengl":
        from avatar.render.opengl import unavailable_reason as reason
    else:
        return "ok"
    return reason() or "ok"


def available_renderers() -> dict[str, str]:
    """Each backend's name with "ok" or one line that says why it cannot be used. Compiles and draws nothing."""
    return {name: _why_not(name) for name in BACKENDS}


def open_renderer(name: str = "auto", notice: Notice | None = None, patient: bool = True) -> Renderer:
    """Open a backend.

    "auto" takes gsplat where CUDA works; else OpenGL on a real GPU that beats the CPU in a trial of half a second;
    else the CPU. Whatever is taken, it is replaced by the next if it fails while drawing.

    Args:
        name: "auto" or one of `BACKENDS`.
        notice: called with one line for the user, on the calling thread or the one that draws: before a long
            compilation, when "auto" finds a GPU that it cannot use, and when the backend changes.
        patient: False for whoever wants pictures at once: those of the CPU are small and slow until it is compiled,
            which takes a while, once on a machine.

    Raises:
        UserError: for an unknown name, or a backend that cannot be used here.
    """
    if name == "auto":
        return _open_auto(notice, patient)
    if name not in BACKENDS:
        raise UserError(f"unknown renderer {name!r}: choose auto, {', '.join(BACKENDS)}")
    try:
        renderer = _opener(name, notice, patient)()
    except RendererUnavailableError as error:
        raise UserError(f"the {name} renderer cannot be used here: {error}") from error
    return _with_fallback(renderer, notice)


def _with_fallback(renderer: Renderer, notice: Notice | None) -> Renderer:
    if renderer.name in ("cpu", "reference"):
        return renderer
    others = BACKENDS[BACKENDS.index(renderer.name) + 1 : BACKENDS.index("reference")]
    return FallbackRenderer(renderer, [(other, partial(_open_instead, other)) for other in others], notice)


def _open_auto(notice: Notice | None, patient: bool) -> Renderer:
    for name in ("gsplat", "opengl"):
        reason = _why_not(name)
        if reason == "ok":
            try:
                renderer = _opener(name, notice)()
                if name == "opengl" and not _worth_it(renderer, patient):
                    renderer.close()
                    continue
                return _with_fallback(renderer, notice)
            except (RendererUnavailableError, OSError, RuntimeError) as error:
                reason = str(error)
        _log.info("not drawing with %s: %s", name, reason)
        if name == "gsplat" and notice is not None and torch.cuda.is_available():
            notice(f"The NVIDIA GPU cannot be used with gsplat: {reason}")
    return _open_cpu(patient)


def _worth_it(renderer: Renderer, patient: bool) -> bool:
    """Whether an OpenGL renderer runs on a GPU and beats the CPU; who is not patient takes it on trust where the CPU's
    would have to be compiled for a trial."""
    if renderer.is_software:
        _log.info("not drawing with opengl: %s draws in software", renderer.device)
        return False
    if not patient and not is_compiled():
        _log.info("drawing with opengl on %s, without a trial against the CPU, which is not compiled", renderer.device)
        return True
    cpu = _open_cpu()
    try:
        theirs, ours = _trial_ms(renderer), _trial_ms(cpu)
    finally:
        cpu.close()
    _log.info("trial: opengl %.1f ms a picture, cpu %.1f ms", theirs, ours)
    return theirs < ours


def _trial_ms(renderer: Renderer, pictures: int = 7) -> float:
    """Median milliseconds of a picture of the probe avatar."""
    avatar = probe_avatar(60_000)
    camera = Camera.orbit(512, 512)
    params = avatar.head.neutral()
    times = []
    for _ in range(pictures):
        started = time.perf_counter()
        renderer.draw(avatar, params, camera, (1.0, 1.0, 1.0))
        times.append(time.perf_counter() - started)
    return sorted(times)[pictures // 2] * 1e3
