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
from avatar.render.gsplat.availability import load_extension
from avatar.render.gsplat.inputs import PictureInputs
from avatar.render.gsplat.posing import DeviceAvatar
from avatar.render.gsplat.rasterization import Projected, composite, project
from avatar.render.protocol import BUFFERS, Background, RendererUnavailableError
from avatar.rig import Avatar

__all__ = ["GsplatRenderer"]

_log = logging.getLogger(__name__)
_PICTURES_BEFORE_GRAPH = 16  # of the same avatar, count and size, before its kernels are recorded
_MAX_GRAPHS = 4


class _Prepared:
    """An avatar on the GPU, its inputs, and recordings of its posing and projection by (count, width, height)."""

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        self.avatar = DeviceAvatar(avatar, device)
        self.inputs = PictureInputs(avatar.head, device)
        self.seen_before: dict[tuple[int, int, int], int] = {}
        self.graphs: OrderedDict[tuple[int, int, int], tuple[Any, Projected]] = OrderedDict()


class GsplatRenderer:
    """Poses and draws on an NVIDIA GPU, on a stream of its own. Any thread may call it, one at a time.

    The kernels up to the projection have fixed shapes: after a few pictures of one kind they are recorded as a CUDA
    graph and replayed, which takes their launches off the CPU.
    """

    name = "gsplat"

    def __init__(self, notice: Callable[[str], None] | None = None, device: str = "cuda") -> None:
        """Load gsplat and draw one Gaussian to see that it works.

        Args:
            notice: called with one line for the user before a compilation of minutes.

        Raises:
            RendererUnavailableError: if it does not work here.
        """
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            load_extension(notice)
            self._stream = torch.cuda.Stream(self._device)
            self.device = torch.cuda.get_device_name(self._device)
        else:
            self.device = str(self._device)
        self._lock = threading.Lock()
        self._prepared: weakref.WeakKeyDictionary[Avatar, _Prepared] = weakref.WeakKeyDictionary()
        self._ring: list[Tensor] = []
        self._next = 0
        self.stages_ms: dict[str, float] = {}
        """What the stages of the last picture cost the caller, milliseconds."""
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
        with self._lock, self._on_stream():
            there = cloud.to(self._device)
            viewmat, K, position = (
                torch.from_numpy(np.ascontiguousarray(a)).to(self._device)
                for a in (camera.viewmat[None], camera.K[None], camera.position)
            )
            if len(cloud) == 0:
                image = torch.zeros(camera.height, camera.width, 4)
            else:
                seen = project(
                    there.means, there.quats, there.scales, there.opacities, there.sh, cloud.sh_degree,
                    viewmat, K, position, camera.width, camera.height,
                )  # fmt: skip
                image = torch.cat(composite(seen, camera.width, camera.height), -1)
            if background is not None:
                image = image + (1 - image[..., 3:]) * image.new_tensor([*background, 1.0])
            return image.cpu().numpy()

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
            picture = self._draw(avatar, params, camera, background, max_gaussians)
            submitted = time.perf_counter()
            buffer = self._buffer(camera.height, camera.width)
            buffer.copy_(picture, non_blocking=True)
            self._wait()
            self.stages_ms = {
                "posing and raster": (submitted - started) * 1e3,
                "wait and download": (time.perf_counter() - submitted) * 1e3,
            }
            return buffer.numpy()

    def draw_on_device(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> Tensor:
        """As `draw`, but leaves the bytes (h, w, 4) on the GPU, drawn when this returns."""
        with self._lock, self._on_stream():
            picture = self._draw(avatar, params, camera, background, max_gaussians)
            self._wait()
            return picture

    def close(self) -> None:
        with self._lock:
            self._prepared.clear()
            self._ring.clear()
            if self._stream is not None:
                self._stream.synchronize()
                torch.cuda.empty_cache()

    def _wait(self) -> None:
        """Wait for the stream without burning a core."""
        if self._stream is not None:
            event = torch.cuda.Event(blocking=True)
            event.record(self._stream)
            event.synchronize()

    def _draw(
        self, avatar: Avatar, params: FlameParams, camera: Camera, background: Background, max_gaussians: int | None
    ) -> UInt8[Tensor, "h w 4"]:
        prepared = self._prepared.get(avatar)
        if prepared is None:
            prepared = self._prepared[avatar] = _Prepared(avatar, self._device)
        total = len(prepared.avatar)
        count = total if max_gaussians is None else max(0, min(max_gaussians, total))
        prepared.inputs.load(params, camera, background)
        if count == 0:
            color = torch.zeros(camera.height, camera.width, 3, device=self._device)
            alpha = color[..., :1]
        else:
            seen = self._project(prepared, count, camera.width, camera.height)
            color, alpha = composite(seen, camera.width, camera.height)
        if background is not None:
            color = color + (1 - alpha) * prepared.inputs.views["background"]
            alpha = torch.ones_like(alpha)
        color = torch.minimum(color, alpha)
        return (torch.cat([color.flip(-1), alpha], -1) * 255 + 0.5).to(torch.uint8)

    def _project(self, prepared: _Prepared, count: int, width: int, height: int) -> Projected:
        """Pose and project, by replaying a recording where there is one."""
        key = (count, width, height)
        if key in prepared.graphs:
            prepared.graphs.move_to_end(key)
            graph, seen = prepared.graphs[key]
            graph.replay()
            return seen

        def work() -> Projected:
            avatar, views = prepared.avatar, prepared.inputs.views
            means, quats, scales = avatar.pose(views, count)
            return project(
                means, quats, scales, avatar.opacities[:count], avatar.sh[:count], avatar.sh_degree,
                views["viewmat"], views["K"], views["position"], width, height,
            )  # fmt: skip

        times = prepared.seen_before.get(key, 0) + 1
        prepared.seen_before = {key: times}  # a window being resized must not record a graph for every size
        if self._stream is None or times < _PICTURES_BEFORE_GRAPH:
            return work()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            seen = work()
        prepared.graphs[key] = (graph, seen)
        if len(prepared.graphs) > _MAX_GRAPHS:
            prepared.graphs.popitem(last=False)
        graph.replay()
        return seen

    def _buffer(self, height: int, width: int) -> Tensor:
        """The next page-locked picture of the ring."""
        if not self._ring or self._ring[0].shape[:2] != (height, width):
            pinned = self._device.type == "cuda"
            self._ring = [torch.empty(height, width, 4, dtype=torch.uint8, pin_memory=pinned) for _ in range(BUFFERS)]
        self._next = (self._next + 1) % BUFFERS
        return self._ring[self._next]
