"""People of known shape, pose and expression, as pictures: the ground truth of tracking.

A shipped avatar is given another face by moving its head along the identity directions of the generic one; its
Gaussians follow. Nobody who exists is shown.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from avatar.camera import Camera
from avatar.flame.arkit import NAMES, indices, weights_from_dict
from avatar.flame.params import FlameParams
from avatar.heads import open_head
from avatar.library import open_avatar
from avatar.render.protocol import Renderer
from avatar.rig import Avatar

__all__ = [
    "Sitting",
    "as_webcam",
    "draw",
    "people",
    "random_person",
    "random_weights",
    "side_sittings",
    "sittings",
    "various_people",
]

_AIM = (0.0, -0.005, 0.0)
_USUAL, _WIDE, _MOST_OWN = 0.8, 1.5, 1.3
"""Spread of shape coefficients, in standard deviations, and how much of its own face an avatar keeps at most."""
_SIDES_DEG = (-36.0, -26.0, -18.0, -4.0, 4.0, 18.0, 26.0, 36.0)
_BACKGROUNDS = ((0.80, 0.80, 0.82), (0.45, 0.52, 0.60), (0.20, 0.20, 0.22), (0.70, 0.62, 0.52))
_SPOKEN: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.5}, {"jawOpen": 0.15, "mouthPucker": 0.9}, {"mouthFunnel": 0.8, "jawOpen": 0.25},
    {"mouthStretchLeft": 0.5, "mouthStretchRight": 0.5, "jawOpen": 0.15},
    {"mouthPressLeft": 0.6, "mouthPressRight": 0.6, "mouthRollLower": 0.4, "mouthRollUpper": 0.4},
    {"mouthLowerDownLeft": 0.5, "mouthLowerDownRight": 0.5, "jawOpen": 0.12}, {"jawOpen": 0.9},
    {"mouthShrugLower": 0.5, "mouthShrugUpper": 0.4}, {"mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4},
    {"mouthLeft": 0.7}, {"mouthRight": 0.7}, {"cheekPuff": 0.8}, {}, {}, {},
)  # fmt: skip
_FELT: tuple[dict[str, float], ...] = (
    {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}, {"mouthSmileLeft": 0.9}, {"mouthSmileRight": 0.9},
    {"mouthFrownLeft": 0.8, "mouthFrownRight": 0.8}, {"mouthDimpleLeft": 0.6, "mouthDimpleRight": 0.6},
    {"noseSneerLeft": 0.8, "noseSneerRight": 0.8, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4}, {}, {}, {},
)  # fmt: skip
_BROWS: tuple[dict[str, float], ...] = (
    {"browInnerUp": 0.9}, {"browInnerUp": 0.8, "browOuterUpLeft": 0.9, "browOuterUpRight": 0.9},
    {"browDownLeft": 0.9, "browDownRight": 0.9}, {"browDownLeft": 0.5, "browDownRight": 0.5, "browInnerUp": 0.6},
    {"browOuterUpLeft": 0.9}, {"browOuterUpRight": 0.9}, {}, {}, {},
)  # fmt: skip
_LIDS: tuple[dict[str, float], ...] = (
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5},
    {"eyeWideLeft": 0.8, "eyeWideRight": 0.8}, {"eyeSquintLeft": 0.8, "eyeSquintRight": 0.8},
    {"eyeBlinkLeft": 1.0}, {"eyeBlinkRight": 1.0}, {}, {}, {}, {},
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sitting:
    """A picture and everything that is known about it."""

    person: Avatar
    number: int
    """Of the person."""
    weights: Float32[np.ndarray, "52"]
    params: FlameParams
    camera: Camera
    picture: Image.Image


def random_person(avatar: Avatar, rng: np.random.Generator, amount: float = _USUAL) -> Avatar:
    """The avatar with another face."""
    head, _ = open_head()
    coefficients = torch.from_numpy(rng.normal(0, amount, head.n_shape)).float()
    moved = torch.einsum("vcs,s->vc", head.shapedirs[..., : head.n_shape], coefficients)
    return replace(avatar, head=replace(avatar.head, v_template=avatar.head.v_template + moved))


def people(names: Sequence[str], count: int, seed: int, amount: float = _USUAL) -> Iterator[Avatar]:
    """`count` people, made from these avatars in turn, one at a time: each takes room in a renderer."""
    rng = np.random.default_rng(seed)
    opened = [open_avatar(name) for name in names]
    for i in range(count):
        yield random_person(opened[i % len(opened)], rng, amount)


def various_people(names: Sequence[str], count: int, seed: int) -> Iterator[Avatar]:
    """`count` people whose faces differ more: every other one keeps only some of its avatar's own face."""
    rng = np.random.default_rng(seed)
    head, _ = open_head()
    opened = [open_avatar(name) for name in names]
    for i in range(count):
        avatar = opened[(i // 2) % len(opened)]
        if i % 2:
            own = torch.lerp(head.v_template, avatar.head.v_template, float(rng.uniform(0, _MOST_OWN)))
            avatar = replace(avatar, head=replace(avatar.head, v_template=own))
        yield random_person(avatar, rng, _WIDE if i % 2 else _USUAL)


def random_weights(rng: np.random.Generator) -> Float32[np.ndarray, "52"]:
    """An expression as faces make them: something spoken, something felt, brows, lids and gaze, in any strength."""
    weights = np.zeros(len(NAMES), np.float32)
    for choices in (_SPOKEN, _FELT, _BROWS, _LIDS):
        weights += rng.uniform(0.35, 1.0) * weights_from_dict(choices[rng.integers(len(choices))])
    up, left = rng.normal(0, 0.4, 2)
    weights[indices("eyeLookUpLeft", "eyeLookUpRight")] = max(up, 0)
    weights[indices("eyeLookDownLeft", "eyeLookDownRight")] = max(-up, 0)
    weights[indices("eyeLookOutLeft", "eyeLookInRight")] = max(left, 0)
    weights[indices("eyeLookInLeft", "eyeLookOutRight")] = max(-left, 0)
    uneven = weights > 0
    weights[uneven] *= rng.uniform(0.8, 1.2, uneven.sum()).astype(np.float32)
    return weights.clip(0, 1)


def draw(
    renderer: Renderer, person: Avatar, params: FlameParams, camera: Camera, background: tuple[float, float, float]
) -> Image.Image:
    """The person's picture."""
    bgra: UInt8[np.ndarray, "h w 4"] = renderer.draw(person, params, camera, background=background)
    return Image.fromarray(np.ascontiguousarray(bgra[..., 2::-1]))


def as_webcam(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture as a webcam might send it: smaller, darker or lighter, noisy, compressed."""
    size = round(picture.width * rng.uniform(0.4, 1.0))
    small = np.asarray(picture.resize((size, size), Image.Resampling.BOX), np.float64)
    seen = rng.uniform(0.85, 1.1) * small + rng.normal(0, rng.uniform(1, 5), small.shape)
    sent = io.BytesIO()
    Image.fromarray(seen.round().clip(0, 255).astype(np.uint8)).save(sent, "JPEG", quality=int(rng.integers(60, 92)))
    return Image.open(sent).convert("RGB")


def sittings(
    crowd: Iterable[Avatar],
    renderer: Renderer,
    each: int,
    seed: int,
    size: int = 400,
    turn_deg: float = 25.0,
    neutral: int = 3,
) -> Iterator[Sitting]:
    """`each` pictures of every person, one person after the other; the first `neutral` show the face at rest."""
    rng = np.random.default_rng(seed)
    for number, person in enumerate(crowd):
        for nth in range(each):
            still = nth < neutral
            weights = np.zeros(len(NAMES), np.float32) if still else random_weights(rng)
            reach = 0.4 if still else 1.0
            camera = Camera.orbit(
                size,
                size,
                float(rng.uniform(-turn_deg, turn_deg) * reach),
                float(rng.uniform(-0.6, 0.6) * turn_deg * reach),
                float(rng.uniform(0.55, 1.1)),
                _AIM,
                float(rng.uniform(17, 26)),
            )
            params = person.arkit.params(weights)
            background = _BACKGROUNDS[rng.integers(len(_BACKGROUNDS))]
            yield Sitting(person, number, weights, params, camera, draw(renderer, person, params, camera, background))


def side_sittings(crowd: Iterable[Avatar], renderer: Renderer, seed: int, size: int = 360) -> Iterator[Sitting]:
    """Every person at rest, from the front and from both sides."""
    rng = np.random.default_rng(seed)
    weights = np.zeros(len(NAMES), np.float32)
    for number, person in enumerate(crowd):
        for turn in _SIDES_DEG:
            yaw, pitch, away, fov = (float(rng.uniform(*ends)) for ends in ((-5, 5), (-6, 6), (0.5, 1.1), (17, 26)))
            camera = Camera.orbit(size, size, turn + yaw, pitch, away, _AIM, fov)
            params, background = person.head.neutral(), _BACKGROUNDS[rng.integers(len(_BACKGROUNDS))]
            yield Sitting(person, number, weights, params, camera, draw(renderer, person, params, camera, background))
