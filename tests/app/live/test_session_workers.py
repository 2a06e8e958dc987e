"""A session's workers: they fail alone, give way, and keep to one thread each."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_info

from app.live.notice import Notice
from app.live.scene import Drawn, ImageRequest, LiveImage, Scene
from avatar.errors import UserError
from avatar.render.fallback import FallbackRenderer
from tests.app.live.waiting import eventually


def test_a_dead_worker_keeps_its_traceback_and_the_rest_goes_on(make_session: Any, loudness_driver: Any) -> None:
    failures: list[Any] = []

    class Broken(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            raise ZeroDivisionError("the model is broken")

    session = make_session(make_driver=Broken, on_failure=failures.append)
    session.start()
    eventually(lambda: failures)
    assert failures[0].worker == "inference"
    assert "the model is broken" in failures[0].details
    assert "feed" in failures[0].details
    count = session.rendering.count
    eventually(lambda: session.rendering.count > count + 5)
    assert session.stop()


def test_a_renderer_that_fails_gives_way_to_the_next(make_session: Any, plain_renderer: Any) -> None:
    opened: list[Any] = []
    notices: list[Notice] = []

    def open_one(name: str) -> Any:
        opened.append(plain_renderer(name))
        return opened[-1]

    def open_renderer(name: str, notice: Any) -> Any:
        return FallbackRenderer(open_one("opengl"), [("cpu", lambda: open_one("cpu"))], notice)

    session = make_session(open_renderer=open_renderer, on_notice=notices.append)
    session.start()
    eventually(lambda: session.rendering.count > 5)
    opened[0].fails = RuntimeError("device lost")
    eventually(lambda: session.rendering.backend == "cpu")
    count = session.rendering.count
    eventually(lambda: session.rendering.count > count + 5)
    assert opened[0].closed
    assert notices[0].kind == "renderer"
    assert "device lost" in notices[0].detail


def test_a_renderer_that_cannot_be_opened_is_said_and_another_taken(make_session: Any, plain_renderer: Any) -> None:
    notices: list[Notice] = []

    def open_renderer(name: str, notice: Any) -> Any:
        if name == "gsplat":
            raise UserError("no CUDA here")
        return plain_renderer("cpu")

    scene = Scene(width=64, height=64, backend="gsplat")
    session = make_session(scene=scene, open_renderer=open_renderer, on_notice=notices.append)
    session.start()
    eventually(lambda: session.rendering.count > 5)
    assert session.rendering.backend == "cpu"
    assert [(n.kind, n.subject, n.detail) for n in notices] == [("renderer-unavailable", "gsplat", "no CUDA here")]


def test_an_owner_that_paints_directly_gets_shots_and_images_are_made_only_on_demand(
    make_session: Any, sound_system: Any, plain_renderer: Any, tmp_path: Path
) -> None:
    sound_system.plug("Mic A")
    renderer = plain_renderer("opengl")
    requests: list[ImageRequest] = []

    def on_request(request: ImageRequest) -> None:
        requests.append(request)
        session.painted(Drawn(request, 3.0, time.perf_counter()))

    session = make_session(open_renderer=lambda name, notice: renderer, on_request=on_request)
    session.start()
    eventually(lambda: renderer.drawn > 3)
    assert not requests
    session.paint_directly(True)
    eventually(lambda: len(requests) > 20 and requests[-1].timing is not None)
    drawn = renderer.drawn
    count = len(requests)
    eventually(lambda: len(requests) > count + 10)
    assert renderer.drawn <= drawn + 1
    assert requests[-1].camera(200, 100).width == 200
    stills: list[LiveImage] = []
    looking = threading.Event()
    session.ask_image(lambda image: stills.append(image) if looking.wait(10) else None)
    assert not stills, "nobody has waited"
    looking.set()
    eventually(lambda: stills)
    assert renderer.drawn <= drawn + 2
    assert stills[0].request.number >= requests[count].number
    assert 20 < session.status().latency.median_ms < 400
    session.recordings.start(tmp_path / "direct.mp4", quality="draft")
    eventually(lambda: session.recordings.status.images > 5)
    assert session.recordings.stop().error is None
    session.paint_directly(False)
    drawn = renderer.drawn
    eventually(lambda: renderer.drawn > drawn + 5)


def test_the_workers_calculate_alone(make_session: Any, loudness_driver: Any) -> None:
    """The pools of torch and BLAS take no cores from the threads of a session."""
    pools: list[tuple[int, set[int]]] = []

    class Watching(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
            pools.append((torch.get_num_threads(), blas))
            return super().feed(samples)

    torch.set_num_threads(2)
    try:
        session = make_session(make_driver=Watching)
        session.start()
        eventually(lambda: len(pools) > 2)
        session.stop()
        assert pools[-1] == (1, {1})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_an_overrun_skips_to_the_newest_sound(make_session: Any, sound_system: Any, loudness_driver: Any) -> None:
    sound_system.plug("Mic A")
    hold = threading.Event()

    class Slow(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            hold.wait(2)
            return super().feed(samples)

    hold.set()
    drivers: list[Any] = []
    session = make_session(make_driver=lambda a, s: drivers.append(Slow(a, s)) or drivers[-1])
    session.start()
    eventually(lambda: session.inference.counting and session.inference.timing is not None)
    hold.clear()
    threading.Event().wait(1.2)
    hold.set()
    eventually(lambda: session.inference.skips >= 1)
    eventually(lambda: session.status().delay_s < 0.3)
    newest = session.inference.timing.pose_time_s
    eventually(lambda: session.inference.timing.pose_time_s > newest + 0.3)
    assert drivers[0].resets >= 1
    eventually(lambda: session.clock.now() - session.inference.timing.pose_time_s < 0.5)
