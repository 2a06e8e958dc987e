"""Avatars come in the order in which they are picked, and one that does not work stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from app.live.scene import Scene
from app.live.session import LiveSession
from avatar.errors import UserError
from tests.app.conftest import make_avatar
from tests.app.live.waiting import eventually


class Shelf:
    """Avatars by name; opening one of them takes as long as the test wants."""

    def __init__(self) -> None:
        self.avatars = {name: make_avatar(50, name) for name in ("one", "two", "three")}
        self.slow: dict[str, threading.Event] = {}

    def open(self, name: str) -> Any:
        if name in self.slow:
            self.slow[name].wait(10)
        if name not in self.avatars:
            raise UserError(f"no avatar {name!r}")
        return self.avatars[name]


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()
    monkeypatch.setattr("app.live.avatars.open_avatar", shelf.open)
    monkeypatch.setattr("app.live.avatars.default_name", lambda: "one")
    return shelf


Said = list[tuple[str, Any]]


@pytest.fixture
def start(
    shelf: Shelf, loudness_driver: Any, plain_renderer: Any, sound_system: Any
) -> Iterator[Callable[..., tuple[LiveSession, Said]]]:
    made: list[LiveSession] = []

    def start(**options: Any) -> tuple[LiveSession, Said]:
        said: Said = []
        options.setdefault("make_driver", loudness_driver)
        options.setdefault("open_renderer", lambda name, notice: plain_renderer(name))
        session = LiveSession(
            scene=Scene(width=64, height=64),
            on_avatar=lambda asked: said.append(("shown", asked)),
            on_avatar_failed=lambda asked, problem: said.append(("failed", asked)),
            **options,
        )
        made.append(session)
        session.start()
        return session, said

    yield start
    for session in made:
        session.stop()


def shown(session: LiveSession) -> str:
    request = session.requests.get()
    return "" if request is None else request.avatar.name


def test_the_last_pick_wins_however_long_each_takes(start: Any, shelf: Shelf) -> None:
    session, said = start()
    session.pick_avatar(None)
    eventually(lambda: said == [("shown", None)])
    shelf.slow["two"] = threading.Event()
    session.pick_avatar("two")
    eventually(lambda: session.avatars._seen == 2)
    session.pick_avatar("nobody")
    session.pick_avatar("three")
    shelf.slow["two"].set()
    eventually(lambda: shown(session) == "three")
    eventually(lambda: said[1:] == [("shown", "three")])


def test_one_that_cannot_be_opened_leaves_the_old_one(start: Any, shelf: Shelf) -> None:
    session, said = start()
    session.pick_avatar(None)
    eventually(lambda: said)
    session.pick_avatar("nobody")
    eventually(lambda: said[1:] == [("failed", "nobody")])
    assert shown(session) == "one"
    shelf.avatars["two"] = None  # type: ignore[assignment]  # what no reader should give, but one might
    session.pick_avatar("two")
    eventually(lambda: said[2:] == [("failed", "two")])
    assert not session.failures


def test_one_that_cannot_be_driven_gives_way_to_the_one_before(start: Any, shelf: Shelf, loudness_driver: Any) -> None:
    class Choosy(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            if self.face.arkit is shelf.avatars["two"].arkit:
                raise FloatingPointError("its basis is empty")
            return super().feed(samples)

    session, said = start(make_driver=Choosy)
    session.pick_avatar(None)
    eventually(lambda: said)
    session.pick_avatar("two")
    eventually(lambda: ("failed", "two") in said)
    newest = session.inference.timing.pose_time_s
    eventually(lambda: session.inference.timing.pose_time_s > newest + 0.2)
    assert shown(session) == "one"
    assert not session.failures


def test_one_that_cannot_be_drawn_gives_way_to_the_one_before(start: Any, shelf: Shelf, plain_renderer: Any) -> None:
    class Choosy(plain_renderer):
        def draw(self, avatar: Any, *more: Any) -> np.ndarray:
            if avatar.name == "two":
                raise ValueError("too many coefficients")
            return super().draw(avatar, *more)

    session, said = start(open_renderer=lambda name, notice: Choosy(name))
    session.pick_avatar(None)
    eventually(lambda: said)
    session.pick_avatar("two")
    eventually(lambda: ("failed", "two") in said)
    drawn = session.rendering.count
    eventually(lambda: session.rendering.count > drawn + 10)
    assert shown(session) == "one"
    assert not session.failures


def test_the_first_one_that_cannot_be_driven_leaves_room_for_the_default(start: Any, loudness_driver: Any) -> None:
    def make_driver(face: Any, settings: Any) -> Any:
        if not said:
            raise FloatingPointError("its lips are nowhere")
        return loudness_driver(face, settings)

    said: Said = []
    session, told = start(make_driver=make_driver)
    session.pick_avatar("two")
    eventually(lambda: told == [("failed", "two")])
    said.append(("now", None))
    session.pick_avatar(None)
    eventually(lambda: ("shown", None) in told)
    assert not session.failures
