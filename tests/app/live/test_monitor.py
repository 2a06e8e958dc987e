"""The monitor plays what was said, as late as the picture is, and survives PortAudio starting anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from app.live.clock import StreamClock
from app.live.exchange import AudioRing
from app.live.monitor import Monitor
from app.live.portaudio import PortAudio
from app.live.voice import SOUND_RATE


class Loudspeaker:
    """An output stream that a test drives block by block."""

    opened: ClassVar[list[Loudspeaker]] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.running = False
        Loudspeaker.opened.append(self)

    def start(self) -> None:
        self.running = True

    def abort(self, ignore_errors: bool = True) -> None:
        self.running = False

    def close(self, ignore_errors: bool = True) -> None:
        self.running = False

    def play(self, frames: int = 480) -> np.ndarray:
        block = np.full((frames, 1), 9.0, np.float32)
        times = SimpleNamespace(currentTime=5.0, outputBufferDacTime=5.0)
        self.options["callback"](block, frames, times, None)
        return block[:, 0]


@pytest.fixture
def loudspeaker(sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> type[Loudspeaker]:
    Loudspeaker.opened = []
    monkeypatch.setattr(type(sound_system), "OutputStream", staticmethod(Loudspeaker))
    return Loudspeaker


class Clock(StreamClock):
    """Stands still until told."""

    at_s = 0.0

    def stream_time(self, at_s: float) -> float:
        return self.at_s


def test_it_plays_the_past_without_gaps_or_repeats(loudspeaker: type[Loudspeaker]) -> None:
    clock, ring = Clock(), AudioRing(SOUND_RATE * 4)
    monitor = Monitor(ring, clock, lambda: 0.2, PortAudio())
    monitor.open()
    stream = loudspeaker.opened[0]
    heard = []
    for k in range(150):
        first = k * 480
        ring.write(np.arange(first, first + 480, dtype=np.float32)[:, None])
        clock.at_s = (k + 1) * 0.01
        heard.append(stream.play())
    sound = np.concatenate(heard)
    playing = sound[30 * 480 :]
    np.testing.assert_array_equal(np.diff(playing), 1.0)
    assert sound[-1] == pytest.approx(150 * 480 - 0.2 * SOUND_RATE, abs=0.05 * SOUND_RATE)
    assert monitor.jumps <= 2
    monitor.close()


def test_where_there_is_nothing_it_is_silent_and_keeps_its_place(loudspeaker: type[Loudspeaker]) -> None:
    clock, ring = Clock(), AudioRing(SOUND_RATE)
    clock.at_s = 1.0
    monitor = Monitor(ring, clock, lambda: 0.1, PortAudio())
    monitor.open()
    np.testing.assert_array_equal(loudspeaker.opened[0].play(), 0.0)
    monitor.close()
    monitor.close()
    assert not loudspeaker.opened[0].running


def test_it_comes_back_when_portaudio_starts_anew(loudspeaker: type[Loudspeaker]) -> None:
    portaudio = PortAudio()
    monitor = Monitor(AudioRing(1000), Clock(), lambda: 0.1, portaudio)
    monitor.open()
    monitor.open()
    assert loudspeaker.opened[0].running
    portaudio.rescan()
    assert not loudspeaker.opened[0].running
    assert loudspeaker.opened[1].running
    monitor.close()
    assert not loudspeaker.opened[1].running
    portaudio.rescan()
    assert len(loudspeaker.opened) == 2
