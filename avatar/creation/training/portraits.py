"""Pictures of an avatar to train another on: from all sides, in many expressions, drawn by its own renderer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from avatar.camera import Camera
from avatar.creation.training.dataset_writer import DatasetWriter
from avatar.creation.training.view import View, write_picture
from avatar.flame.arkit import NAMES, indices, weights_from_dict
from avatar.flame.params import FlameParams
from avatar.render.protocol import Renderer
from avatar.rig import Avatar

__all__ = ["Portrait", "draw_portraits", "plan_portraits", "write_portraits"]

Tell = Callable[[str, float], None]

_FACES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.75},
    {"jawOpen": 0.3, "mouthUpperUpLeft": 0.6, "mouthUpperUpRight": 0.6, "mouthLowerDownLeft": 0.6,
     "mouthLowerDownRight": 0.6},
    {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6,
     "eyeSquintLeft": 0.4, "eyeSquintRight": 0.4},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.35, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4},
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5, "browInnerUp": 0.4},
    {"browInnerUp": 0.9, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7, "eyeWideLeft": 0.8, "eyeWideRight": 0.8},
    {"browDownLeft": 0.9, "browDownRight": 0.9, "noseSneerLeft": 0.6, "noseSneerRight": 0.6},
    {"mouthPucker": 0.9}, {"mouthFunnel": 0.8, "jawOpen": 0.2}, {"cheekPuff": 0.9},
    {"mouthFrownLeft": 0.8, "mouthFrownRight": 0.8, "browInnerUp": 0.6, "mouthShrugLower": 0.4},
    {"mouthRollLower": 0.7, "mouthRollUpper": 0.7}, {"mouthPressLeft": 0.7, "mouthPressRight": 0.7},
    {"mouthStretchLeft": 0.7, "mouthStretchRight": 0.7, "jawOpen": 0.3},
    {"mouthLeft": 0.7}, {"mouthRight": 0.7, "jawOpen": 0.2}, {"jawForward": 0.6}, {"jawLeft": 0.5, "jawOpen": 0.3},
    {"tongueOut": 0.9, "jawOpen": 0.5}, {"tongueOut": 0.4, "jawOpen": 0.3},
    {"eyeLookUpLeft": 0.7, "eyeLookUpRight": 0.7}, {"eyeLookDownLeft": 0.7, "eyeLookDownRight": 0.7},
    {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}, {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
)  # fmt: skip
"""What a set must have seen: teeth, tongue, lids, gaze, folds."""
_REST_SHARE = 0.25
_TURN_RAD = 0.22  # of the neck, most
_DIM = ("mouthDimpleLeft", "mouthDimpleRight", "mouthShrugUpper", "mouthClose")  # small ones, now and then


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture to be made."""

    weights: Float32[np.ndarray, "52"]
    params: FlameParams
    camera: Camera
    held_out: bool


def plan_portraits(
    avatar: Avatar, count: int, size: int = 512, seed: int = 0, held_out_every: int = 10
) -> list[Portrait]:
    """Cameras dense in front and sparse behind, some close up; poses that show everything that can be hidden.

    Args:
        held_out_every: one picture in so many is for measuring; none for 0.
    """
    r = np.random.default_rng(seed)
    found = []
    for i in range(count):
        weights = _expression(r, i)
        params = avatar.arkit.params(weights, shape=np.zeros(avatar.head.n_shape, np.float32))
        if i % 3 == 1:
            params = params.replace(neck_pose=r.uniform(-1, 1, 3) * [_TURN_RAD, _TURN_RAD, 0.5 * _TURN_RAD])
        held_out = held_out_every > 0 and i % held_out_every == held_out_every // 2
        found.append(Portrait(weights, params, _camera(r, i, count, size), held_out))
    return found


def _expression(r: np.random.Generator, i: int) -> Float32[np.ndarray, "52"]:
    """The face of the i-th picture: at rest, one of those that must be seen, or two of them at once."""
    if r.random() < _REST_SHARE:
        return np.zeros(len(NAMES), np.float32)
    weights = weights_from_dict(_FACES[i % len(_FACES)]) * np.float32(r.uniform(0.6, 1.0))
    if r.random() < 0.5:
        other = weights_from_dict(_FACES[int(r.integers(len(_FACES)))]) * np.float32(r.uniform(0.2, 0.6))
        weights = np.maximum(weights, other)
    for index in indices(*_DIM):
        if r.random() < 0.1:
            weights[index] = r.uniform(0.2, 0.6)
    return np.clip(weights, 0, 1).astype(np.float32)


def _camera(r: np.random.Generator, i: int, count: int, size: int) -> Camera:
    """Where the i-th camera stands: a golden-ratio sweep, so that any few of them lie far apart."""
    u = 2 * ((i * 0.6180339887498949) % 1) - 1
    yaw = 180 * math.copysign(abs(u) ** 1.8, u)
    pitch = r.triangular(-25, 3, 40)
    kind = i % 5
    if abs(yaw) < 75 and kind in (1, 3):  # the face alone
        target, fov = (r.uniform(-0.02, 0.02), r.uniform(-0.05, 0.03), 0.02), r.uniform(8, 14)
    else:
        target, fov = (r.uniform(-0.01, 0.01), r.uniform(-0.03, 0.01), -0.03), r.uniform(20, 25)
    return Camera.orbit(size, size, yaw, pitch, 1.0, target, fov)


def draw_portraits(
    avatar: Avatar, portraits: Sequence[Portrait], renderer: Renderer, tell: Tell = lambda message, share: None
) -> list[View]:
    """The pictures, in memory."""
    views = []
    for i, portrait in enumerate(portraits):
        image = _drawn(avatar, portrait, renderer)
        views.append(View(f"portrait {i}", portrait.camera, portrait.params, image, timestep=i))
        tell(f"picture {i + 1} of {len(portraits)}", (i + 1) / len(portraits))
    return views


def write_portraits(
    avatar: Avatar,
    portraits: Sequence[Portrait],
    renderer: Renderer,
    folder: Path | str,
    tell: Tell = lambda message, share: None,
) -> None:
    """The pictures as a set on disk; see `avatar.creation.training.dataset`."""
    writer = DatasetWriter(folder, avatar.head, avatar.arkit, avatar.static_offset)
    for i, portrait in enumerate(portraits):
        named = {name: float(w) for name, w in zip(NAMES, portrait.weights, strict=True) if w}
        step = writer.pose(portrait.params, named)
        path = writer.view(step, portrait.camera, "val" if portrait.held_out else "train")
        write_picture(path, _drawn(avatar, portrait, renderer))
        tell(f"picture {i + 1} of {len(portraits)}", (i + 1) / len(portraits))
    writer.finish()


def _drawn(avatar: Avatar, portrait: Portrait, renderer: Renderer) -> UInt8[np.ndarray, "h w 4"]:
    """Premultiplied RGBA."""
    return np.ascontiguousarray(renderer.draw(avatar, portrait.params, portrait.camera)[..., [2, 1, 0, 3]])
