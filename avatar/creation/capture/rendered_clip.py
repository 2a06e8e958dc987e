"""A clip of a rendered person whose shape and every pose are known: somebody before a webcam does what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float32
from PIL import Image

from avatar.camera import Camera
from avatar.flame.arkit import NAMES, indices, weights_from_dict
from avatar.flame.params import FlameParams
from avatar.render.protocol import Renderer
from avatar.rig import Avatar

__all__ = ["ClipMoment", "clip_camera", "clip_moments", "write_clip"]

_AIM = (0.0, 0.05, 0.0)
_AWAY_M = 0.56
_LENS_MM = (34.0, 42.0)
"""Equivalent focal lengths of telephones and webcams: nobody tells the program which."""
_DIAGONAL_MM = 43.27
_TURN_RAD = np.radians(40.0)
_DURATION_S = 16.0
_SIGNAL = 1.2
"""Levels of 255 that a sensor is off by."""
_MOUTHS: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.3}, {"jawOpen": 0.1, "mouthPucker": 0.7}, {"mouthFunnel": 0.5, "jawOpen": 0.2}, {"jawOpen": 0.45},
    {"mouthPressLeft": 0.5, "mouthPressRight": 0.5},
    {"mouthStretchLeft": 0.4, "mouthStretchRight": 0.4, "jawOpen": 0.15},
    {"mouthLowerDownLeft": 0.4, "mouthLowerDownRight": 0.4, "jawOpen": 0.15}, {},
)  # fmt: skip
_SMILE = {
    "mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3,
    "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4, "jawOpen": 0.08,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ClipMoment:
    """What is true at one moment of a clip."""

    at_s: float
    weights: Float32[np.ndarray, "52"]
    params: FlameParams


def clip_camera(size: int, seed: int) -> Camera:
    """A camera as people have them, at arm's length."""
    lens = np.random.default_rng(seed).uniform(*_LENS_MM)
    fov = 2 * np.degrees(np.arctan(_DIAGONAL_MM / np.sqrt(2) / 2 / lens))
    return Camera.orbit(size, size, 0.0, 0.0, _AWAY_M, _AIM, float(fov))


def clip_moments(person: Avatar, rate_hz: float, seed: int) -> Iterator[ClipMoment]:
    """Looks ahead, turns to both sides, blinks, says "ah", smiles, talks; never holds quite still."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.1, 0.45, (7, 2)), rng.uniform(0, 2 * np.pi, (7, 2)), rng.uniform(0.4, 1.0, (7, 2))
    said = [int(i) for i in rng.integers(len(_MOUTHS), size=40)]
    for k in range(int(_DURATION_S * rate_hz)):
        t = k / rate_hz
        sway = (waves[2] * np.sin(2 * np.pi * waves[0] * t + waves[1])).sum(1) / 2
        turn = _TURN_RAD * (np.sin(2 * np.pi * (t - 1.5) / 6) if 1.5 < t < 7.5 else 0.0)
        nod = 0.16 * np.sin(2 * np.pi * (t - 7.5) / 2) if 7.5 < t < 9.5 else 0.0
        neck = np.array([nod, turn, 0.0]) + [0.03, 0.05, 0.02] * sway[:3]
        weights = np.zeros(len(NAMES), np.float32)
        blinks = (2.3, 4.0, 5.6, 7.6, 9.6, 9.9, 12.4, 14.3)
        lids = max(np.clip(1.3 - abs(t - at) / 0.13, 0, 1) for at in blinks)
        if 10.0 < t < 11.5:
            weights += weights_from_dict({"jawOpen": 0.7}) * np.float32(np.sin(np.pi * (t - 10) / 1.5) ** 0.5)
        elif 11.5 < t < 13.0:
            weights += weights_from_dict(_SMILE) * np.float32(np.sin(np.pi * (t - 11.5) / 1.5) ** 0.5)
        elif t > 13.0:
            at = (t - 13.0) * 6
            first, share = int(at), np.float32(at % 1)
            a, b = (weights_from_dict(_MOUTHS[said[i]]) for i in (first, first + 1))
            weights += (1 - share) * a + share * b
            neck[1] += 0.35 * np.sin(2 * np.pi * (t - 13.0) / 3)
        weights[indices("eyeBlinkLeft", "eyeBlinkRight")] = lids
        look = 0.12 * sway[5]
        weights[indices("eyeLookOutLeft", "eyeLookInRight")] = max(look, 0)
        weights[indices("eyeLookInLeft", "eyeLookOutRight")] = max(-look, 0)
        params = person.arkit.params(weights, stream_time_s=t)
        yield ClipMoment(t, weights, params.replace(neck_pose=neck, transl=0.002 * np.array([*sway[3:5], sway[6]])))


def write_clip(
    person: Avatar, renderer: Renderer, path: Path, size: int = 640, rate_hz: float = 12.0, seed: int = 0
) -> None:
    """Draw the clip as a webcam would record it: with noise, an exposure that is never quite the same, compression.

    How many cores a machine has makes no difference to it.
    """
    camera, rng = clip_camera(size, seed), np.random.default_rng(seed + 1)
    y, x = np.mgrid[:size, :size] / size
    tone, slope = rng.uniform(0.35, 0.75, 3), rng.uniform(-0.15, 0.15, (2, 3))
    room = (tone + (x[..., None] - 0.5) * slope[0] + (y[..., None] - 0.5) * slope[1]).clip(0, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(rate_hz), options={"crf": "17", "g": "12", "threads": "1"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        gain = 1.0
        for moment in clip_moments(person, rate_hz, seed):
            drawn = renderer.render(person.pose(moment.params), camera).astype(np.float64)
            gain += 0.1 * (1 - gain) + rng.normal(0, 0.006)
            seen = gain * (drawn[..., :3] + (1 - drawn[..., 3:]) * room)
            noisy = (255 * seen + rng.normal(0, _SIGNAL, seen.shape)).round().clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_image(Image.fromarray(noisy))))
        container.mux(stream.encode())
