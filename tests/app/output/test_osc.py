"""VMC as a receiver sees it: python-osc's own server listens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_server import BlockingOSCUDPServer

from app.output.datagrams import Pace
from app.output.osc import PORT, VmcSender, bundles
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.flame.params import FlameParams

Heard = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture
def receiver() -> Iterator[tuple[BlockingOSCUDPServer, Heard]]:
    heard: Heard = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *values: heard.append((address, values)))
    server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
    server.timeout = 2.0
    yield server, heard
    server.server_close()


def pose(time_s: float = 0.0, **changes: Any) -> FlameParams:
    return FlameParams.neutral(0, 3, time_s).replace(**changes)


def test_a_receiver_sees_the_protocol(receiver: tuple[BlockingOSCUDPServer, Heard]) -> None:
    server, heard = receiver
    sender = VmcSender(port=server.server_address[1])
    weights = weights_from_dict({"jawOpen": 0.5, "mouthSmileLeft": 0.25})
    sender.send(pose(1.5, neck_pose=[0, 0.4, 0], blendshape_weights=weights))
    for _ in range(3):
        server.handle_request()
    sender.close()
    addresses = [address for address, _ in heard]
    assert addresses[:2] == ["/VMC/Ext/OK", "/VMC/Ext/T"] and heard[1][1] == (1.5,)
    assert addresses[-1] == "/VMC/Ext/Blend/Apply" and addresses.count("/VMC/Ext/Blend/Apply") == 1
    values = {v[0]: v[1] for address, v in heard if address == "/VMC/Ext/Blend/Val"}
    assert list(values) == list(NAMES)
    assert values["jawOpen"] == 0.5 and values["mouthSmileLeft"] == 0.25 and values["cheekPuff"] == 0
    head = next(v for address, v in heard if address == "/VMC/Ext/Bone/Pos" and v[0] == "Head")
    assert len(head) == 8 and all(isinstance(v, float) for v in head[1:])
    # To the subject's left: Unity's +y turns from +z to +x, which there is the subject's right, hence negative.
    np.testing.assert_allclose(head[4:], [0, -np.sin(0.2), 0, np.cos(0.2)], atol=1e-6)


def test_unity_axes_are_the_mirror_of_ours() -> None:
    """A rotation R becomes M R M with M = diag(-1, 1, 1)."""
    from app.output.head_angles import to_unity

    rng = np.random.default_rng(0)
    for rotation in rng.normal(0, 0.6, (20, 3)):
        x, y, z, w = to_unity(rotation)
        axis = np.array([x, y, z])
        angle = 2 * np.arctan2(np.linalg.norm(axis), w)
        mirrored = np.diag([-1, 1, 1]) @ matrix(rotation) @ np.diag([-1, 1, 1])
        np.testing.assert_allclose(matrix(axis / np.linalg.norm(axis) * angle), mirrored, atol=1e-9)


def matrix(axis_angle: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(axis_angle).as_matrix()


def test_a_pose_is_bundles_that_fit_any_network() -> None:
    """1,200 bytes pass wherever Ethernet's 1,500 do, and through tunnels."""
    data = bundles(pose(), np.full(52, 0.123, np.float32))
    assert all(OscBundle.dgram_is_bundle(d) and len(d) <= 1200 for d in data)
    assert len(data) == 3
    assert b"/VMC/Ext/Blend/Apply" in data[-1]
    assert sum(d.count(b"/VMC/Ext/Blend/Val") for d in data) == 52


def test_the_face_is_left_at_rest(receiver: tuple[BlockingOSCUDPServer, Heard]) -> None:
    server, heard = receiver
    sender = VmcSender(port=server.server_address[1])
    sender.close()
    sender = VmcSender(port=server.server_address[1])
    sender.send(pose(1.5, blendshape_weights=weights_from_dict({"jawOpen": 0.5})))
    sender.close()
    sender.close()
    for _ in range(6):
        server.handle_request()
    opened = [v[1] for address, v in heard if address == "/VMC/Ext/Blend/Val" and v[0] == "jawOpen"]
    assert opened == [0.5, 0.0]


def test_rate_is_limited_by_stream_time() -> None:
    sender = VmcSender(port=9, rate_hz=25)
    for k in range(100):
        sender.send(pose(k / 50))
    assert sender.sent == 50
    sender.close()
    sender.close()


def test_pace_after_a_gap_and_a_restart() -> None:
    pace = Pace(10)
    assert [t for t in (0.0, 0.05, 0.1, 0.5, 0.55, 0.6) if pace.due(t)] == [0.0, 0.1, 0.5, 0.6]
    assert pace.due(0.0) and not pace.due(0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"port": 0}, "port"), ({"port": 70000}, "port"), ({"rate_hz": 0}, "packets"), ({"host": "no such host"}, "host")],
)
def test_targets_that_cannot_be_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        VmcSender(**arguments)


def test_it_speaks_to_this_machine_unless_told_otherwise() -> None:
    assert PORT == 39539
    sender = VmcSender()
    assert sender._datagrams._address == ("127.0.0.1", 39539)
    sender.close()
