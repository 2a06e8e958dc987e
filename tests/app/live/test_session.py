"""The engine as a whole, on stand-ins: it starts, speaks, records, survives and stops."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from threadpoolctl import threadpool_info

from animation.driver import DriverSettings
from app.audio_file import AudioFile
from app.live.devices import Source
from app.live.headless import HeadlessOptions, run_headless
from app.live.notice import Notice
from app.live.player import FileCapture
from app.live.scene import Drawn, ImageRequest, LiveImage, Scene
from app.live.session import LiveSession
from app.settings import OutputSettings, VoiceSettings
from avatar.errors import UserError
from avatar.render.fallback import FallbackRenderer


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> None:
    waiter = threading.Event()
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        waiter.wait(0.02)


@pytest.fixture
def make_session(
    stand_in_avatar: Any, loudness_driver: Any, plain_renderer: Any, sound_system: Any
) -> Iterator[Callable[..., LiveSession]]:
    made: list[LiveSession] = []

    def make(source: Source | None = None, **options: Any) -> LiveSession:
        options.setdefault("make_driver", loudness_driver)
        options.setdefault("open_renderer", lambda name, notice: plain_renderer(name))
        options.setdefault("scene", Scene(width=64, height=64))
        session = LiveSession(source, **options)
        session.show(stand_in_avatar)
        made.append(session)
        return session

    yield make
    for session in made:
        session.stop()


@pytest.fixture
def loudspeaker(sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The output streams that have been opened; nothing is played."""
    opened: list[Any] = []

    def open_output(self: Any, **options: Any) -> Any:
        opened.append(options)
        nothing = lambda *more, **named: None  # noqa: E731
        return SimpleNamespace(start=nothing, abort=nothing, close=nothing)

    monkeypatch.setattr(type(sound_system), "OutputStream", open_output)
    return opened


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Half a second of tone, half a second of silence, three times; at an unusual rate, in stereo."""
    t = np.arange(3 * 22_050) / 22_050
    wave = 0.4 * np.sin(2 * np.pi * 200 * t) * (t % 1.0 < 0.5)
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.stack([wave, wave], 1), 22_050)
    return path


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


def test_a_recording_that_ends_with_the_session_has_one_result_whoever_asks_meanwhile(
    make_session: Any, speech: Path, tmp_path: Path
) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.rendering.count > 2)
    session.record(tmp_path / "take.mp4", quality="draft")
    eventually(lambda: session.recording.images > 3)
    results, over = [], threading.Event()

    def ask() -> None:
        while not over.wait(0.001):
            results.append(session.recorded())

    asking = threading.Thread(target=ask)
    asking.start()
    begun_s = time.monotonic()
    assert session.stop()
    over.set()
    asking.join()
    results.append(session.recorded())
    (done,) = (result for result in results if result is not None)
    assert done.error is None and not done.running
    assert time.monotonic() - begun_s < 10, "it waited for a result that another thread had"


def test_a_recording_is_in_step_with_what_was_said(make_session: Any, speech: Path, tmp_path: Path) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.rendering.count > 2)
    path = tmp_path / "take.mp4"
    session.record(path, quality="draft")
    with pytest.raises(UserError, match="runs already"):
        session.record(tmp_path / "other.mp4")
    eventually(lambda: session.recording.duration_s > 2.2)
    done = session.stop_recording()
    assert done.error is None
    assert done.images > 20
    assert done.images_dropped == 0
    with pytest.raises(UserError, match="nothing"):
        session.stop_recording()
    with av.open(str(path)) as container:
        video = [(float(f.time), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    sound = np.concatenate([f.to_ndarray()[0] for f in frames])
    rate = frames[0].sample_rate
    loud = np.abs(sound[: len(sound) // 480 * 480].reshape(-1, 480)).max(1) > 0.05
    sound_edges = (np.flatnonzero(np.diff(loud.astype(int))) + 1) * 480 / rate
    times, levels = np.array(video).T
    open_mouth = levels > (levels.min() + levels.max()) / 2
    mouth_edges = times[1:][np.diff(open_mouth.astype(int)) != 0]
    assert len(mouth_edges) >= 3
    offsets = [np.abs(sound_edges - edge).min() for edge in mouth_edges[:-1]]
    assert np.median(offsets) < 0.06  # a stand-in mouth in hops of 20 ms, pictures of 16 ms; a busy machine skips some


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


def test_a_recording_ends_when_the_picture_has_come_as_far_as_the_sound(
    make_session: Any, speech: Path, tmp_path: Path
) -> None:
    session = make_session(Source(file=speech))
    session.start()
    eventually(lambda: session.ready)
    session.record(tmp_path / "take.mp4", quality="draft")
    eventually(lambda: session.recording.duration_s > 1.0)
    session.finish_recording()
    session.finish_recording()
    assert session.finishing, "nobody has waited"
    eventually(lambda: (done := session.recorded()) is not None and done.error is None)
    assert session.recorded() is None
    assert session.recording is None
    with av.open(str(tmp_path / "take.mp4")) as container:
        seen = [float(f.time) for f in container.decode(video=0)][-1]
    with av.open(str(tmp_path / "take.mp4")) as container:
        frame = list(container.decode(audio=0))[-1]
    heard = float(frame.time) + frame.samples / frame.sample_rate
    assert seen == pytest.approx(heard, abs=0.08)


def test_a_recording_ends_without_images_too(
    make_session: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = make_session()
    monkeypatch.setattr("app.live.recording.LiveRecording._PATIENCE_S", 0.2)
    session.start()
    eventually(lambda: session.ready)
    session.record(tmp_path / "take.mkv", quality="draft")
    eventually(lambda: session.recording.duration_s > 0.2)
    session.rendering.stop()
    session.finish_recording()
    eventually(lambda: session.recorded() is not None)


def test_devices_come_and_go_without_a_crash(make_session: Any, sound_system: Any, tmp_path: Path) -> None:
    changes: list[str] = []
    session = make_session(on_source=lambda: changes.append(session.devices.state.kind))
    session.start()
    eventually(lambda: session.devices.state.kind == "missing")
    session.record(tmp_path / "through.mp4", quality="draft")
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
    done = session.stop_recording()
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


def test_a_dead_worker_keeps_its_traceback_and_the_rest_goes_on(make_session: Any, loudness_driver: Any) -> None:
    failures: list[Any] = []

    class Broken(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            raise ZeroDivisionError("the model is broken")

    session = make_session(make_driver=Broken, on_failure=failures.append)
    session.start()
    eventually(lambda: failures)
    assert failures[0].worker == "inference"
    assert "the model is broken" in failures[0].details
    assert "feed" in failures[0].details
    count = session.rendering.count
    eventually(lambda: session.rendering.count > count + 5)
    assert session.stop()


def test_a_renderer_that_fails_gives_way_to_the_next(make_session: Any, plain_renderer: Any) -> None:
    opened: list[Any] = []
    notices: list[Notice] = []

    def open_one(name: str) -> Any:
        opened.append(plain_renderer(name))
        return opened[-1]

    def open_renderer(name: str, notice: Any) -> Any:
        return FallbackRenderer(open_one("opengl"), [("cpu", lambda: open_one("cpu"))], notice)

    session = make_session(open_renderer=open_renderer, on_notice=notices.append)
    session.start()
    eventually(lambda: session.rendering.count > 5)
    opened[0].fails = RuntimeError("device lost")
    eventually(lambda: session.rendering.backend == "cpu")
    count = session.rendering.count
    eventually(lambda: session.rendering.count > count + 5)
    assert opened[0].closed
    assert notices[0].kind == "renderer"
    assert "device lost" in notices[0].detail


def test_a_renderer_that_cannot_be_opened_is_said_and_another_taken(make_session: Any, plain_renderer: Any) -> None:
    notices: list[Notice] = []

    def open_renderer(name: str, notice: Any) -> Any:
        if name == "gsplat":
            raise UserError("no CUDA here")
        return plain_renderer("cpu")

    scene = Scene(width=64, height=64, backend="gsplat")
    session = make_session(scene=scene, open_renderer=open_renderer, on_notice=notices.append)
    session.start()
    eventually(lambda: session.rendering.count > 5)
    assert session.rendering.backend == "cpu"
    assert [(n.kind, n.subject, n.detail) for n in notices] == [("renderer-unavailable", "gsplat", "no CUDA here")]


def test_an_owner_that_paints_directly_gets_shots_and_images_are_made_only_on_demand(
    make_session: Any, sound_system: Any, plain_renderer: Any, tmp_path: Path
) -> None:
    sound_system.plug("Mic A")
    renderer = plain_renderer("opengl")
    requests: list[ImageRequest] = []

    def on_request(request: ImageRequest) -> None:
        requests.append(request)
        session.painted(Drawn(request, 3.0, time.perf_counter()))

    session = make_session(open_renderer=lambda name, notice: renderer, on_request=on_request)
    session.start()
    eventually(lambda: renderer.drawn > 3)
    assert not requests
    session.paint_directly(True)
    eventually(lambda: len(requests) > 20 and requests[-1].timing is not None)
    drawn = renderer.drawn
    count = len(requests)
    eventually(lambda: len(requests) > count + 10)
    assert renderer.drawn <= drawn + 1
    assert requests[-1].camera(200, 100).width == 200
    stills: list[LiveImage] = []
    looking = threading.Event()
    session.ask_image(lambda image: stills.append(image) if looking.wait(10) else None)
    assert not stills, "nobody has waited"
    looking.set()
    eventually(lambda: stills)
    assert renderer.drawn <= drawn + 2
    assert stills[0].request.number >= requests[count].number
    assert 20 < session.status().latency.median_ms < 400
    session.record(tmp_path / "direct.mp4", quality="draft")
    eventually(lambda: session.recording.images > 5)
    assert session.stop_recording().error is None
    session.paint_directly(False)
    drawn = renderer.drawn
    eventually(lambda: renderer.drawn > drawn + 5)


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
    session.set_driver(DriverSettings(lookahead_ms=30))
    eventually(lambda: len(drivers) == 2)  # another look-ahead is another model
    assert drivers[1].settings.lookahead_ms == 30


def test_the_workers_calculate_alone(make_session: Any, loudness_driver: Any) -> None:
    """The pools of torch and BLAS take no cores from the threads of a session."""
    pools: list[tuple[int, set[int]]] = []

    class Watching(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
            pools.append((torch.get_num_threads(), blas))
            return super().feed(samples)

    torch.set_num_threads(2)
    try:
        session = make_session(make_driver=Watching)
        session.start()
        eventually(lambda: len(pools) > 2)
        session.stop()
        assert pools[-1] == (1, {1})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_an_overrun_skips_to_the_newest_sound(make_session: Any, sound_system: Any, loudness_driver: Any) -> None:
    sound_system.plug("Mic A")
    hold = threading.Event()

    class Slow(loudness_driver):
        def feed(self, samples: np.ndarray) -> list[Any]:
            hold.wait(2)
            return super().feed(samples)

    hold.set()
    drivers: list[Any] = []
    session = make_session(make_driver=lambda a, s: drivers.append(Slow(a, s)) or drivers[-1])
    session.start()
    eventually(lambda: session.inference.counting and session.inference.timing is not None)
    hold.clear()
    threading.Event().wait(1.2)
    hold.set()
    eventually(lambda: session.inference.skips >= 1)
    eventually(lambda: session.status().delay_s < 0.3)
    newest = session.inference.timing.pose_time_s
    eventually(lambda: session.inference.timing.pose_time_s > newest + 0.3)
    assert drivers[0].resets >= 1
    eventually(lambda: session.clock.now() - session.inference.timing.pose_time_s < 0.5)


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


def test_while_recording_the_size_stays(make_session: Any, tmp_path: Path) -> None:
    session = make_session()
    session.start()
    eventually(lambda: session.rendering.count > 2)
    session.record(tmp_path / "a.mp4")
    session.set_scene(Scene(width=128, height=96))
    assert (session.scene.width, session.scene.height) == (64, 64)
    session.stop_recording()
    session.set_scene(Scene(width=128, height=96))
    eventually(lambda: session.images.get().bgra.shape[:2] == (96, 128))


def test_transparent_needs_a_format_that_keeps_it(make_session: Any, tmp_path: Path) -> None:
    session = make_session(scene=Scene(width=64, height=64, background=None))
    with pytest.raises(UserError, match="transparent"):
        session.record(tmp_path / "a.mp4")
    assert session.recording is None


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
