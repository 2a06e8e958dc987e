"""The engine without a window: a file is played to its end."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from app.live.headless import HeadlessOptions, run_headless
from app.live.session import LiveSession
from app.live.source import Source
from app.settings import OutputSettings
from avatar.errors import UserError


@pytest.fixture
def headless(
    stand_in_avatar: Any, loudness_driver: Any, plain_renderer: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Runs the headless command on stand-ins; gives what it reported."""
    monkeypatch.setattr("app.live.session.open_avatar", lambda name: stand_in_avatar)
    monkeypatch.setattr(
        "app.live.headless.LiveSession",
        lambda *args, **options: LiveSession(
            *args, **options, make_driver=loudness_driver, open_renderer=lambda name, notice: plain_renderer(name)
        ),
    )

    def run(**options: Any) -> list[str]:
        lines: list[str] = []
        assert run_headless(HeadlessOptions(avatar="any", width=64, height=64, **options), lines.append) == 0
        return lines

    return run


def test_every_pose_of_a_file_is_sent_and_the_face_left_at_rest(headless: Any, tmp_path: Path) -> None:
    """As a VTuber program sees it: nothing is missing at the start or the end, and the mouth is closed at last."""
    soundfile.write(tmp_path / "tone.wav", 0.4 * np.sin(np.arange(2 * 16_000) / 10), 16_000)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    headless(
        source=Source(file=tmp_path / "tone.wav"), outputs=OutputSettings(vmc=f"127.0.0.1:{receiver.getsockname()[1]}")
    )
    opened: list[float] = []
    while True:
        try:
            packet = receiver.recv(65536)
        except BlockingIOError:
            break
        at = packet.find(b"jawOpen")
        if at >= 0:
            opened.append(struct.unpack(">f", packet[at + 8 : at + 12])[0])
    receiver.close()
    wide = [value > 0.5 for value in opened]
    assert 97 <= sum(wide) <= 101, "two seconds of sound at fifty poses a second"
    assert not wide[-1]
    assert opened[-1] == 0.0


def test_an_output_that_cannot_be_had_ends_the_headless_run(headless: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UserError, match="nothing can be sent: virtual camera"):
        headless(source=Source(none=True), outputs=OutputSettings(virtual_camera=True))


def test_headless_plays_a_file_to_its_end(headless: Any, speech: Path, tmp_path: Path) -> None:
    start = time.monotonic()
    lines = headless(source=Source(file=speech), record=tmp_path / "out.mp4", quality="draft")
    assert time.monotonic() - start >= 3.0
    assert any("images/s" in line for line in lines)
    assert lines[-1].startswith("recorded")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.duration) / av.time_base > 2.6
    with av.open(str(tmp_path / "out.mp4")) as container:
        images = np.array([(f.time, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        heard = [float(f.time) for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.1]
    first = images[(images[:, 0] > heard[0]) & (images[:, 0] < heard[0] + 0.4), 1]
    assert np.median(first) > images[:, 1].min() + 10, "the mouth moves from the first word on"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"camera": "nowhere"}, "unknown camera"),
        ({"source": Source(file=Path("none.wav"))}, "no such file"),
        ({"source": Source(file=Path(__file__))}, "not an audio file"),
        ({"record": Path("a.avi")}, "cannot write .avi"),
        ({"record": Path("a.mp4"), "background": None}, "transparent"),
    ],
)
def test_mistakes_are_noticed_before_anything_is_loaded(options: dict[str, Any], says: str) -> None:
    said: list[str] = []
    with pytest.raises(UserError, match=says):
        run_headless(HeadlessOptions(**options), said.append)
    assert not said
