"""Live Link Face over UDP, version 6: the packets of Epic's iPhone app, which Unreal's Live Link receives.

Layout: a byte 6; then big-endian: device id and subject name, each a 32-bit length and its bytes; frame number
(int32) and its fraction (float32); frame rate as numerator and denominator (int32); a byte 61; 61 float32: the 52
blendshapes in ARKit's order, then yaw, pitch and roll of the head, the left eye and the right eye, radians.
(A device id of 36 characters makes the first five bytes look like a little-endian 6 followed by "$".)
"""

from __future__ import annotations

import struct
import uuid

import numpy as np
from jaxtyping import Float, Float32

from app.output.datagrams import LOOPBACK, Datagrams, Pace
from app.output.head_angles import to_yaw_pitch_roll
from avatar.flame.arkit import NAMES, indices
from avatar.flame.params import FlameParams

__all__ = ["COLUMNS", "PORT", "LiveLinkSender", "encode", "eye_angles"]

PORT = 11111
COLUMNS = (
    *(name[0].upper() + name[1:] for name in NAMES),
    *(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll")),
)
"""The 61 values by the names that Epic gives them."""
_VERSION = 6
_RATE_HZ = 60
_LOOK_RAD = 0.5  # an eyeLook weight of 1, as ARKit's own eye transforms have it roughly
_UP, _DOWN = indices("eyeLookUpLeft", "eyeLookUpRight"), indices("eyeLookDownLeft", "eyeLookDownRight")
_TO_LEFT = indices("eyeLookOutLeft", "eyeLookInRight")
_TO_RIGHT = indices("eyeLookInLeft", "eyeLookOutRight")


def eye_angles(weights: Float[np.ndarray, "52"]) -> Float[np.ndarray, "6"]:
    """Yaw, pitch and roll of the left eye, then of the right one, radians, from the eyeLook weights."""
    yaw = _LOOK_RAD * (weights[_TO_LEFT] - weights[_TO_RIGHT])
    pitch = _LOOK_RAD * (weights[_DOWN] - weights[_UP])
    return np.stack([yaw, pitch, np.zeros(2)], 1).reshape(-1)


def encode(
    weights: Float32[np.ndarray, "52"],
    neck: Float32[np.ndarray, "3"],
    time_s: float,
    subject: str = "GaussianAvatar",
    device: str = "00000000-0000-0000-0000-000000000000",
) -> bytes:
    """One packet.

    Args:
        neck: axis-angle of the head, radians.
        time_s: when the pose belongs to; becomes a frame number of 60 a second and a fraction.
    """
    frame, fraction = divmod(max(time_s, 0.0) * _RATE_HZ, 1.0)
    names = b"".join(struct.pack(">i", len(n)) + n for n in (device.encode(), subject.encode()))
    values = np.concatenate([weights, to_yaw_pitch_roll(neck), eye_angles(weights)])
    head = struct.pack(">ifii", int(frame) & 0x7FFFFFFF, fraction, _RATE_HZ, 1)
    return struct.pack("B", _VERSION) + names + head + struct.pack(">B61f", len(COLUMNS), *values)


class LiveLinkSender:
    """Sends poses to Unreal, or anything else that listens to Live Link Face.

    Not for two threads at once. A receiver that is not there costs nothing: datagrams are lost silently.
    """

    def __init__(
        self, host: str = LOOPBACK, port: int = PORT, rate_hz: float = 60.0, subject: str = "GaussianAvatar"
    ) -> None:
        """
        Args:
            host: of the receiver; this machine unless told otherwise.
            rate_hz: at most so many packets a second; poses in between are left out.

        Raises:
            UserError: for a target that cannot be.
        """
        self.sent = 0
        self._last_s: float | None = None
        self._pace = Pace(rate_hz)
        self._datagrams = Datagrams(host, port)
        self._subject, self._device = subject, str(uuid.uuid4()).upper()

    def send(self, pose: FlameParams) -> None:
        """Send one pose, if it is time for one. One that does not know its blendshape weights cannot be sent."""
        if pose.blendshape_weights is None or not self._pace.due(pose.stream_time_s):
            return
        self._datagrams.send(
            encode(pose.blendshape_weights, pose.neck_pose, pose.stream_time_s, self._subject, self._device)
        )
        self.sent += 1
        self._last_s = pose.stream_time_s

    def close(self) -> None:
        """Leave the face at rest, and stop sending; closing twice is fine."""
        if self._last_s is not None:
            rest = np.zeros(len(NAMES), np.float32)
            still = np.zeros(3, np.float32)
            self._datagrams.send(encode(rest, still, self._last_s, self._subject, self._device))
            self._last_s = None
        self._datagrams.close()
