"""The render thread: poses and a scene in, images out, at a pace and a detail that the machine can hold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from app.live.clock import StreamClock
from app.live.detail import DetailControl
from app.live.exchange import Latest
from app.live.inference import ActiveAvatar, Inference
from app.live.notice import Notice
from app.live.scene import Drawn, ImageRequest, LiveImage, Scene
from app.live.worker import Failure, Worker
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.render import Renderer
from avatar.render.composition import put_behind

__all__ = ["OpenRenderer", "Rendering"]

OpenRenderer = Callable[[str, Callable[[str], None]], Renderer]
"""Opens a backend by name; what it is given besides takes one line for the user. See `avatar.render.open_renderer`."""


class Rendering(Worker):
    """Draws the newest scene at a steady pace.

    Exchange: the scene and the active avatar come through `Latest`. Every tick makes an `ImageRequest`, puts it into
    `requests` (one slot, the newest wins) and calls `on_request`. Then it is drawn, the image goes into `images` (one
    slot) and to `on_image`; but while `direct`, whoever owns the screen draws the requests, and images are made only
    when `image_wanted` says so. All callbacks come on this thread. A tick that comes too late is left out and counted.
    """

    _MAKESHIFT_S = 2.0
    """Between the images of a makeshift: the cores are wanted for what comes after it."""
    BUDGET_MS = 0.85 * 1000 / 36
    """What drawing may take: 36 images a second are to be held, whatever the pace, while sound, models and the window
    keep their part of the cores."""

    def __init__(
        self,
        clock: StreamClock,
        active: Latest[ActiveAvatar | None],
        scene: Latest[Scene],
        inference: Inference,
        open_renderer: OpenRenderer,
        on_image: Callable[[LiveImage], None] = lambda image: None,
        on_request: Callable[[ImageRequest], None] = lambda request: None,
        image_wanted: Callable[[], bool] = lambda: False,
        on_failure: Callable[[Failure], None] | None = None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
        on_broken: Callable[[ActiveAvatar, Exception], bool] = lambda avatar, error: False,
        on_proven: Callable[[ActiveAvatar], None] = lambda avatar: None,
    ) -> None:
        """
        Args:
            on_broken: an avatar cannot be drawn; False if that is not its fault.
            on_proven: an avatar has been driven and drawn.
        """
        super().__init__("render", on_failure)
        self.requests: Latest[ImageRequest | None] = Latest(None)
        self.images: Latest[LiveImage | None] = Latest(None)
        self.direct = False
        """Shots are drawn by whoever owns the screen. Set by that thread, with `paint_directly`."""
        self.backend = ""
        self.preparing: float | None = None
        """While a makeshift draws: how much is done of what comes after it, 0..1."""
        self.skipped = 0
        """Ticks without an image."""
        self.count = 0
        self.driven = 0
        """Requests whose pose the driver has made: until there are some, the face is at rest."""
        self.draw_ms = 0.0
        self.detail = DetailControl(self.BUDGET_MS)
        self._clock = clock
        self._active = active
        self._scene = scene
        self._inference = inference
        self._open_renderer = open_renderer
        self._on_image = on_image
        self._on_request = on_request
        self._image_wanted = image_wanted
        self._on_notice = on_notice
        self._asked: deque[Callable[[LiveImage], None]] = deque()
        self._observed = 0
        self._shown: ActiveAvatar | None = None
        self._drawn: ActiveAvatar | None = None
        """The last that was driven and drawn."""
        self._on_broken, self._on_proven = on_broken, on_proven

    def paint_directly(self, on: bool) -> None:
        """Leave the drawing to the caller's thread, or take it back."""
        self._observed = 0
        self.direct = on

    def ask(self, on_image: Callable[[LiveImage], None]) -> None:
        """Call `on_image` with the next image, on this thread; while `direct`, one is drawn for it. It must return at
        once."""
        self._asked.append(on_image)
        self.wake.set()

    def observe(self, drawn: Drawn) -> None:
        """A request has been drawn: adapt. Called on the thread that draws."""
        if self.direct:
            self.skipped += max(drawn.request.number - self._observed - 1, 0) if self._observed else 0
            self._observed = drawn.request.number
        if self.preparing is not None:  # a makeshift's pace says nothing about what follows
            return
        self.draw_ms += 0.1 * (drawn.draw_ms - self.draw_ms)
        if drawn.request.number >= 3:  # the first images pay for loading
            avatar = drawn.request.avatar
            self.detail.observe(drawn.draw_ms, avatar.least_gaussians, len(avatar.gaussians))

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
                    renderer = self._open(backend)
                    due_s = time.perf_counter()
                self.backend = renderer.name  # it may have given way to another
                self.preparing = renderer.preparing
                period_s = 1 / (scene.images_per_s or (40.0 if renderer.name == "cpu" else 60.0))
                if self.preparing is not None:
                    period_s = max(period_s, self._MAKESHIFT_S)
                left_s = due_s - time.perf_counter()
                if left_s > 0:
                    self.wake.wait(left_s)
                    continue
                if left_s < -period_s:
                    self.skipped += int(-left_s / period_s) if self.preparing is None else 0
                    due_s = time.perf_counter()
                due_s += period_s
                self._tick(renderer, scene)
        finally:
            if renderer is not None:
                renderer.close()

    def _tick(self, renderer: Renderer, scene: Scene) -> None:
        request = self._next_request(scene)
        if request is None:
            return
        shown = self._shown
        assert shown is not None
        self.requests.put(request)
        self._on_request(request)
        if not self.direct or self._asked or self._image_wanted():
            try:
                image = _draw(renderer, request)
            except Exception as error:
                if shown is self._drawn or not self._on_broken(shown, error):
                    raise
                self._shown = self._drawn
                return
            if not self.direct:
                self.observe(image)
            self.images.put(image)
            self._on_image(image)
            while self._asked:
                self._asked.popleft()(image)
        if shown is not self._drawn and shown.timeline.newest_s is not None:
            self._drawn = shown
            self._on_proven(shown)

    def _next_request(self, scene: Scene) -> ImageRequest | None:
        """What is to be seen now; None while no avatar is on shown."""
        active = self._active.get()
        if active is not None and (self._shown is None or active.timeline.newest_s is not None):
            self._shown = active
        shown = self._shown
        if shown is None:
            return None
        stream_time_s = self._clock.now() - self._inference.delay.delay_s
        newest_s = shown.timeline.newest_s
        if newest_s is not None and newest_s < stream_time_s < newest_s + 0.04:
            stream_time_s = newest_s  # a pose that is a little late: show what there is rather than guess
        pose = shown.timeline.sample(stream_time_s)
        if pose is None:
            head = shown.avatar.head
            pose = FlameParams.neutral(head.n_shape, head.n_expression)
        else:
            self.driven += 1
        wanted = scene.max_gaussians or self.detail.count
        gaussians = min(max(wanted, shown.avatar.least_gaussians), len(shown.avatar.gaussians))
        self.count += 1
        return ImageRequest(self.count, shown.avatar, pose, scene, gaussians, stream_time_s, self._inference.timing)

    def _open(self, backend: str) -> Renderer:
        def notice(line: str) -> None:
            self._on_notice(Notice("renderer", "", line))

        try:
            return self._open_renderer(backend, notice)
        except UserError as error:
            if backend == "auto":
                raise
            self._on_notice(Notice("renderer-unavailable", backend, str(error)))
            return self._open_renderer("auto", notice)


def _draw(renderer: Renderer, request: ImageRequest) -> LiveImage:
    begun_s = time.perf_counter()
    bgra = renderer.draw(request.avatar, request.params, request.camera(), request.background, request.gaussians)
    backdrop = request.backdrop
    if backdrop is not None and backdrop.shape == bgra.shape:
        put_behind(bgra, backdrop)
    drawn_s = time.perf_counter()
    return LiveImage(request, (drawn_s - begun_s) * 1000, drawn_s, bgra)
