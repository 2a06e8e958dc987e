"""Live Link Face packets, read by a parser that shares nothing with the sender."""

from __future__ import annotations

import io
import socket
import struct
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from app.output.head_angles import from_quaternions, from_yaw_pitch_roll, to_quaternions, to_yaw_pitch_roll
from app.output.livelink import COLUMNS, LiveLinkSender, encode
from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.flame.params import FlameParams


def parse(packet: bytes) -> dict[str, Any]:
    """As Unreal reads it: a version byte, two length-prefixed strings, time, rate, count, values; all big-endian."""
    stream = io.BytesIO(packet)

    def take(code: str) -> Any:
        return struct.unpack(code, stream.read(struct.calcsize(code)))[0]

    found: dict[str, Any] = {"version": take("B")}
    for key in ("device", "subject"):
        found[key] = stream.read(take(">i")).decode()
    found |= {"frame": take(">i"), "fraction": take(">f"), "rate": (take(">i"), take(">i")), "count": take("B")}
    found["values"] = [take(">f") for _ in range(found["count"])]
    assert not stream.read()
    return found


def test_a_packet_as_unreal_reads_it() -> None:
    weights = weights_from_dict({"eyeBlinkLeft": 0.75, "tongueOut": 0.5, "eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5})
    found = parse(encode(weights, np.array([0, 0.3, 0], np.float32), 2.51, "Somebody"))
    assert found["version"] == 6 and found["subject"] == "Somebody" and len(found["device"]) == 36
    assert found["frame"] == 150 and found["fraction"] == pytest.approx(0.6, abs=1e-5) and found["rate"] == (60, 1)
    assert found["count"] == 61 == len(COLUMNS)
    values = dict(zip(COLUMNS, found["values"], strict=True))
    assert values["EyeBlinkLeft"] == 0.75 and values["TongueOut"] == 0.5
    assert values["HeadYaw"] == pytest.approx(0.3) and values["HeadPitch"] == pytest.approx(0)
    assert values["LeftEyePitch"] == values["RightEyePitch"] == -0.25


def test_the_first_bytes_are_also_a_little_endian_six() -> None:
    """How other parsers read the same bytes: a little-endian 6, then 37 characters that begin with "$"."""
    packet = encode(np.zeros(52, np.float32), np.zeros(3, np.float32), 0.0, "N")
    assert struct.unpack("<i", packet[:4]) == (6,) and packet[4:5] == b"$"
    (length,) = struct.unpack(">i", packet[41:45])
    assert packet[45 : 45 + length] == b"N"


def test_poses_arrive_at_the_asked_rate() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(2.0)
        sender = LiveLinkSender(port=receiver.getsockname()[1], rate_hz=25, subject="Me")
        for k in range(10):
            sender.send(FlameParams.neutral(0, 0, k / 50).replace(blendshape_weights=np.full(52, k / 10)))
        sender.close()
        packets = [parse(receiver.recv(2048)) for _ in range(sender.sent)]
    assert len(packets) == 5 and {p["subject"] for p in packets} == {"Me"} and len({p["device"] for p in packets}) == 1
    np.testing.assert_allclose([p["values"][0] for p in packets], [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)


def test_columns_are_arkits_order_and_then_nine_angles() -> None:
    assert [c[0].lower() + c[1:] for c in COLUMNS[:52]] == list(NAMES)
    assert COLUMNS[52:55] == ("HeadYaw", "HeadPitch", "HeadRoll") and COLUMNS[58] == "RightEyeYaw"


def test_angles_are_rotations_and_come_back() -> None:
    rng = np.random.default_rng(0)
    rotations = rng.normal(0, 0.5, (200, 3))
    angles = to_yaw_pitch_roll(rotations)
    expected = Rotation.from_rotvec(rotations).as_euler("YXZ")
    np.testing.assert_allclose(angles, expected, atol=1e-9)
    np.testing.assert_allclose(from_yaw_pitch_roll(angles), rotations, atol=1e-9)
    np.testing.assert_allclose(from_quaternions(-3 * to_quaternions(rotations)), rotations, atol=1e-9)
    np.testing.assert_array_equal(from_quaternions(to_quaternions(np.zeros(3))), 0)
    tiny = np.array([1e-12, 0, 0])
    np.testing.assert_allclose(from_quaternions(to_quaternions(tiny)), tiny, rtol=1e-6)
