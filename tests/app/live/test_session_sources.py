"""Where a session's sound comes from: microphones and files that come, go and break."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from app.audio_file import AudioFile
from app.live.notice import Notice
from app.live.player import FileCapture
from app.live.source import Source
from avatar.errors import UserError
from tests.app.live.waiting import eventually


def test_devices_come_and_go_without_a_crash(make_session: Any, sound_system: Any, tmp_path: Path) -> None:
    changes: list[str] = []
    session = make_session(on_source=lambda: changes.append(session.devices.state.kind))
    session.start()
    eventually(lambda: session.devices.state.kind == "missing")
    session.recordings.start(tmp_path / "through.mp4", quality="draft")
    sound_system.plug("Mic A", scan=False)
    session.devices.look_again()
    eventually(lambda: session.devices.state.kind == "device")
    sound_system.pull("Mic A")
    eventually(lambda: session.devices.state.kind in ("lost", "missing"))
    assert session.devices.state.problem
    sound_system.plug("Mic A", rate=16_000)
    eventually(lambda: session.devices.state.kind == "device")
    sound_system.streams[-1].stalled.set()
    eventually(lambda: session.devices.reopened >= 2)
    eventually(lambda: session.devices.state.kind == "device")
    started = session.voice.stream_s
    eventually(lambda: session.voice.stream_s > started + 0.5)
    done = session.recordings.stop()
    assert done.error is None
    assert done.duration_s > 1.0
    assert not session.failures
    assert {"missing", "device"} <= set(changes)


def test_fifty_device_failures(make_session: Any, sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound_system.plug("Mic A")
    session = make_session()
    monkeypatch.setattr(session.devices, "_RETRY_S", (0.0,))
    monkeypatch.setattr(session.devices, "_CHECK_S", 0.01)
    session.start()
    eventually(lambda: session.devices.state.kind == "device")
    before = threading.active_count()
    for k in range(50):
        count = session.devices.reopened
        if k % 2:
            sound_system.streams[-1].fail()
        else:
            sound_system.streams[-1].options["finished_callback"]()
        eventually(lambda count=count: session.devices.reopened > count)
    assert session.devices.state.kind == "device"
    assert len(sound_system.streams) == 1
    assert threading.active_count() <= before + 1
    assert not session.failures


def test_a_microphone_that_cannot_be_opened_leaves_the_old_one(make_session: Any, sound_system: Any) -> None:
    sound_system.plug("Mic A")
    sound_system.plug("Mic B")
    sound_system.busy.add("Mic B")
    session = make_session(Source(device="Test: Mic A"))
    session.start()
    eventually(lambda: session.devices.state.label == "Mic A")
    session.set_source(Source(device="Test: Mic B"))
    eventually(lambda: "Mic B" in session.devices.state.problem)
    assert (session.devices.state.kind, session.devices.state.label) == ("device", "Mic A")
    eventually(lambda: session.status().peak_db > -20)
    sound_system.busy.clear()
    session.set_source(Source(device="Test: Mic B"))
    eventually(lambda: session.devices.state.label == "Mic B")


def test_zeros_are_noticed(make_session: Any, sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound_system.plug("Mic A")
    sound_system.amplitude = 0.0
    session = make_session()
    monkeypatch.setattr(session.devices, "_ZEROS_S", 0.3)
    session.start()
    eventually(lambda: "No sound" in session.devices.state.problem)
    sound_system.amplitude = 0.2
    eventually(lambda: session.devices.state.problem == "")


def test_a_file_that_cannot_be_read_is_said_and_the_microphone_stays(
    make_session: Any, sound_system: Any, loudspeaker: list[Any], tmp_path: Path
) -> None:
    """Nor is the microphone played aloud in its place: that would howl."""
    sound_system.plug("Mic A")
    notices: list[Notice] = []
    session = make_session(on_notice=notices.append)
    session.start()
    eventually(lambda: session.devices.state.kind == "device")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7 and nothing to be heard")
    session.set_source(Source(file=tmp_path / "paper.pdf", aloud=True))
    eventually(lambda: notices)
    assert (notices[0].kind, notices[0].subject) == ("clip", "paper.pdf")
    assert "not an audio file" in notices[0].detail
    assert session.devices.state.kind == "device"
    assert session.devices.state.problem == ""
    assert not loudspeaker
    assert sound_system.opened == 1, "the microphone was left alone"


def test_a_file_is_heard_while_it_plays_and_the_microphone_comes_back(
    make_session: Any, sound_system: Any, loudspeaker: list[Any], speech: Path
) -> None:
    sound_system.plug("Mic A")
    session = make_session()
    session.start()
    eventually(lambda: session.devices.state.kind == "device")
    session.set_source(Source(file=speech, aloud=True))
    eventually(lambda: session.devices.state.file == speech and session.monitoring)
    assert not sound_system.streams, "the microphone is closed meanwhile"
    session.set_source(Source(device="Test: Mic A"))  # picked while the file plays: it is waited for
    threading.Event().wait(0.3)
    assert session.devices.state.file == speech
    session.stop_clip()
    eventually(lambda: session.devices.state.kind == "device")
    eventually(lambda: not session.monitoring)


def test_a_file_that_breaks_midway_returns_to_the_microphone(
    make_session: Any, sound_system: Any, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound_system.plug("Mic A")
    notices: list[Notice] = []
    session = make_session(on_notice=notices.append)
    real = AudioFile.blocks

    def broken(self: AudioFile) -> Iterator[np.ndarray]:
        yield next(real(self))
        raise UserError("the disk was pulled out")

    monkeypatch.setattr(AudioFile, "blocks", broken)
    session.start()
    eventually(lambda: session.devices.state.kind == "device")
    session.set_source(Source(file=speech))
    eventually(lambda: session.devices.state.file == speech)
    eventually(lambda: session.devices.state.kind == "device")
    assert "pulled out" in notices[0].detail
    assert not session.failures


def test_a_file_can_be_played_from_somewhere_in_it(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 16_000, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.wav", ramp, 16_000, subtype="FLOAT")
    capture = FileCapture(tmp_path / "ramp.wav", start_s=0.9)
    try:
        eventually(lambda: capture.ended)
        assert capture.position_s == pytest.approx(1.0)
        samples, _ = capture.read()
        np.testing.assert_allclose(samples[:, 0], ramp[-len(samples) :], atol=1e-3)
        assert len(samples) == pytest.approx(1600, abs=2)
    finally:
        capture.close()


def test_an_opening_that_takes_long_holds_nothing_up(make_session: Any, sound_system: Any, speech: Path) -> None:
    """A Bluetooth headset goes over to another profile first."""
    sound_system.plug("Headset")
    sound_system.may_open.clear()
    session = make_session()
    session.start()
    eventually(lambda: session.devices._opening is not None)
    session.set_source(Source(file=speech))
    eventually(lambda: session.devices.state.file == speech)
    session.stop_clip()
    eventually(lambda: session.devices._opening is not None)
    sound_system.may_open.set()
    eventually(lambda: session.devices.state.kind == "device")
    opened = sound_system.opened
    threading.Event().wait(1.2)
    assert session.devices.state.kind == "device"
    assert sound_system.opened == opened, "it is not taken for stalled, and opened again"


def test_devices_whose_names_cannot_be_read_are_left_out(make_session: Any, sound_system: Any) -> None:
    sound_system.plug("Bad")
    sound_system.plug("Mic A")
    sound_system.unreadable.add("Bad")
    session = make_session()
    session.start()
    eventually(lambda: session.devices.state.label == "Mic A")
    assert [d.name for d in session.inputs] == ["Mic A"]


def test_a_sound_system_that_fails_has_no_devices(
    make_session: Any, sound_system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise sound_system.PortAudioError("PortAudio not initialized")

    monkeypatch.setattr(sound_system, "query_hostapis", fails)
    session = make_session()
    session.start()
    eventually(lambda: session.devices.state.kind == "missing")
    assert session.devices.alive
    monkeypatch.undo()


def test_without_loudspeaker_the_monitor_says_so(make_session: Any, sound_system: Any) -> None:
    notices: list[Notice] = []
    session = make_session(on_notice=notices.append)
    session.start()
    session.set_monitor(True)
    eventually(lambda: notices)
    assert notices[0].kind == "monitor"
    assert "loudspeaker" in notices[0].detail
    assert not session.monitoring


def test_without_portaudio_there_is_simply_no_microphone(make_session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    session = make_session()
    session.start()
    eventually(lambda: session.devices.state.kind == "missing")
    assert "PortAudio library" in session.devices.state.problem
    eventually(lambda: session.voice.stream_s > 0.3)
    assert session.inputs == []
