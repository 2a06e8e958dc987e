"""Drawing while the CPU renderer is compiled: once on a machine, in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from avatar.camera import Camera
from avatar.child import python_command
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.formats.atomic import write_bytes
from avatar.render.kernel_cache import is_compiled, mark_compiled
from avatar.render.preview import PreviewRenderer
from avatar.render.protocol import Background, DrawsInMemory, Renderer
from avatar.rig import Avatar

__all__ = ["WarmingRenderer", "compile_all"]

_log = logging.getLogger(__name__)
_TELL_S = 0.3


class WarmingRenderer(DrawsInMemory):
    """Small pictures at once, the CPU renderer's as soon as it is compiled.

    The compiler holds Python's lock nearly all the time: in this process it would stop sound and window as well.
    """

    name = "cpu"

    def __init__(self, open_cpu: Callable[[], Renderer]) -> None:
        """
        Args:
            open_cpu: opens the CPU renderer, compiled or not.
        """
        super().__init__()
        self._open_cpu = open_cpu
        self._current: Renderer = PreviewRenderer()
        self._folder = tempfile.TemporaryDirectory(prefix="gaussian-avatar-", ignore_cleanup_errors=True)
        self._progress = Path(self._folder.name) / "share"
        self._process: subprocess.Popen[bytes] | None = None
        code = "import sys; from avatar.render.warming import compile_all; compile_all(sys.argv[1])"
        nothing = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                python_command(code, str(self._progress)), stdin=nothing, stdout=nothing, stderr=nothing
            )
        except OSError as error:
            _log.warning("compiling in this process: %s", error)

    @property
    def device(self) -> str:
        return self._current.device

    @property
    def preparing(self) -> float | None:
        """Share that is compiled; None once it draws as it should."""
        if self._process is None:
            return None
        return float(self._progress.read_text()) if self._progress.exists() else 0.0

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        self._advance()
        return self._current.render(cloud, camera, background)

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        self._advance()
        image = self._current.draw(avatar, params, camera, background, max_gaussians)
        self.stages_ms = self._current.stages_ms
        return image

    def close(self) -> None:
        self._end()
        self._current.close()

    def _advance(self) -> None:
        """Go over to the CPU renderer when it is compiled; if that has failed, it is compiled here after all."""
        if isinstance(self._current, PreviewRenderer) and (self._process is None or self._process.poll() is not None):
            if self._process is not None and not is_compiled():
                _log.warning("compiling in a process of its own failed (%s)", self._process.returncode)
            self._end()
            self._current = self._open_cpu()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        self._folder.cleanup()


def _wall(side: int) -> UInt8[np.ndarray, "h w 4"]:
    """As backdrops are: nobody may write to them, which to numba is a type of its own."""
    wall = np.full((side, side, 4), 255, np.uint8)
    wall.setflags(write=False)
    return wall


def compile_all(progress: str) -> None:
    """What the process does: draw avatars, and so compile all that is needed.

    Args:
        progress: path of the file that says which share is done.
    """
    import avatar.render.cpu  # registers its kernels
    from avatar.library import default_name, open_avatar
    from avatar.render.compilation import compiled_share
    from avatar.render.composition import put_behind
    from avatar.render.probe import probe_avatar

    over = threading.Event()

    def tell() -> None:
        while not over.wait(_TELL_S) and Path(progress).parent.is_dir():  # else nobody is there any more to be told
            write_bytes(progress, f"{compiled_share():.3f}".encode())

    teller = threading.Thread(target=tell, name="progress")
    teller.start()
    try:
        renderer = avatar.render.cpu.CpuRenderer()
        for shown in (open_avatar(default_name()), probe_avatar(1000)):
            picture = renderer.draw(shown, shown.head.neutral(), Camera.preset("portrait", 64, 64), None)
            put_behind(picture, _wall(64))
        mark_compiled()
    finally:
        over.set()
        teller.join()
