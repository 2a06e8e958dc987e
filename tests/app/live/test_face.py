"""A camera drives the face: what it sees, what it does not, and what happens when it goes. The camera is a stand-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from animation.face import DrivenFace
from animation.seen_face import SeenFace, follow_face
from app.live.camera import list_cameras
from app.live.camera import open_camera as open_real_camera
from app.live.clock import StreamClock
from app.live.exchange import Latest
from app.live.face import FaceFollower, SeenTimeline
from app.live.notice import Notice
from app.settings import FaceSettings
from avatar.errors import UserError
from avatar.flame.arkit import indices, weights_from_dict
from avatar.heads import open_head
from avatar.tracking.tracker import TrackedFace


class Camera:
    """Delivers a picture every 10 ms until it is unplugged."""

    label = "stand-in"

    def __init__(self) -> None:
        self.unplugged = threading.Event()
        self.closed = threading.Event()

    def read(self) -> tuple[Image.Image, float] | None:
        if self.unplugged.wait(0.01):
            raise UserError(f"{self.label} stopped")
        return Image.new("RGB", (8, 8)), time.perf_counter()

    def close(self) -> None:
        self.closed.set()


class Tracker:
    """Sees a blinking face wherever it is told that there is one."""

    def __init__(self) -> None:
        self.rest: Any = None
        self.present = True

    def see(self, picture: Image.Image) -> Any:
        if not self.present:
            return None
        landmarks = SimpleNamespace(irises=np.zeros((2, 5, 2)) + np.array([[[0.0, 0]], [[60.0, 0]]]), eye_distance=60.0)
        return landmarks, SimpleNamespace(values=np.zeros(1408), rotation=np.eye(3))

    def interpret(self, landmarks: Any, face: Any) -> TrackedFace:
        neck = np.array([0.0, 0.2, 0.0], np.float32)
        return TrackedFace(weights_from_dict({"eyeBlinkLeft": 1.0}), neck, np.zeros(3, np.float32), landmarks)


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> None:
    end, waiter = time.monotonic() + seconds, threading.Event()
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        waiter.wait(0.01)


class Bench:
    """A follower with stand-ins."""

    def __init__(self) -> None:
        self.tracker, self.cameras, self.notices = Tracker(), [Camera()], list[Notice]()
        self.settings = Latest(FaceSettings("both"))
        self.clock = StreamClock()
        self.follower = FaceFollower(
            self.clock,
            self.settings,
            self.notices.append,
            open_camera=self.open,
            make_tracker=lambda: self.tracker,  # type: ignore[arg-type,return-value]
        )
        self.follower.CALIBRATION_S = 0.1  # type: ignore[misc]
        self.follower._RETRY_S = 0.2  # type: ignore[misc]

    def open(self, key: str | None) -> Camera:
        if self.cameras[-1].unplugged.is_set():
            raise UserError("no camera was found")
        return self.cameras[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.follower.stop()


def test_it_learns_the_rest_and_follows(bench: Bench) -> None:
    bench.follower.start()
    eventually(lambda: bench.follower.state == "following")
    eventually(lambda: bench.follower.seen.at(bench.clock.now()) is not None)
    eventually(
        lambda: (
            (f := bench.follower.seen.at(bench.clock.now())) is not None and f.weights[indices("eyeBlinkLeft")[0]] > 0.9
        )
    )
    face = bench.follower.seen.at(bench.clock.now())
    assert face is not None and abs(face.neck[1] - 0.2) < 0.02
    assert 0 <= bench.follower.latency_ms < 1000 and not bench.notices
    bench.tracker.present = False
    eventually(lambda: bench.follower.state == "no face")
    assert bench.follower.seen.at(bench.clock.now() + 2) is None
    bench.settings.put(FaceSettings("voice"))
    bench.follower.refresh()
    eventually(lambda: bench.follower.state == "off" and bench.cameras[0].closed.is_set())


def test_an_unplugged_camera_is_said_once_and_comes_back(bench: Bench) -> None:
    bench.follower.start()
    eventually(lambda: bench.follower.state == "following")
    bench.cameras[0].unplugged.set()
    eventually(lambda: bench.follower.state == "lost" and bench.follower.problem == "no camera was found")
    assert [n.kind for n in bench.notices] == ["camera", "camera"]
    assert [str(n) for n in bench.notices] == ["stand-in stopped", "no camera was found"]
    assert bench.follower.seen.at(bench.clock.now()) is None
    bench.cameras.append(Camera())
    eventually(lambda: bench.follower.state == "following")
    assert len(bench.notices) == 2 and bench.cameras[0].closed.is_set()


def test_no_camera_is_one_line() -> None:
    if list_cameras():
        pytest.skip("this machine has a camera")
    with pytest.raises(UserError, match="no camera was found"):
        open_real_camera(None)


def test_the_timeline_interpolates_holds_and_lets_go() -> None:
    timeline = SeenTimeline()
    assert timeline.at(0.0) is None
    for k in range(30):
        timeline.append(k / 30, SeenFace(np.full(52, k / 30, np.float32)))
    timeline.append(0.1, SeenFace(np.ones(52, np.float32)))  # late: dropped
    between = timeline.at(0.75)
    assert between is not None and np.allclose(between.weights, 0.75, atol=1e-5) and between.presence == 1
    held = timeline.at(29 / 30 + 0.6)
    assert held is not None and 0 < held.presence < 1
    assert timeline.at(2.0) is None
    first = timeline.at(0.1)
    assert first is not None and first.presence < 0.3  # it comes in smoothly


@pytest.fixture(scope="module")
def face() -> DrivenFace:
    return DrivenFace.of(*open_head())


def spoken(face: DrivenFace, **weights: float) -> Any:
    own = weights_from_dict(weights)
    return face.arkit.params(own, stream_time_s=1.0).replace(blendshape_weights=own)


def test_both_takes_the_lips_from_the_voice_and_the_rest_from_the_camera(face: DrivenFace) -> None:
    pose = spoken(face, jawOpen=0.4, browInnerUp=0.9)
    seen = SeenFace(
        weights_from_dict({"jawOpen": 0.9, "browDownLeft": 0.7, "eyeBlinkRight": 1.0, "mouthSmileLeft": 0.6}),
        np.array([0, 0.3, 0], np.float32),
    )
    made = follow_face(pose, seen, "both", face)
    weights = made.blendshape_weights
    assert weights is not None and made.stream_time_s == 1.0
    named = weights[indices("jawOpen", "browInnerUp", "browDownLeft", "eyeBlinkRight", "mouthSmileLeft")]
    assert np.allclose(named, [0.4, 0.0, 0.7, 1.0, 0.6])
    assert np.allclose(made.neck_pose, [0, 0.3, 0])
    alone = follow_face(pose, seen, "webcam", face).blendshape_weights
    assert alone is not None and np.allclose(alone, seen.weights)
    assert follow_face(pose, seen, "voice", face) is pose
    assert follow_face(pose, None, "both", face) is pose


def test_lips_that_met_still_meet_under_a_smile(face: DrivenFace) -> None:
    pose = spoken(face, mouthPressLeft=0.4, mouthPressRight=0.4)
    smile = SeenFace(weights_from_dict({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}))
    made = follow_face(pose, smile, "both", face).blendshape_weights
    assert made is not None
    assert float(face.lips.opening_mm(made)) < max(0.3, float(face.lips.opening_mm(pose.blendshape_weights)) + 0.05)
