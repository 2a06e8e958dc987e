"""Pictures of one kind: so many Gaussians of an avatar at one size, drawn stage by stage or from a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from avatar.render.gsplat.inputs import PictureInputs
from avatar.render.gsplat.listing import TileLists
from avatar.render.gsplat.posing import DeviceAvatar
from avatar.render.gsplat.rasterization import Projected, list_gaussians, project, rasterize

__all__ = ["STAGES", "Pictures"]

STAGES = ("posing", "sort", "raster")
"""Posing, binding, projection and colors; lists of the tiles; compositing to bytes."""
_SPARE = 1.5  # places in the lists of a recording, against the most that a picture before it needed
_SPARE_PLACES = 1 << 14


class Pictures:
    """Draws from `PictureInputs` into `bytes`.

    At first stage by stage, a hundred kernels launched from the host. Once recorded, each stage is one CUDA graph: all
    shapes are fixed then, lists have room for so many pairs of Gaussian and tile, and nothing waits for the GPU.
    """

    def __init__(self, avatar: DeviceAvatar, inputs: PictureInputs, count: int, width: int, height: int) -> None:
        self._avatar, self._views = avatar, inputs.views
        self._count, self._width, self._height = count, width, height
        self._graphs: list[Any] = []
        self._capacity: int | None = None
        self._most = 0
        self._seen: Projected | None = None
        self._lists: TileLists | None = None
        self.bytes: UInt8[Tensor, "h w 4"] = torch.empty(0)
        """BGRA, premultiplied. Overwritten by the next picture if recorded."""
        self._needed = torch.zeros((), dtype=torch.int32, pin_memory=self._views["background"].is_cuda)
        self.drawn = 0
        """Pictures drawn so far."""

    @property
    def recorded(self) -> bool:
        return self._capacity is not None

    @property
    def overflowed(self) -> bool:
        """Whether the last picture that has come so far lacked room, so that its furthest Gaussians are missing."""
        return self._capacity is not None and int(self._needed) > self._capacity

    def draw(self, done: Callable[[str], None]) -> None:
        """Draw a picture; `done` is called with the name of each stage once it is on its way."""
        stages = [graph.replay for graph in self._graphs] or [self._pose, self._list, self._rasterize]
        for name, stage in zip(STAGES, stages, strict=True):
            if self._count > 0:
                stage()
            done(name)
        if self._count == 0:  # gsplat would divide by it
            nothing = self._views["background"].mul(255).add_(0.5).to(torch.uint8)
            self.bytes = nothing.expand(self._height, self._width, 4)
        elif self._capacity is not None and self._lists is not None:
            self._needed.copy_(self._lists.total, non_blocking=True)
        self.drawn += 1

    def record(self, stream: torch.cuda.Stream | None) -> None:
        """Record the stages as CUDA graphs. Pictures must have been drawn, on the same stream."""
        if self._count == 0:
            return
        self._capacity = int(self._most * _SPARE) + _SPARE_PLACES
        graphs: list[Any] = []
        pool = None
        try:
            for stage in (self._pose, self._list, self._rasterize):
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                    stage()
                graphs.append(graph)
                pool = graph.pool()  # one for all: they are replayed in the order in which they were recorded
        except Exception:
            self.forget()
            raise
        self._graphs = graphs

    def forget(self) -> None:
        """Go back to drawing stage by stage; a later recording has room for what was needed so far."""
        self._graphs, self._capacity = [], None
        self._most = max(self._most, int(self._needed))
        self._needed.zero_()

    def _pose(self) -> None:
        avatar, views, n = self._avatar, self._views, self._count
        avatar.express(views["expression"], n)
        means, covariances = avatar.pose(views["coefficients"], views["transforms"], n)
        self._seen = project(
            means, covariances, avatar.opacities[:n], avatar.sh[:n], views["viewmat"], views["K"], views["position"],
            self._width, self._height,
        )  # fmt: skip

    def _list(self) -> None:
        assert self._seen is not None
        self._lists = list_gaussians(self._seen, self._width, self._height, self._capacity)
        if self._capacity is None:
            self._most = max(self._most, len(self._lists.ids))

    def _rasterize(self) -> None:
        assert self._seen is not None and self._lists is not None
        pixels = rasterize(self._seen, self._lists, self._width, self._height, self._views["background"])
        pixels = torch.minimum(pixels, pixels[..., 3:])  # Qt needs color <= alpha
        self.bytes = pixels.mul_(255).add_(0.5).to(torch.uint8)
