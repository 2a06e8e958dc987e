"""OpenGL straight into the window: a real one under Xvfb, drawn by Mesa in software, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.render.opengl import unavailable_reason


def _missing() -> str:
    if sys.platform != "linux":
        return "needs Linux"
    if shutil.which("Xvfb") is None:
        return "not installed: Xvfb"
    return unavailable_reason() or ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "all there")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x800x24", "-nolisten", "tcp"],
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


def run(script: str, display: str, folder: Path) -> dict[str, Any]:
    """What the script tells, one JSON object on its last line."""
    environment = {
        **os.environ,
        "DISPLAY": display,
        "QT_QPA_PLATFORM": "xcb",
        "GAUSSIAN_AVATAR_HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], env=environment, capture_output=True, text=True, timeout=300
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


WINDOW = r"""
import json, sys
from pathlib import Path
import numpy as np
from PyQt6.QtCore import QEventLoop, QTimer
from app.gui.main.clips import sample_clip
from app.gui.main.measured import measured_window
from app.live.source import Source
from app.settings import Settings

folder = Path(sys.argv[1])
settings = Settings(theme="dark", picture="320x240", camera="mouth", max_gaussians=8_000, folder=str(folder),
                    blinks=False, gaze=False, head=False, source="none", backend="opengl", record_quality="draft")
frames, painted, watching, said = [], [], [], {}

def screen(window):
    view = window.viewport
    corner = view.mapToGlobal(view.rect().topLeft())
    image = view.screen().grabWindow(0, corner.x(), corner.y(), view.width(), view.height()).toImage()
    image = image.convertToFormat(image.Format.Format_RGB32)
    bits = image.constBits(); bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits.asstring(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, :image.width(), :3].astype(np.int16)

def mouth(window):
    pixels = screen(window)[::3, ::3]
    return pixels[len(pixels) // 4 : -len(pixels) // 4, pixels.shape[1] // 4 : -pixels.shape[1] // 4]

with measured_window(settings, folder / "settings.json") as (window, wait):
    window.resize(900, 620)
    session = window.bridge.session
    wait(lambda: window.viewport.direct or bool(session.failures), 120)
    said["direct"] = window.viewport.direct
    window.viewport.painted.connect(lambda d, t: painted.append(d.request.number))
    wait(lambda: len(painted) > 3, 20)
    still = screen(window)
    session.set_source(Source(file=sample_clip(), loop=True))
    window.viewport.painted.connect(lambda d, t: watching and frames.append(mouth(window)))
    watching.append(True)
    wait(lambda: len(frames) >= 30 and max(np.abs(f - frames[0]).mean() for f in frames) > 2, 30)
    watching.clear()
    said["latency_ms"] = session.status().latency.median_ms
    before = session.rendering.images.get().request.number
    wait(lambda: False, 1.0)
    said["images_when_nobody_needs_them"] = session.rendering.images.get().request.number - before
    wait(lambda: session.ready, 20)
    window.recordings.save_still()
    window.recordings.toggle_recording()
    wait(lambda: session.recordings.status.images > 3, 10)
    said["recorded"] = session.recordings.status.images
    window.recordings.toggle_recording()
    wait(lambda: session.recordings.status is None, 10)
    said["stills"] = len(list(folder.glob("*.png")))
    window.store.change(background="transparent")
    count = len(painted)
    wait(lambda: len(painted) > count + 4, 10)
    clear = screen(window)
    window.toggle_overlay()
    said["beside_a_stage"] = wait(lambda: not window.viewport.direct and window.viewport.picture is not None, 20)
    window.toggle_overlay()
    said["again"] = wait(lambda: window.viewport.direct, 20)
    images = session.rendering.images.get().request.number
    def lost(*more): raise RuntimeError("the context was lost")
    window.viewport._gl._painter.paint = lost
    said["survives"] = wait(lambda: session.rendering.images.get().request.number > images + 3, 20)
    said["survives"] &= not window.viewport.direct
    said["says"] = window.banner.text
    said["failures"] = [f.message for f in session.failures]
np.savez(folder / "screen.npz", still=still, clear=clear, frames=np.stack(frames))
print(json.dumps(said), flush=True)
"""


def test_the_window_shows_the_head_and_its_mouth_moves(display: str, tmp_path: Path) -> None:
    said = run(WINDOW, display, tmp_path)
    assert said["direct"]
    assert said["failures"] == []
    assert said["recorded"] > 0, "a recording needs images although the window does not"
    assert said["images_when_nobody_needs_them"] == 0
    assert said["stills"] == 1
    assert said["latency_ms"] > 0
    assert said["beside_a_stage"]
    assert said["again"]
    assert said["survives"]
    assert "the context was lost" in said["says"]
    screen = np.load(tmp_path / "screen.npz")
    still, frames = screen["still"], screen["frames"]
    height, width = still.shape[:2]
    face = still[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    assert np.median(face[..., 2] - face[..., 0]) > 20, "skin is redder than blue"
    assert np.abs(still[4, width // 2] - [0x2C, 0x26, 0x23]).max() < 12, "above the picture is the stage, not the head"
    assert np.abs(frames - frames[0]).mean((1, 2, 3)).max() > 2, "the mouth moves"
    squares = screen["clear"][2:6, :48]
    assert len(np.unique(squares.reshape(-1, 3), axis=0)) == 2, "squares stand for transparency"


SWITCHING = r"""
import gc, json, sys, time
from pathlib import Path
import numpy as np
from PyQt6.QtCore import QEventLoop, QTimer
from PyQt6.QtWidgets import QApplication, QMainWindow
from app.gui.view.viewport import Viewport
from app.live.scene import Scene, ImageRequest
from avatar.render.probe import probe_avatar

app = QApplication(["test"])
window = QMainWindow(); viewport = Viewport(); window.setCentralWidget(viewport); window.resize(340, 340); window.show()
failed = []
viewport.direct_failed.connect(failed.append)

def resident_mb():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def until(check):
    loop, poll, over = QEventLoop(), QTimer(), QTimer()
    poll.timeout.connect(lambda: check() and loop.quit()); poll.start(5)
    over.setSingleShot(True); over.timeout.connect(loop.quit); over.start(10_000)
    loop.exec(); poll.stop()
    return check()

painted = []
viewport.painted.connect(lambda drawn, at_s: painted.append(drawn.request.number))
memory, number, fine = [], 0, True
for k in range(100):
    viewport.paint_directly(True)
    number += 1
    avatar = probe_avatar(1000 + k % 3)
    scene = Scene(width=320, height=320)
    viewport.show_request(ImageRequest(number, avatar, avatar.head.neutral(), scene, 1000, 0.0, None))
    fine = until(lambda: number in painted) and fine
    viewport.paint_directly(False)
    app.processEvents()
    if k in (19, 99):
        memory.append(resident_mb())
print(json.dumps({"fine": fine, "failed": failed, "after_20": memory[0], "after_100": memory[1],
                  "canvases": len(viewport.children())}), flush=True)
"""


def test_a_hundred_switches_leave_nothing_behind(display: str, tmp_path: Path) -> None:
    said = run(SWITCHING, display, tmp_path)
    assert said["failed"] == []
    assert said["fine"]
    assert said["canvases"] == 1, "only the canvas for images is left"
    assert said["after_100"] - said["after_20"] < 25, said
