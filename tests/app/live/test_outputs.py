"""Poses sent elsewhere: in step with the picture, and harmless when they fail."""

from __future__ import annotations

import socket
import threading
import time

import numpy as np
import pytest

from app.live.clock import StreamClock
from app.live.exchange import Latest
from app.live.notice import Notice
from app.live.outputs import Outputs, parse_target
from app.settings import OutputSettings
from avatar.errors import UserError
from avatar.flame.params import FlameParams


def driven(time_s: float, smile: float) -> FlameParams:
    weights = np.zeros(52, np.float32)
    weights[23] = smile
    return FlameParams.neutral(2, 3, time_s).replace(blendshape_weights=weights)


@pytest.mark.parametrize("kind", ["vmc", "livelink"])
def test_poses_leave_when_their_picture_is_drawn(kind: str) -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    target = f"127.0.0.1:{receiver.getsockname()[1]}"
    clock = StreamClock()
    outputs = Outputs(clock, Latest(OutputSettings(**{kind: target})), lambda: 0.3)
    outputs.start()
    try:
        end = time.monotonic() + 5
        while not outputs._senders and time.monotonic() < end:
            threading.Event().wait(0.01)
        now = clock.now()
        outputs.offer_poses([driven(now, 0.2), driven(now + 0.1, 0.8)])
        arrivals = []
        while len(arrivals) < 2:
            packet = receiver.recv(65536)
            if kind == "livelink" or b"/VMC/Ext/Blend/Apply" in packet:  # a pose of VMC comes in several packets
                arrivals.append(clock.now())
        np.testing.assert_allclose(np.array(arrivals) - now, [0.3, 0.4], atol=0.08)
    finally:
        assert outputs.stop()
        receiver.close()
    assert outputs.sent == 2


def test_what_cannot_be_opened_is_said_and_the_rest_goes_on() -> None:
    said: list[Notice] = []
    done = threading.Event()

    def hear(notice: Notice) -> None:
        said.append(notice)
        done.set()

    settings = Latest(OutputSettings(vmc="127.0.0.1:99999", livelink="127.0.0.1:11111"))
    outputs = Outputs(StreamClock(), settings, lambda: 0.1, on_notice=hear)
    outputs.start()
    assert done.wait(5)
    assert (said[0].kind, said[0].subject) == ("output", "VMC")
    assert "port" in said[0].detail
    assert outputs.alive
    assert outputs.stop()
    assert outputs.failure is None


def test_targets() -> None:
    assert parse_target("10.0.0.2:4000", 1) == ("10.0.0.2", 4000)
    assert parse_target("studio", 39539) == ("studio", 39539)
    assert parse_target(":5000", 1) == ("127.0.0.1", 5000)
    for bad in ("a:b", "a:0", "a:70000"):
        with pytest.raises(UserError):
            parse_target(bad, 1)
