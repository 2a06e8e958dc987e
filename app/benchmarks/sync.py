"""Whether sound and lips agree in a recording, at its start and at its end."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from jaxtyping import Float, Float32, UInt8

from animation.driver import DriverSettings
from animation.face import DrivenFace
from animation.speech.audio import HOP_S, HOP_SAMPLES
from app.live.scene import Scene
from app.live.session import LiveSession
from app.live.source import Source
from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.errors import UserError
from avatar.flame.arkit import weights_from_dict
from avatar.flame.params import FlameParams
from avatar.library import default_name as default_avatar
from avatar.library import open_avatar
from avatar.render.protocol import DrawsInMemory
from avatar.rig import Avatar

__all__ = ["bench_sync", "burst_centres"]

_RATE = 44_100
_PERIOD_S, _BURST_S = 1.0, 0.3
_LOOKAHEAD_HOPS = 3
_LEAST_MIN = 0.1


def bench_sync(minutes: float = 10.0) -> dict[str, Any]:
    """Record a track of sound bursts through the live engine, with a mouth that opens as loud as they are, and compare
    in the file when each burst is heard and when its mouth is seen.

    The mouth is a plain brightness, so that what is measured is the engine's clock and the file, not the model.

    Returns:
        `minutes`, `bursts`, `start_ms` and `end_ms` (mean offset of the first and last ten; positive: the picture is
        late), `worst_ms`, `images_dropped`.

    Raises:
        UserError: if it is too short to say anything, or could not be written.
    """
    if minutes < _LEAST_MIN:
        raise UserError(f"bench sync: at least {_LEAST_MIN} minutes are needed, got {minutes:g}")
    with tempfile.TemporaryDirectory() as folder:
        track, video = Path(folder) / "bursts.wav", Path(folder) / "bursts.mp4"
        _write_track(track, seconds=20.0)
        session = LiveSession(
            Source(file=track, loop=True),
            Scene(width=64, height=64),
            make_driver=_LoudnessDriver,
            open_renderer=lambda name, notice: _Lamp(),
        )
        session.show(open_avatar(default_avatar()))
        with session:
            pause = threading.Event()
            while not session.ready and not session.failures:
                pause.wait(0.1)
            pause.wait(1.0)
            session.recordings.start(video, quality="draft")
            pause.wait(minutes * 60)
            done = session.recordings.stop()
        if done.error:
            raise UserError(done.error)
        seen, heard = _seen(video), _heard(video)
    offsets = [1000 * (t - heard[np.abs(heard - t).argmin()]) for t in seen[1:-1]]
    return {
        "minutes": minutes,
        "bursts": len(offsets),
        "start_ms": round(float(np.mean(offsets[:10])), 2),
        "end_ms": round(float(np.mean(offsets[-10:])), 2),
        "worst_ms": round(float(np.abs(offsets).max()), 2),
        "images_dropped": done.images_dropped,
    }


def burst_centres(times_s: Float[np.ndarray, " n"], levels: Float[np.ndarray, " n"]) -> Float[np.ndarray, " bursts"]:
    """The centre of gravity of each burst of a sampled level; those cut off at either end are left out."""
    active = levels > 0.02 * levels.max()
    edges = np.flatnonzero(np.diff(active.astype(int)))
    if active[0]:
        edges = edges[1:]
    widths = np.gradient(times_s)
    centres = []
    for start, end in zip(edges[::2] + 1, edges[1::2] + 1, strict=False):
        weight = levels[start:end] * widths[start:end]
        if times_s[end - 1] - times_s[start] > _BURST_S / 3:
            centres.append(float((times_s[start:end] * weight).sum() / weight.sum()))
    return np.array(centres)


@dataclass
class _LoudnessDriver:
    """A jaw that opens with the mean level of each hop; needs 60 ms of sound after it, as a speech model would."""

    face: DrivenFace
    settings: DriverSettings
    lookahead_ms: float = 1000 * HOP_S * _LOOKAHEAD_HOPS

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._pending = np.zeros(0, np.float32)
        self._count = 0

    def feed(self, samples: Float32[np.ndarray, " n"]) -> list[FlameParams]:
        self._pending = np.concatenate([self._pending, samples])
        poses = []
        while len(self._pending) >= (1 + _LOOKAHEAD_HOPS) * HOP_SAMPLES:
            level = float(np.abs(self._pending[:HOP_SAMPLES]).mean())
            self._pending = self._pending[HOP_SAMPLES:]
            weights = weights_from_dict({"jawOpen": min(level, 1.0)})
            poses.append(self.face.arkit.params(weights, stream_time_s=(self._count + 0.5) * HOP_S))
            self._count += 1
        return poses


class _Lamp(DrawsInMemory):
    """A renderer whose picture is as bright as the jaw is open."""

    name = device = "lamp"

    def render(self, cloud: GaussianCloud, camera: Camera, background: Any = None) -> Float32[np.ndarray, "h w 4"]:
        return np.ones((camera.height, camera.width, 4), np.float32)

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Any = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        full = float(np.linalg.norm(avatar.arkit.params(weights_from_dict({"jawOpen": 1.0})).jaw_pose))
        level = float(np.linalg.norm(params.jaw_pose)) / full
        image = np.full((camera.height, camera.width, 4), 255, np.uint8)
        image[..., :3] = round(min(level / 0.35, 1.0) * 235)
        return image

    def close(self) -> None:
        return


def _write_track(path: Path, seconds: float) -> None:
    t = np.arange(int(seconds * _RATE)) / _RATE
    shape = np.clip(1 - np.abs(t % _PERIOD_S - _PERIOD_S / 2) / (_BURST_S / 2), 0, 1)
    soundfile.write(path, (0.5 * shape * np.sin(2 * np.pi * 400 * t)).astype(np.float32), _RATE)


def _seen(path: Path) -> Float[np.ndarray, " bursts"]:
    with av.open(str(path)) as container:
        rows = [(float(f.time or 0), f.to_ndarray(format="gray")[::8, ::8].mean()) for f in container.decode(video=0)]
    times, levels = np.array(rows).T
    return burst_centres(times, levels - levels.min())


def _heard(path: Path) -> Float[np.ndarray, " bursts"]:
    step = 96
    with av.open(str(path)) as container:
        blocks = [f.to_ndarray()[0] for f in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    sound = np.concatenate(blocks)
    levels = np.abs(sound[: len(sound) // step * step].reshape(-1, step)).mean(1)
    return burst_centres((np.arange(len(levels)) + 0.5) * step / rate, levels)
