"""The engine as a whole, on stand-ins: it starts, speaks, survives and stops."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

from animation.driver import DriverSettings
from app.live.scene import LiveImage
from app.live.source import Source
from app.settings import VoiceSettings
from avatar.errors import UserError
from avatar.flame.arkit import indices
from tests.app.live.waiting import eventually


def test_a_voice_opens_the_mouth_and_the_figures_say_so(make_session: Any, sound_system: Any) -> None:
    sound_system.plug("Mic A", rate=44_100, channels=2)
    seen: list[int] = []
    painted = threading.Event()

    def on_image(image: LiveImage) -> None:
        seen.append(int(image.bgra[0, 0, 0]))
        session.painted(image)
        if len(seen) > 40:
            painted.set()

    session = make_session(on_image=on_image)
    interval = sys.getswitchinterval()
    session.start()
    assert sys.getswitchinterval() == pytest.approx(0.001)
    assert painted.wait(30)
    eventually(lambda: max(seen) > 60)
    status = session.status()
    assert status.source.kind == "device"
    assert status.source.label == "Mic A"
    assert status.peak_db == pytest.approx(20 * np.log10(0.25), abs=1.5)
    assert 40 < status.latency.median_ms < 400
    assert set(status.latency.stages) == {"lookahead", "capture", "inference", "wait", "draw", "paint"}
    assert sum(status.latency.stages.values()) == pytest.approx(status.latency.median_ms, abs=1.0)
    assert session.stop()
    assert sys.getswitchinterval() == pytest.approx(interval)
    assert not session.failures


@pytest.mark.parametrize("gains", [(1.0, -1.0), (1.0, 0.0), (0.0, 0.0, 0.0, 1.0)])
def test_a_voice_in_any_channel_is_heard_whole(make_session: Any, sound_system: Any, gains: tuple[float, ...]) -> None:
    """Antiphase stereo, one silent side, the fourth input of an interface."""
    sound_system.plug("Interface", channels=len(gains))
    sound_system.gains = gains
    session = make_session()
    session.start()
    eventually(lambda: session.status().peak_db == pytest.approx(20 * np.log10(0.25), abs=1.5))


def test_a_channel_can_be_picked(make_session: Any, sound_system: Any) -> None:
    sound_system.plug("Interface", channels=4)
    sound_system.gains = (1.0, 1.0, 0.1, 1.0)
    session = make_session(Source(channel=3))
    session.start()
    eventually(lambda: session.status().peak_db == pytest.approx(20 * np.log10(0.025), abs=1.5))
    session.set_source(Source(channel=5))
    eventually(lambda: "no channel 5" in session.devices.state.problem)
    assert session.devices.state.kind == "device"


def test_a_session_is_ready_when_the_face_moves(make_session: Any, loudness_driver: Any) -> None:
    """Pictures come before the driver is there; a voice that begins then would meet a frozen face."""
    made = threading.Event()

    def make_driver(face: Any, settings: DriverSettings) -> Any:
        made.wait(10)
        return loudness_driver(face, settings)

    session = make_session(make_driver=make_driver)
    session.start()
    eventually(lambda: session.rendering.count > 10)
    assert not session.ready
    made.set()
    eventually(lambda: session.ready)
    assert session.inference.timing is not None


def test_settings_reach_the_driver_while_it_runs(make_session: Any, loudness_driver: Any) -> None:
    drivers: list[Any] = []

    def make_driver(avatar: Any, settings: DriverSettings) -> Any:
        drivers.append(loudness_driver(avatar, settings))
        return drivers[-1]

    session = make_session(make_driver=make_driver)
    session.start()
    eventually(lambda: drivers)
    session.set_driver(DriverSettings(emotion="happy", intensity=0.3))
    session.set_voice(VoiceSettings(muted=True))
    eventually(lambda: drivers[0].settings.emotion == "happy")
    # And where poses fail to come, the face is happy still.
    rest = session._active.get().timeline.rest
    assert rest.blendshape_weights[indices("mouthSmileLeft")[0]] > 0.2
    session.set_driver(DriverSettings(lookahead_ms=30))
    eventually(lambda: len(drivers) == 2)  # another look-ahead is another model
    assert drivers[1].settings.lookahead_ms == 30


def test_fifty_starts_and_stops_leak_nothing(make_session: Any, sound_system: Any) -> None:
    sound_system.plug("Mic A")
    before = threading.active_count()
    for _ in range(50):
        session = make_session()
        session.start()
        assert session.stop()
    assert threading.active_count() == before
    assert not sound_system.streams
    with pytest.raises(RuntimeError, match="once"):
        session.start()


def test_a_new_avatar_takes_over_without_a_gap(make_session: Any, stand_in_avatar: Any) -> None:
    numbers: list[int] = []
    session = make_session(on_image=lambda image: numbers.append(image.request.number))
    session.start()
    eventually(lambda: len(numbers) > 5)
    session.show(stand_in_avatar)
    eventually(lambda: session.rendering._shown is session._active.get())
    count = len(numbers)
    eventually(lambda: len(numbers) > count + 3)
    with pytest.raises(UserError, match="no avatar"):
        session.set_avatar("nobody-of-this-name")
