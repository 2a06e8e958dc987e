"""The gsplat backend."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render.expression import ExpressedColors
from avatar.render.gsplat.availability import load_extension
from avatar.render.gsplat.inputs import PictureInputs
from avatar.render.gsplat.pictures import STAGES, Pictures
from avatar.render.gsplat.posing import DeviceAvatar, covariances
from avatar.render.gsplat.rasterization import list_gaussians, project, rasterize
from avatar.render.posing import FastHead
from avatar.render.protocol import BUFFERS, Background, RendererUnavailableError
from avatar.rig import Avatar

__all__ = ["GsplatRenderer"]

_log = logging.getLogger(__name__)
_PICTURES_BEFORE_RECORDING = 16  # in a row of the same avatar, count and size: not while a window is being resized
_MAX_KINDS = 4


class _Prepared:
    """An avatar on the GPU, its inputs, and its kinds of pictures by (count, width, height), the last used last."""

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        offset = None if avatar.static_offset is None else avatar.static_offset.cpu().numpy()
        self.head = FastHead(avatar.head, offset)
        self.avatar = DeviceAvatar(avatar, self.head, device)
        self.colors = None if avatar.appearance is None else ExpressedColors(avatar)
        channels = 0 if avatar.appearance is None else len(avatar.appearance.channels)
        self.inputs = PictureInputs(len(self.head.directions), device, channels)
        self._kinds: OrderedDict[tuple[int, int, int], Pictures] = OrderedDict()

    def pictures(self, count: int, width: int, height: int) -> Pictures:
        key = (count, width, height)
        found = self._kinds.get(key)
        if found is None:
            for other, pictures in list(self._kinds.items()):
                if not pictures.recorded:
                    del self._kinds[other]
            if len(self._kinds) == _MAX_KINDS:
                self._kinds.popitem(last=False)
            found = self._kinds[key] = Pictures(self.avatar, self.inputs, count, width, height)
        self._kinds.move_to_end(key)
        return found


class GsplatRenderer:
    """Poses and draws on an NVIDIA GPU, on a stream of its own. Any thread may call it, one at a time.

    All shapes can be fixed: after a few pictures of one kind everything is recorded as CUDA graphs and replayed, which
    takes a hundred launches off the CPU and leaves one wait a picture, for the finished bytes.
    """

    name = "gsplat"
    is_software = False
    preparing: float | None = None

    def __init__(self, notice: Callable[[str], None] | None = None, device: str = "cuda") -> None:
        """Load gsplat and draw one Gaussian to see that it works.

        Args:
            notice: called with one line for the user before a compilation of minutes.

        Raises:
            RendererUnavailableError: if it does not work here.
        """
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        self._events: list[torch.cuda.Event] = []
        cuda = self._device.type == "cuda"
        if cuda:
            load_extension(notice)
            self._stream = torch.cuda.Stream(self._device)
            self._events = [torch.cuda.Event(enable_timing=True, blocking=True) for _ in range(len(STAGES) + 2)]
            self.device = torch.cuda.get_device_name(self._device)
        else:
            self.device = str(self._device)
        self._record = cuda
        self._lock = threading.Lock()
        self._prepared: weakref.WeakKeyDictionary[Avatar, _Prepared] = weakref.WeakKeyDictionary()
        self._ring: list[Tensor] = []
        self._next = 0
        self.stages_ms: dict[str, float] = {}
        """What the stages of the last picture cost on the GPU, milliseconds."""
        self._probe()

    def _probe(self) -> None:
        one = torch.ones(1, 3)
        cloud = GaussianCloud(0 * one, torch.ones(1, 4), 0.01 * one, torch.ones(1), torch.ones(1, 1, 3))
        try:
            image = self.render(cloud, Camera.orbit(16, 16, target=(0, 0, 0)))
        except Exception as error:  # a broken driver, an old GPU, a wrong build: anything
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise RendererUnavailableError(f"gsplat cannot draw on {self.device}: {first}") from error
        if not 0.5 < float(image[8, 8, 3]) <= 1.0:
            raise RendererUnavailableError(f"gsplat draws wrongly on {self.device}")

    def _on_stream(self) -> AbstractContextManager[Any]:
        stack = ExitStack()
        stack.enter_context(torch.no_grad())
        if self._stream is not None:
            stack.enter_context(torch.cuda.stream(self._stream))
        return stack

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw a cloud: premultiplied RGBA, opaque where a background is given. A new array each time."""
        width, height = camera.width, camera.height
        behind = np.array((0.0, 0.0, 0.0, 0.0) if background is None else (*background, 1.0), np.float32)
        if len(cloud) == 0:
            return np.broadcast_to(behind, (height, width, 4)).copy()
        with self._lock, self._on_stream():
            there = cloud.to(self._device)
            viewmat, K, position, over = (
                torch.from_numpy(np.ascontiguousarray(a)).to(self._device)
                for a in (camera.viewmat[None], camera.K[None], camera.position, behind[None])
            )
            half = quaternion_to_matrix(there.quats) * there.scales[:, None, :]
            seen = project(
                there.means, covariances(half), there.opacities, there.sh, viewmat, K, position, width, height
            )
            return rasterize(seen, list_gaussians(seen, width, height), width, height, over).cpu().numpy()

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Pose an avatar and draw it: premultiplied BGRA. See `Renderer.draw` for how long the array is yours."""
        with self._lock, self._on_stream():
            started = time.perf_counter()
            buffer = self._buffer(camera.height, camera.width)
            pictures = self._draw(avatar, params, camera, background, max_gaussians)
            self._download(pictures, buffer)
            if pictures.overflowed:
                pictures.forget()
                self._run(pictures)
                self._download(pictures, buffer)
            self._note_stages(started)
            return buffer.numpy()

    def draw_on_device(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[Tensor, "h w 4"]:
        """As `draw`, but leaves the bytes on the GPU and does not wait for them.

        They are in order with the caller's current stream, and its own until the next picture is asked for. Should a
        recorded picture have found too little room, its furthest Gaussians are missing, and the next one is whole.
        """
        if self._stream is None:
            with self._lock, torch.no_grad():
                return self._draw(avatar, params, camera, background, max_gaussians).bytes
        callers = torch.cuda.current_stream(self._device)
        with self._lock, self._on_stream():
            self._stream.wait_stream(callers)
            pictures = self._draw(avatar, params, camera, background, max_gaussians)
            callers.wait_stream(self._stream)
            return pictures.bytes

    def finish(self) -> None:
        """Wait for everything that was handed over."""
        if self._stream is not None:
            self._stream.synchronize()

    def close(self) -> None:
        with self._lock:
            self.finish()
            self._prepared.clear()
            self._ring.clear()
            if self._stream is not None:
                torch.cuda.empty_cache()

    def _draw(
        self, avatar: Avatar, params: FlameParams, camera: Camera, background: Background, max_gaussians: int | None
    ) -> Pictures:
        prepared = self._prepared.get(avatar)
        if prepared is None:
            prepared = self._prepared[avatar] = _Prepared(avatar, self._device)
        total = len(prepared.avatar)
        count = total if max_gaussians is None else max(0, min(max_gaussians, total))
        prepared.head.drive(params)
        prepared.avatar.set_base(prepared.head.base)
        self._mark(0)
        expression = None if prepared.colors is None else prepared.colors.weights(params)
        prepared.inputs.load(prepared.head, camera, background, expression)
        pictures = prepared.pictures(count, camera.width, camera.height)
        if pictures.overflowed:  # in a picture that nobody waited for
            pictures.forget()
        if self._record and not pictures.recorded and pictures.drawn >= _PICTURES_BEFORE_RECORDING:
            self._try_to_record(pictures)
        self._run(pictures)
        return pictures

    def _try_to_record(self, pictures: Pictures) -> None:
        try:
            pictures.record(self._stream)
        except Exception:
            _log.warning("gsplat's work cannot be recorded here: each kernel is launched on its own", exc_info=True)
            self._record = False

    def _run(self, pictures: Pictures) -> None:
        pictures.draw(lambda stage: self._mark(STAGES.index(stage) + 1))

    def _mark(self, moment: int) -> None:
        """Note when the GPU comes by here: 0 before everything, then after each stage, then after the download."""
        if self._stream is not None:
            self._events[moment].record(self._stream)

    def _download(self, pictures: Pictures, buffer: Tensor) -> None:
        """Copy a picture to the host and wait for it without burning a core."""
        buffer.copy_(pictures.bytes, non_blocking=True)
        self._mark(len(STAGES) + 1)
        if self._events:
            self._events[-1].synchronize()

    def _note_stages(self, started: float) -> None:
        if self._events:
            times = [a.elapsed_time(b) for a, b in zip(self._events, self._events[1:], strict=False)]
            self.stages_ms = dict(zip((*STAGES, "download"), times, strict=True))
        else:
            self.stages_ms = {"raster": (time.perf_counter() - started) * 1e3}

    def _buffer(self, height: int, width: int) -> Tensor:
        """The next page-locked picture of the ring."""
        if not self._ring or self._ring[0].shape[:2] != (height, width):
            pinned = self._device.type == "cuda"
            self._ring = [torch.empty(height, width, 4, dtype=torch.uint8, pin_memory=pinned) for _ in range(BUFFERS)]
        self._next = (self._next + 1) % BUFFERS
        return self._ring[self._next]
