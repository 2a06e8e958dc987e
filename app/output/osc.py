"""VMC, the protocol of VTuber programs: blendshapes and the head bone over OSC.

Reference: Virtual Motion Capture Protocol, performer to marionette. A pose: `/VMC/Ext/OK`, `/VMC/Ext/T`,
the bones, `/VMC/Ext/Blend/Val` for each blendshape, then `/VMC/Ext/Blend/Apply`; in three bundles.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from app.output.datagrams import LOOPBACK, Datagrams, Pace
from app.output.head_angles import to_unity
from avatar.flame.arkit import NAMES
from avatar.flame.params import FlameParams

__all__ = ["PORT", "VmcSender", "bundles"]

PORT = 39539
_LOADED = 1
_MOST_BYTES = 1200
"""Of a datagram: what QUIC, too, takes for safe. Tunnels and wireless links pass less than Ethernet's 1,500."""
_BUNDLE_HEAD, _SIZE_FIELD = 16, 4


def bundles(params: FlameParams, weights: Float32[ndarray, "52"]) -> list[bytes]:
    """All messages of one pose, in datagrams that pass networks unfragmented. Names are ARKit's ("perfect sync");
    rotations in Unity's axes. Receivers keep the values until the last message, Apply."""
    x, y, z = (float(v) for v in params.transl)
    messages = [
        _message("/VMC/Ext/OK", _LOADED),
        _message("/VMC/Ext/T", float(params.stream_time_s)),
        _message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        _message("/VMC/Ext/Bone/Pos", "Head", -x, y, z, *to_unity(params.neck_pose)),
        _message("/VMC/Ext/Bone/Pos", "LeftEye", 0.0, 0.0, 0.0, *to_unity(params.leye_pose)),
        _message("/VMC/Ext/Bone/Pos", "RightEye", 0.0, 0.0, 0.0, *to_unity(params.reye_pose)),
        *(_message("/VMC/Ext/Blend/Val", name, float(weight)) for name, weight in zip(NAMES, weights, strict=True)),
        _message("/VMC/Ext/Blend/Apply"),
    ]
    datagrams: list[bytes] = []
    made, size = OscBundleBuilder(IMMEDIATELY), _BUNDLE_HEAD
    for message in messages:
        if size + _SIZE_FIELD + message.size > _MOST_BYTES:
            datagrams.append(made.build().dgram)
            made, size = OscBundleBuilder(IMMEDIATELY), _BUNDLE_HEAD
        made.add_content(message)
        size += _SIZE_FIELD + message.size
    return [*datagrams, made.build().dgram]


class VmcSender:
    """Sends poses to VSeeFace, Warudo, VNyan and other VMC receivers. Not for two threads at once."""

    def __init__(self, host: str = LOOPBACK, port: int = PORT, rate_hz: float = 60.0) -> None:
        """
        Args:
            host: of the receiver; this machine unless told otherwise.
            rate_hz: at most so many poses a second; poses in between are left out.

        Raises:
            UserError: for a target that cannot be.
        """
        self.sent = 0
        self._last_s: float | None = None
        self._pace = Pace(rate_hz)
        self._datagrams = Datagrams(host, port)

    def send(self, pose: FlameParams) -> None:
        """Send one pose, if it is time for one. One that does not know its blendshape weights cannot be sent."""
        if pose.blendshape_weights is not None and self._pace.due(pose.stream_time_s):
            self._send(pose, pose.blendshape_weights)
            self.sent += 1
            self._last_s = pose.stream_time_s

    def close(self) -> None:
        """Leave the face at rest, and stop sending; closing twice is fine."""
        if self._last_s is not None:
            self._send(FlameParams.neutral(0, 0, self._last_s), np.zeros(len(NAMES), np.float32))
            self._last_s = None
        self._datagrams.close()

    def _send(self, pose: FlameParams, weights: Float32[ndarray, "52"]) -> None:
        for datagram in bundles(pose, weights):
            self._datagrams.send(datagram)


def _message(address: str, *values: str | float) -> OscMessage:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()
