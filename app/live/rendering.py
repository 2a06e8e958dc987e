"""The render thread: poses and a scene in, images out, at a pace and a level of detail that the machine can hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from app.live.clock import StreamClock
from app.live.exchange import Latest
from app.live.inference import Cast, Inference, PoseTiming
from app.live.worker import Failure, Worker
from avatar.camera import PRESETS, Camera, Framing
from avatar.flame.params import FlameParams
from avatar.render import Renderer

__all__ = ["DetailControl", "LiveImage", "Rendering", "Scene"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn around the avatar, and how. Immutable; replaced as a whole."""

    framing: Framing = field(default_factory=lambda: PRESETS["portrait"])
    width: int = 512
    height: int = 512
    background: tuple[float, float, float] | None = (0.86, 0.87, 0.89)
    """RGB 0..1; None is transparent."""
    backdrop: UInt8[np.ndarray, "h w 4"] | None = None
    """BGRA image behind the avatar, of the size of the scene; `background` is then not used."""
    backend: str = "auto"
    images_per_s: float | None = None
    """The pace; None is 60 on a GPU and 40 on the CPU, which leaves the cores some air."""
    max_gaussians: int | None = None
    """A fixed level of detail; None adapts."""


@dataclass(frozen=True, eq=False)
class LiveImage:
    """A picture and where it comes from in time."""

    bgra: UInt8[np.ndarray, "h w 4"]
    """Premultiplied. The renderer's own buffer: use or copy it before two more images have come."""
    number: int
    stream_time_s: float
    """The moment of the voice that it shows."""
    begun_s: float
    """Drawing began (`time.perf_counter`)."""
    drawn_s: float
    pose: PoseTiming | None
    gaussians: int


class DetailControl:
    """The number of Gaussians that keeps drawing within a time budget.

    Drawing takes about a + b * k milliseconds for k Gaussians; steps are proportional, downwards at once, upwards
    after a second of calm.
    """

    LEAST = 30_000
    """Below this avatars show holes."""
    START = 45_000

    def __init__(self, budget_ms: float) -> None:
        self.budget_ms = budget_ms
        self.count = self.START
        self._mean_ms: float | None = None
        self._calm = 0
        self._settle = 0

    def observe(self, draw_ms: float, most: int) -> None:
        """An image took so long; the avatar has `most` Gaussians."""
        self._mean_ms = draw_ms if self._mean_ms is None else self._mean_ms + 0.12 * (draw_ms - self._mean_ms)
        self.count = min(self.count, most)
        if self._settle > 0:
            self._settle -= 1
            return
        ratio = self._mean_ms / self.budget_ms
        if ratio > 1.08:
            self._step(max(0.75, 1 / ratio), most)
        elif ratio < 0.85:
            self._calm += 1
            if self._calm >= 30:
                self._step(min(1.15, 0.95 / ratio), most)
        else:
            self._calm = 0

    def _step(self, factor: float, most: int) -> None:
        new = int(min(max(self.count * factor, self.LEAST), most))
        if new != self.count and self._mean_ms is not None:
            self._mean_ms *= 1 + 0.7 * (new / self.count - 1)  # what to expect
        self.count = new
        self._calm, self._settle = 0, 8


class Rendering(Worker):
    """Draws the newest scene at a steady pace.

    Exchange: scene and cast come through `Latest`; images go into `images` (one slot, the newest wins), then
    `on_image` is called on this thread. A tick for which drawing is too late is left out and counted.
    """

    _BUDGET_SHARE = 0.62
    """Of the time between images, so that sound, models and the window keep their part of the cores."""
    _HELD_PER_S = 36.0
    """Images a second that the level of detail is chosen for, whatever the pace."""

    def __init__(
        self,
        clock: StreamClock,
        cast: Latest[Cast | None],
        scene: Latest[Scene],
        inference: Inference,
        open_renderer: Callable[[str], Renderer],
        on_image: Callable[[LiveImage], None] = lambda image: None,
        on_failure: Callable[[Failure], None] | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__("render", on_failure)
        self.images: Latest[LiveImage | None] = Latest(None)
        self.backend = ""
        self.skipped = 0
        """Ticks without an image."""
        self.count = 0
        self.draw_ms = 0.0
        self.detail = DetailControl(1000 / self._HELD_PER_S * self._BUDGET_SHARE)
        self._clock = clock
        self._cast = cast
        self._scene = scene
        self._inference = inference
        self._open = open_renderer
        self._on_image = on_image
        self._on_notice = on_notice
        self._stage: Cast | None = None

    def run(self) -> None:
        renderer: Renderer | None = None
        backend = ""
        due_s = time.perf_counter()
        try:
            while not self.stopping:
                scene = self._scene.get()
                if scene.backend != backend or renderer is None:
                    if renderer is not None:
                        renderer.close()
                    backend = scene.backend
                    renderer = self._open_or_fall_back(backend)
                    self.backend = renderer.name
                    due_s = time.perf_counter()
                period_s = 1 / (scene.images_per_s or (40.0 if renderer.name == "cpu" else 60.0))
                left_s = due_s - time.perf_counter()
                if left_s > 0:
                    self.wake.wait(left_s)
                    continue
                if left_s < -period_s:
                    self.skipped += int(-left_s / period_s)
                    due_s = time.perf_counter()
                due_s += period_s
                renderer = self._tick(renderer, scene)
        finally:
            if renderer is not None:
                renderer.close()

    def _tick(self, renderer: Renderer, scene: Scene) -> Renderer:
        cast = self._cast.get()
        if cast is not None and (self._stage is None or cast.timeline.newest_s is not None):
            self._stage = cast
        stage = self._stage
        if stage is None:
            return renderer
        begun_s = time.perf_counter()
        stream_time_s = self._clock.stream_time(begun_s) - self._inference.delay.delay_s
        newest_s = stage.timeline.newest_s
        if newest_s is not None and newest_s < stream_time_s < newest_s + 0.04:
            stream_time_s = newest_s  # a pose that is a little late: show what there is rather than guess
        pose = stage.timeline.sample(stream_time_s)
        if pose is None:
            head = stage.avatar.head
            pose = FlameParams.neutral(head.n_shape, head.n_expression)
        limit = scene.max_gaussians or self.detail.count
        camera = Camera.framed(scene.framing, scene.width, scene.height)
        try:
            background = None if scene.backdrop is not None else scene.background
            bgra = renderer.draw(stage.avatar, pose, camera, background, limit)
        except Exception as error:
            if renderer.name == "cpu":
                raise
            _log.exception("the %s renderer failed", renderer.name)
            self._on_notice(f"The {renderer.name} renderer failed ({error}); going on with the CPU renderer")
            renderer.close()
            renderer = self._open("cpu")
            self.backend = renderer.name
            return renderer
        if scene.backdrop is not None and scene.backdrop.shape == bgra.shape:
            _put_behind(bgra, scene.backdrop)
        drawn_s = time.perf_counter()
        draw_ms = (drawn_s - begun_s) * 1000
        self.draw_ms += 0.1 * (draw_ms - self.draw_ms)
        if self.count >= 3:  # the first images pay for loading
            self.detail.observe(draw_ms, len(stage.avatar.gaussians))
        self.count += 1
        gaussians = min(limit, len(stage.avatar.gaussians))
        image = LiveImage(bgra, self.count, stream_time_s, begun_s, drawn_s, self._inference.timing, gaussians)
        self.images.put(image)
        self._on_image(image)
        return renderer

    def _open_or_fall_back(self, backend: str) -> Renderer:
        try:
            return self._open(backend)
        except Exception as error:
            if backend in ("cpu", "auto"):
                raise
            self._on_notice(f"{backend}: {error}; going on with the CPU renderer")
            return self._open("cpu")


def _put_behind(bgra: UInt8[np.ndarray, "h w 4"], backdrop: UInt8[np.ndarray, "h w 4"]) -> None:
    """Compose a premultiplied image over an opaque one, in place."""
    clear = (255 - bgra[..., 3:]).astype(np.uint16)
    if clear.any():
        behind = (backdrop * clear + 127) // 255
        np.add(bgra, behind.astype(np.uint8), out=bgra)
        bgra[..., 3] = 255
