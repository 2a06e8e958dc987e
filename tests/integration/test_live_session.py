"""The live application on a real audio device: a PulseAudio pipe source as microphone, a real window under Xvfb, the
real speech model, renderer and recorder. What is spoken into the device moves the mouth on screen and in the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

import avatar.render
from avatar.render.kernel_cache import is_compiled, kernel_folder
from avatar.render.warming import compile_all

RATE = 16_000
BLOCK = 160


def _missing() -> str:
    programs = [p for p in ("pulseaudio", "pactl", "Xvfb") if shutil.which(p) is None]
    if find_library("portaudio") is None:
        programs.append("libportaudio2")
    if sys.platform != "linux":
        return "needs Linux"
    return f"not installed: {', '.join(programs)}" if programs else ""


pytestmark = [pytest.mark.audio_device, pytest.mark.skipif(bool(_missing()), reason=_missing() or "all there")]


class Microphone:
    """A thread that writes 10 ms blocks into the pipe, in time: what `say` was given, else faint noise. While nobody
    listens nothing is kept, as in a room."""

    def __init__(self, fifo: Path) -> None:
        self._fifo = fifo
        self._queue = np.zeros(0, np.float32)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.spoken_at: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, samples: np.ndarray) -> None:
        with self._lock:
            self._queue = np.concatenate([self._queue, samples.astype(np.float32)])

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        import fcntl  # not on Windows

        rng = np.random.default_rng(0)
        with self._fifo.open("wb", buffering=0) as pipe:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)  # an eighth of a second
            start, n = time.monotonic(), 0
            while not self._stop.wait(max(0.0, start + n * BLOCK / RATE - time.monotonic())):
                with self._lock:
                    block, self._queue = self._queue[:BLOCK], self._queue[BLOCK:]
                block = np.pad(block, (0, BLOCK - len(block))) + rng.normal(0, 1e-4, BLOCK)
                try:
                    pipe.write((np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
                except BrokenPipeError:
                    return
                n += 1
                late_s = time.monotonic() - start - n * BLOCK / RATE
                if late_s > 0.5:  # nobody has read
                    n += int(late_s * RATE / BLOCK)


SoundServer = tuple[dict[str, str], Microphone, "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def sound_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, str], Microphone, subprocess.Popen[bytes]]]:
    """A PulseAudio server of its own, whose only microphone is a pipe."""
    folder = Path("/tmp") / f"ga-pulse-{os.getpid()}"  # sockets need a short path
    folder.mkdir(mode=0o700)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder / "pulse")}
    environment["HOME"] = str(tmp_path_factory.mktemp("home"))
    compiled = kernel_folder(Path(avatar.render.__file__).parent / "cpu")
    if compiled is not None:  # of the user's own home: once is enough
        environment["NUMBA_CACHE_DIR"] = str(compiled.parent)
        if not is_compiled():  # a first start draws previews meanwhile, one in two seconds
            compile_all(str(folder / "share"))
    environment.pop("PULSE_SERVER", None)
    fifo = folder / "mic.fifo"
    server = subprocess.Popen(
        [
            "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr", "--log-level=error",
            "-L", "module-native-protocol-unix",
            "-L", f"module-pipe-source source_name=testmic file={fifo} format=s16le rate={RATE} channels=1",
            "-L", "module-null-sink sink_name=speaker",
        ],
        env=environment, stderr=subprocess.PIPE,
    )  # fmt: skip
    microphone = None
    try:
        end = time.monotonic() + 15
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip("PulseAudio does not start here")
            time.sleep(0.1)
        subprocess.run(["pactl", "set-default-source", "testmic"], env=environment, check=True)
        (Path(environment["HOME"]) / ".asoundrc").write_text("pcm.!default pulse\nctl.!default pulse\n")
        microphone = Microphone(fifo)
        yield environment, microphone, server
    finally:
        server.terminate()
        server.wait(10)
        if microphone is not None:
            microphone.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """An X server of its own."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


# Runs in a process of its own: Qt under X, PortAudio on the test's server. It talks JSON lines on its output.
APPLICATION = r"""
import json, sys, time
from pathlib import Path
import numpy as np
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication
from app.gui.look.theme import apply_theme
from app.gui.main.window import MainWindow
from app.settings import Settings, Store

folder = Path(sys.argv[1])
app = QApplication(["test"])
settings = Settings(theme="dark", picture="256x256", camera="mouth", max_gaussians=30_000, folder=str(folder),
                    blinks=False, gaze=False, head=False, collapsed=(), device=sys.argv[2] or None)
apply_theme(app, "dark")
window = MainWindow(Store(settings, folder / "settings.json"))
window.thumbnails.stop()
window.resize(1100, 760)
window.show()
shown = []

def tell(**what):
    print(json.dumps(what), flush=True)

def painted(drawn, at_s):
    # what is really on the screen, in the middle of the viewport: the mouth
    if drawn.request.number % 2 == 0:
        view = window.viewport
        pixels = app.primaryScreen().grabWindow(view.winId(), view.width() // 2 - 90, view.height() // 2 - 70, 180, 140)
        grey = pixels.toImage().convertToFormat(pixels.toImage().Format.Format_Grayscale8)
        bits = grey.constBits(); bits.setsize(grey.sizeInBytes())
        rows = np.frombuffer(bits.asstring(), np.uint8).reshape(grey.height(), grey.bytesPerLine())[:, :grey.width()]
        shown.append((time.time(), rows[::4, ::4].astype(np.int16)))

window.viewport.painted.connect(painted)
phase = {"ready": False}

def look():
    session = window.bridge.session
    if session.failures:
        tell(failed=[f.message for f in session.failures]); app.quit()
    elif not phase["ready"] and session.ready and session.devices.state.kind == "device":
        phase["ready"] = True
        window.recordings.toggle_recording()
        session.latency.clear()
        phase["overflows"] = session.status().overflows
        tell(ready=True, microphone=session.devices.state.label)
        QTimer.singleShot(9000, finish)

def finish():
    session = window.bridge.session
    report, status = session.latency.report(), session.status()
    window.recordings.toggle_recording()
    while session.recordings.status is not None:
        app.processEvents(); time.sleep(0.02)
    times = np.array([t for t, _ in shown]); frames = np.stack([f for _, f in shown])
    np.savez(folder / "screen.npz", times=times, frames=frames)
    tell(done=True, median_ms=report.median_ms, p95_ms=report.p95_ms, images_per_s=report.images_per_s,
         stages=report.stages, overflows=status.overflows - phase["overflows"],
         workshop=[name for name in sys.modules if name.startswith(("animation.lab", "avatar.creation", "matplotlib",
                                                                    "lightning", "transformers"))])
    window.close(); app.quit()

timer = QTimer(); timer.timeout.connect(look); timer.start(100)
QTimer.singleShot(0, window.start)
app.exec()
"""


SILENCE_S, SPEECH_S = 1.0, 5.0


def _speech() -> np.ndarray:
    """A second of silence, then five seconds of the sample clip."""
    samples, rate = soundfile.read(Path(__file__).parents[2] / "app" / "assets" / "sample.flac", dtype="float32")
    mono = samples if samples.ndim == 1 else samples.mean(1)
    voice = soxr.resample(mono, rate, RATE)
    voice = voice[np.flatnonzero(np.abs(voice) > 0.02)[0] :][: int(SPEECH_S * RATE)]
    return np.concatenate([np.zeros(int(SILENCE_S * RATE), np.float32), voice])


def _openness(frames: np.ndarray) -> np.ndarray:
    """How far pictures of the mouth are from those of the mouth at rest (their median)."""
    rest = np.median(frames[: max(10, len(frames) // 20)], 0)
    return np.abs(frames - rest).mean((1, 2))


def test_speech_into_the_microphone_moves_the_mouth_on_screen_and_in_the_recording(
    sound_server: SoundServer, display: str, tmp_path: Path
) -> None:
    environment, microphone, _ = sound_server
    environment = {
        **environment,
        "DISPLAY": display,
        "QT_QPA_PLATFORM": "xcb",
        "GAUSSIAN_AVATAR_HOME": str(tmp_path / "app"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]),
    }
    program = subprocess.Popen(
        [sys.executable, "-c", APPLICATION, str(tmp_path), ""],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    said_at, result = 0.0, {}
    watchdog = threading.Timer(300, program.kill)
    watchdog.start()
    try:
        for line in program.stdout:
            if not line.startswith("{"):
                continue
            news = json.loads(line)
            if news.get("ready"):
                said_at = time.time()
                microphone.say(_speech())
            if news.get("failed"):
                pytest.fail(f"the engine failed: {news['failed']}")
            if news.get("done"):
                result = news
        _, errors = program.communicate(timeout=60)
    finally:
        watchdog.cancel()
        program.kill()
        program.wait()
    assert result, errors[-3000:]
    (tmp_path / "figures.json").write_text(json.dumps(result))
    assert result["overflows"] >= 0, "the count of overflows has gone back"
    assert result["images_per_s"] > 1
    assert result["workshop"] == [], "who talks pays for nothing that trains"

    screen = np.load(tmp_path / "screen.npz")
    times, moved = screen["times"] - said_at, _openness(screen["frames"])
    resting = moved[times < SILENCE_S]
    speaking = moved[(times > SILENCE_S + 0.3) & (times < SILENCE_S + SPEECH_S)]
    assert speaking.mean() > 3 * max(resting.mean(), 0.1), "the mouth on screen does not follow"

    recording = next(tmp_path.glob("*.mp4"))
    with av.open(str(recording)) as container:
        pictures = [(float(f.time), f.to_ndarray(format="gray")[::4, ::4]) for f in container.decode(video=0)]
    with av.open(str(recording)) as container:
        blocks = list(container.decode(audio=0))
    sound = np.concatenate([b.to_ndarray()[0] for b in blocks])
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    first, last = loud[0] / blocks[0].sample_rate, loud[-1] / blocks[0].sample_rate
    assert last - first == pytest.approx(SPEECH_S, abs=0.7)
    shown = np.array([t for t, _ in pictures])
    moved = _openness(np.stack([p.astype(np.int16) for _, p in pictures]))
    resting, speaking = moved[shown < first - 0.1], moved[(shown > first + 0.2) & (shown < last)]
    assert speaking.mean() > 3 * max(resting.mean(), 0.1), "the mouth in the recording does not follow"


CAPTURE = r"""
import sys, threading
import numpy as np
from app.live.clock import StreamClock
from app.live.devices import Devices
from app.live.source import Source
from app.live.exchange import Latest
from app.settings import VoiceSettings
from app.live.voice import VoiceInput
voice = VoiceInput(StreamClock(), Latest(VoiceSettings()))
devices = Devices(voice, Source())
voice.start(); devices.start()
pause = threading.Event()

def until(check, seconds=20.0):
    for _ in range(int(seconds / 0.1)):
        if check():
            return True
        pause.wait(0.1)
    return False

until(lambda: devices.state.kind == "device" and voice.meter.peak_db > -40)
print("heard", devices.state.kind, round(voice.meter.peak_db), flush=True)
def state():
    return np.array([voice.stream_s - voice.clock.now(), voice.gaps, devices.overflows - voice.gaps])

for attempt in range(6):  # what the pipe had kept while nobody listened comes first, however long that takes
    pause.wait(2.0)
    before = state()
    pause.wait(3.0)
    drift, gaps, overflows = state() - before
    if abs(drift) < 0.1 and gaps <= overflows:
        break
print("drift", round(drift, 2), int(gaps), int(overflows), flush=True)
sys.stdin.readline()
print("noticed", until(lambda: devices.state.kind in ("lost", "missing")), devices.state.kind, flush=True)
before = voice.stream_s
print("goes-on", until(lambda: voice.stream_s > before + 1.0), flush=True)
print("stopped", devices.stop(15), voice.stop(), flush=True)
"""


def test_capture_is_continuous_and_a_sound_server_that_dies_is_survived(
    sound_server: SoundServer,
) -> None:
    environment, microphone, server = sound_server
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE * 40) / RATE)).astype(np.float32)
    microphone.say(tone)
    program = subprocess.Popen(
        [sys.executable, "-c", CAPTURE],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(300, program.kill)
    watchdog.start()
    assert program.stdout is not None
    assert program.stdin is not None
    said: dict[str, str] = {}
    try:
        for line in program.stdout:
            key, _, value = line.strip().partition(" ")
            said[key] = value
            if key == "drift":
                server.kill()
                server.wait(10)
                program.stdin.write("dead\n")
                program.stdin.flush()
        _, errors = program.communicate(timeout=30)
    finally:
        watchdog.cancel()
        program.kill()
        program.wait()
    assert said.get("heard", "").startswith("device"), errors[-2000:]
    drift, gaps, overflows = said["drift"].split()
    assert abs(float(drift)) < 0.1
    # On a busy machine the sound server itself may lose a block, and says so; nothing else may be missing.
    assert int(gaps) <= int(overflows)
    assert said["noticed"].startswith("True")
    assert said["goes-on"] == "True"
    assert said["stopped"] == "True True"
