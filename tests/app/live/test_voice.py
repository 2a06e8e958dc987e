"""The audio thread's streams: continuous, in step, whatever the device does. Stepped by hand on a clock of our own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from app.live import voice as voice_module
from app.live.clock import StreamClock
from app.live.exchange import Latest, Wake
from app.live.voice import SOUND_RATE, VoiceInput
from app.settings import VoiceSettings


class Clock:
    """Stands in for the `time` module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


class ScriptedCapture:
    """Delivers a 200 Hz tone; the test says how much has come and may swallow some."""

    label = "scripted"
    overflows = 0
    healthy = True

    def __init__(self, clock: Clock, rate: int = SOUND_RATE, channels: int = 1) -> None:
        self.sample_rate, self.channels, self.channel, self.ended = rate, channels, None, False
        self._clock = clock
        self._at = clock.now
        self.silent = False

    def attach(self, wake: Wake) -> None:
        pass

    def close(self) -> None:
        pass

    def swallow(self, seconds: float) -> None:
        self._at += seconds

    def read(self) -> tuple[np.ndarray, float]:
        n = 0 if self.silent else round((self._clock.now - self._at) * self.sample_rate)
        start = self._at
        self._at += n / self.sample_rate
        t = start + np.arange(n) / self.sample_rate
        wave = (0.5 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)
        return np.repeat(wave[:, None], self.channels, 1), start


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(voice_module, "time", fake)
    monkeypatch.setattr("app.live.clock.time", fake)
    return fake


def make(settings: VoiceSettings | None = None) -> VoiceInput:
    return VoiceInput(StreamClock(), Latest(settings or VoiceSettings()))


def run(voice: VoiceInput, clock: Clock, seconds: float, step: float = 0.01) -> None:
    for _ in range(round(seconds / step)):
        clock.now += step
        voice.step()


def everything(ring: object) -> np.ndarray:
    return ring.reader(at=0).read()[:, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2), (16_000, 1), (96_000, 2), (8_000, 1)])
def test_any_rate_becomes_two_streams_in_step(clock: Clock, rate: int, channels: int) -> None:
    voice = make()
    voice.switch(ScriptedCapture(clock, rate, channels))
    run(voice, clock, 3.0)
    low, high = everything(voice.voice), everything(voice.sound)
    assert 2.95 < len(low) / 16_000 <= 3.0
    assert 2.7 < len(high) / SOUND_RATE <= 3.0
    a, b = low[16_000:40_000], high[48_000:120_000:3]
    assert np.abs(a - b).max() < 0.02  # sample n of either is the same moment
    assert np.abs(a).max() == pytest.approx(0.5, abs=0.02)
    assert voice.gaps == 0


def test_a_device_that_goes_away_leaves_silence_and_comes_back_in_time(clock: Clock) -> None:
    voice = make()
    capture = ScriptedCapture(clock)
    voice.switch(capture)
    run(voice, clock, 1.0)
    voice.switch(None)
    run(voice, clock, 2.0)
    voice.switch(ScriptedCapture(clock, 44_100, 2))
    run(voice, clock, 1.0)
    voice.switch(None)
    run(voice, clock, 0.05)
    high = everything(voice.sound)
    assert len(high) == 3 * len(everything(voice.voice))
    assert len(high) / SOUND_RATE == pytest.approx(4.05, abs=0.03)
    loud = np.abs(high.reshape(-1, 48)).max(1) > 0.01
    changes = np.flatnonzero(np.diff(loud.astype(int))) / 1000
    np.testing.assert_allclose(changes, [1.0, 3.0, 4.0], atol=0.03)


def test_a_stalled_device_is_filled_in_for(clock: Clock) -> None:
    voice = make()
    capture = ScriptedCapture(clock)
    voice.switch(capture)
    run(voice, clock, 1.0)
    capture.silent = True
    run(voice, clock, 2.0)
    assert voice.stream_s == pytest.approx(3.0, abs=0.03)
    capture.silent = False
    capture.swallow(2.0)
    run(voice, clock, 1.0)
    assert voice.stream_s == pytest.approx(4.0, abs=0.03)


def test_lost_samples_are_noticed_and_replaced(clock: Clock) -> None:
    voice = make()
    capture = ScriptedCapture(clock)
    voice.switch(capture)
    run(voice, clock, 1.0)
    capture.swallow(0.2)
    clock.now += 0.2
    run(voice, clock, 1.0)
    assert voice.gaps == 1
    assert voice.stream_s == pytest.approx(2.2, abs=0.03)


def test_sound_from_before_the_silence_that_replaced_it_is_not_heard_twice(clock: Clock) -> None:
    voice = make()
    capture = ScriptedCapture(clock)
    voice.switch(capture)
    run(voice, clock, 0.5)
    capture.silent = True
    run(voice, clock, 1.0)
    capture.silent = False  # now delivers the second that it held back, all at once
    run(voice, clock, 0.5)
    assert voice.stream_s == pytest.approx(2.0, abs=0.03)


def test_gain_ramps_and_mute_is_silent(clock: Clock) -> None:
    settings = Latest(VoiceSettings(gain_db=-6.0))
    voice = VoiceInput(StreamClock(), settings)
    voice.switch(ScriptedCapture(clock))
    run(voice, clock, 1.0)
    settings.put(VoiceSettings(muted=True))
    run(voice, clock, 1.0)
    high = everything(voice.sound)
    assert np.abs(high[24_000:47_000]).max() == pytest.approx(0.25, abs=0.01)
    assert np.abs(high[-24_000:]).max() == 0.0
    assert np.abs(np.diff(high)).max() < 0.02


def test_what_is_not_a_number_is_silence(clock: Clock) -> None:
    class Broken(ScriptedCapture):
        def read(self) -> tuple[np.ndarray, float]:
            samples, at = super().read()
            samples[::7] = np.nan
            samples[::11] = np.inf
            return samples, at

    voice = make()
    voice.switch(Broken(clock))
    run(voice, clock, 0.5)
    assert np.isfinite(everything(voice.sound)).all()
    assert np.isfinite(everything(voice.voice)).all()


def test_a_tap_sees_every_sample_once_with_its_number(clock: Clock) -> None:
    voice = make()
    voice.switch(ScriptedCapture(clock, 44_100))
    run(voice, clock, 0.5)
    pieces: list[tuple[int, int]] = []
    voice.tap(lambda samples, first: pieces.append((first, len(samples))))
    run(voice, clock, 1.0)
    voice.switch(None)
    run(voice, clock, 0.5)
    voice.tap(None)
    for (first, n), (then, _) in pairwise(pieces):
        assert first + n == then
    assert sum(n for _, n in pieces) == pytest.approx(1.5 * SOUND_RATE, rel=0.06)
