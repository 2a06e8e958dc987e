"""VMC, the protocol of VTuber programs: blendshapes and the head bone over OSC.

Reference: Virtual Motion Capture Protocol, performer to marionette. One bundle a pose: `/VMC/Ext/OK`,
`/VMC/Ext/T`, the bones, `/VMC/Ext/Blend/Val` for each blendshape, then `/VMC/Ext/Blend/Apply`.
"""

from __future__ import annotations

from jaxtyping import Float32
from numpy import ndarray
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from app.output.datagrams import LOOPBACK, Datagrams, Pace
from app.output.head_angles import to_unity
from avatar.flame.arkit import NAMES
from avatar.flame.params import FlameParams

__all__ = ["PORT", "VmcSender", "bundle"]

PORT = 39539
_LOADED = 1


def bundle(params: FlameParams, weights: Float32[ndarray, "52"]) -> OscBundle:
    """All messages of one pose. Names are ARKit's ("perfect sync"); rotations in Unity's axes."""
    made = OscBundleBuilder(IMMEDIATELY)
    made.add_content(_message("/VMC/Ext/OK", _LOADED))
    made.add_content(_message("/VMC/Ext/T", float(params.stream_time_s)))
    x, y, z = (float(v) for v in params.transl)
    made.add_content(_message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    made.add_content(_message("/VMC/Ext/Bone/Pos", "Head", -x, y, z, *to_unity(params.neck_pose)))
    for name, eye in (("LeftEye", params.leye_pose), ("RightEye", params.reye_pose)):
        made.add_content(_message("/VMC/Ext/Bone/Pos", name, 0.0, 0.0, 0.0, *to_unity(eye)))
    for name, weight in zip(NAMES, weights, strict=True):
        made.add_content(_message("/VMC/Ext/Blend/Val", name, float(weight)))
    made.add_content(_message("/VMC/Ext/Blend/Apply"))
    return made.build()


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
        self._pace = Pace(rate_hz)
        self._datagrams = Datagrams(host, port)

    def send(self, pose: FlameParams) -> None:
        """Send one pose, if it is time for one. One that does not know its blendshape weights cannot be sent."""
        if pose.blendshape_weights is not None and self._pace.due(pose.stream_time_s):
            self._datagrams.send(bundle(pose, pose.blendshape_weights).dgram)
            self.sent += 1

    def close(self) -> None:
        """Stop sending; closing twice is fine."""
        self._datagrams.close()


def _message(address: str, *values: str | float) -> OscMessage:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()
