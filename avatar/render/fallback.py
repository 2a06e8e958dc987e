"""A renderer that goes on when its backend fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.render.protocol import Background, Renderer, RendererUnavailableError
from avatar.rig import Avatar

__all__ = ["FallbackRenderer"]

_log = logging.getLogger(__name__)


class FallbackRenderer:
    """Draws with one backend; when that fails at run time, gives notice and goes on with the next.

    Errors of the caller's making (ValueError, TypeError) are passed on: another backend would not help.
    """

    def __init__(
        self,
        current: Renderer,
        others: Sequence[tuple[str, Callable[[], Renderer]]],
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            others: what to try in turn, by name.
            notice: called with one line for the user when the backend changes, on the thread that draws.
        """
        self._current = current
        self._others = list(others)
        self._notice = notice

    @property
    def name(self) -> str:
        """The backend in use."""
        return self._current.name

    @property
    def device(self) -> str:
        return self._current.device

    @property
    def preparing(self) -> float | None:
        return self._current.preparing

    @property
    def is_software(self) -> bool:
        return self._current.is_software

    @property
    def stages_ms(self) -> dict[str, float]:
        return self._current.stages_ms

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        return self._try(lambda: self._current.render(cloud, camera, background))

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        return self._try(lambda: self._current.draw(avatar, params, camera, background, max_gaussians))

    def draw_on_device(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> Any:
        return self._try(lambda: self._current.draw_on_device(avatar, params, camera, background, max_gaussians))

    def finish(self) -> None:
        self._current.finish()

    def close(self) -> None:
        self._current.close()

    def _try(self, work: Callable[[], Any]) -> Any:
        while True:
            try:
                return work()
            except (ValueError, TypeError):
                raise
            except Exception as error:
                self._replace(error)

    def _replace(self, error: Exception) -> None:
        """Go over to the next backend that opens; raise `error` if none is left."""
        failed = self._current.name
        _log.warning("the %s renderer failed", failed, exc_info=error)
        try:
            self._current.close()
        except Exception:
            _log.warning("the %s renderer could not be closed either", failed, exc_info=True)
        while self._others:
            name, opener = self._others.pop(0)
            try:
                self._current = opener()
            except (RendererUnavailableError, OSError, RuntimeError) as reason:
                _log.info("the %s renderer cannot take over: %s", name, reason)
                continue
            _log.warning("going on with %s", name)
            if self._notice is not None:
                self._notice(f"The {failed} renderer failed ({_first_line(error)}); going on with {name}")
            return
        raise error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
