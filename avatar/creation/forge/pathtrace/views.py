"""From where, and in which expressions, a person is photographed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avatar.camera import Camera

__all__ = ["EXPRESSIONS", "HELD_OUT", "Shot", "shots"]

Weights = Mapping[str, float]


def _both(**weights: float) -> dict[str, float]:
    return {f"{stem}{side}": value for stem, value in weights.items() for side in ("Left", "Right")}


NEUTRAL: Weights = {}

EXPRESSIONS: Mapping[str, Weights] = {
    # what lids and eyes do
    "blink": _both(eyeBlink=1.0),
    "half blink": {**_both(eyeBlink=0.5), **_both(browDown=0.15)},
    "look left and up": {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, **_both(eyeLookUp=0.4, eyeWide=0.15)},
    "look right and down": {"eyeLookInLeft": 0.6, "eyeLookOutRight": 0.6, **_both(eyeLookDown=0.6)},
    "squint": {**_both(eyeSquint=1.0, cheekSquint=0.5), "browDownLeft": 0.3},
    # smiles
    "smile": {**_both(mouthSmile=0.6, cheekSquint=0.35, eyeSquint=0.2), "mouthDimpleLeft": 0.3},
    "grin": {**_both(mouthSmile=0.85, cheekSquint=0.7, eyeSquint=0.35, mouthUpperUp=0.35), "jawOpen": 0.08},
    "laugh": {
        **_both(mouthSmile=0.9, cheekSquint=0.9, eyeSquint=0.6, mouthUpperUp=0.4, mouthLowerDown=0.2),
        "jawOpen": 0.38,
    },
    "half smile": {
        "mouthSmileLeft": 0.55,
        "mouthSmileRight": 0.10,
        "mouthLeft": 0.25,
        "browOuterUpLeft": 0.4,
        "cheekSquintLeft": 0.3,
    },
    # what speech needs
    "ah": {"jawOpen": 0.55, **_both(mouthLowerDown=0.15)},
    "wide open": {"jawOpen": 0.95, **_both(mouthUpperUp=0.2, browOuterUp=0.3)},
    "oo": {"mouthPucker": 0.75, "mouthFunnel": 0.35, "jawOpen": 0.14},
    "oh": {"mouthFunnel": 0.75, "jawOpen": 0.35, "browInnerUp": 0.2},
    "ee": {**_both(mouthStretch=0.5, mouthSmile=0.3, mouthLowerDown=0.35, mouthUpperUp=0.2), "jawOpen": 0.08},
    "f": {"mouthRollLower": 0.65, **_both(mouthUpperUp=0.4), "jawOpen": 0.08},
    "press": {**_both(mouthPress=0.7), "mouthRollLower": 0.35, "mouthRollUpper": 0.35},
    "tongue": {"tongueOut": 0.55, "jawOpen": 0.35},
    # what feelings do
    "brows up": {"browInnerUp": 0.9, **_both(browOuterUp=0.9, eyeWide=0.7)},
    "surprise": {"browInnerUp": 0.7, **_both(browOuterUp=0.6, eyeWide=0.8), "jawOpen": 0.4, "mouthFunnel": 0.2},
    "anger": {**_both(browDown=0.9, eyeSquint=0.4, noseSneer=0.5, mouthPress=0.4), "mouthShrugLower": 0.3},
    "sorrow": {"browInnerUp": 0.8, **_both(mouthFrown=0.75, eyeSquint=0.2, browDown=0.2), "mouthShrugLower": 0.35},
    "disgust": {**_both(noseSneer=0.9, mouthUpperUp=0.5, browDown=0.5, cheekSquint=0.4, mouthFrown=0.3)},
    "fear": {"browInnerUp": 0.9, **_both(eyeWide=0.8, mouthStretch=0.6, browDown=0.2), "jawOpen": 0.2},
    "one brow": {
        "browOuterUpRight": 0.9,
        "browDownLeft": 0.7,
        "mouthRight": 0.3,
        "noseSneerLeft": 0.4,
        "eyeSquintLeft": 0.5,
    },
    "puff": {"cheekPuff": 0.8, "mouthPucker": 0.3, "jawForward": 0.2},
}
"""Poses to train on, as ARKit weights; together they move every blendshape that a face uses in talk."""

HELD_OUT: Mapping[str, Weights] = {
    "delighted": {
        **_both(mouthSmile=0.75, cheekSquint=0.6, eyeSquint=0.3, mouthUpperUp=0.2),
        "browInnerUp": 0.35,
        "jawOpen": 0.22,
    },
    "speaking": {"jawOpen": 0.28, **_both(mouthLowerDown=0.25, eyeBlink=0.25), "mouthFunnel": 0.3, "browInnerUp": 0.2},
    "furious": {
        **_both(browDown=0.7, noseSneer=0.4, eyeSquint=0.3, mouthUpperUp=0.3, mouthStretch=0.3),
        "jawOpen": 0.12,
    },
    "glancing": {"eyeLookOutRight": 0.4, "eyeLookInLeft": 0.4, **_both(eyeBlink=0.35, mouthPress=0.4, mouthSmile=0.2)},
}
"""Combinations to test on, never trained on."""

_EYES_NEAR = (
    "neutral", "blink", "half blink", "look left and up", "look right and down", "squint", "grin", "laugh", "brows up",
    "anger", "sorrow", "fear",
)  # fmt: skip
_MOUTH_NEAR = (
    "neutral", "ah", "wide open", "oo", "oh", "ee", "f", "grin", "laugh", "smile", "tongue", "disgust",
)  # fmt: skip
"""What is also taken from so near that eyes, or the mouth, fill the picture: lashes, lid margins and teeth."""

_EYES_AT, _MOUTH_AT = (0.0, 0.020, 0.022), (0.0, -0.062, 0.022)


@dataclass(frozen=True)
class Shot:
    """A picture to take.

    Attributes:
        pose: name of the expression, "neutral" for none.
        weights: its ARKit weights.
        division: "train" or "test".
    """

    pose: str
    weights: Weights
    camera: Camera
    samples: int
    division: str


def shots(pictures: int = 160, size: int = 512, samples: int = 16) -> list[Shot]:
    """All pictures of a person: the neutral head all round, expressions as close-ups, the held-out ones.

    In an order in which every first part is a useful set: two thirds of the neutral ones, the expressions, eyes and
    mouths, the rest, and in the end close-ups of the neutral face, which is what is seen most.

    Args:
        pictures: to train on, about: a third of the neutral head, dense in front, where a call is seen from, at least
            one of every expression, one in five a close-up of the neutral face, where what skin looks like is learned,
            and from 75 on about one in six of eyes or a mouth alone.
        size: of a picture, pixels; close-ups have three quarters of it.
        samples: of the path tracer for every pixel; the neutral close-ups have twice, the held-out pictures four times
            as many.
    """
    neutral, crops = max(3, pictures // 3), max(1, round(0.3 * pictures / len(EXPRESSIONS)))
    held_out_samples = 4 * samples
    rng = np.random.default_rng(7)
    around = [Shot("neutral", NEUTRAL, c, samples, "train") for c in _orbit(neutral, size, rng)]
    close = [
        Shot(name, weights, camera, samples, "train")
        for k, (name, weights) in enumerate(EXPRESSIONS.items())
        for camera in _crops(crops, 3 * size // 4, k, rng)
    ]
    near = [
        Shot(name, NEUTRAL if name == "neutral" else EXPRESSIONS[name], _near(3 * size // 4, at, rng), samples, "train")
        for _ in range(round(pictures / 144))
        for names, at in ((_EYES_NEAR, _EYES_AT), (_MOUTH_NEAR, _MOUTH_AT))
        for name in names
    ]
    test = [
        Shot("neutral", NEUTRAL, _camera(size, y, p, 1.0, 21.0), held_out_samples, "test")
        for y, p in ((4, 2), (-33, 6), (62, -3))
    ]
    for (name, weights), (yaw, pitch) in zip(HELD_OUT.items(), ((8, 3), (-16, -2), (24, 5), (-6, 6)), strict=True):
        test.append(
            Shot(name, weights, _camera(size, yaw, pitch, 1.0, 18.0, (0.0, -0.005, -0.01)), held_out_samples, "test")
        )
    first = 2 * neutral // 3
    faces = [Shot("neutral", NEUTRAL, c, 2 * samples, "train") for c in _crops(max(2, pictures // 5), size, 0, rng)]
    return [*around[:first], *close, *near, *around[first:], *faces, *test]


def _camera(
    size: int,
    yaw: float,
    pitch: float,
    distance: float,
    fov: float,
    target: Sequence[float] | np.ndarray = (0.0, -0.012, -0.03),
) -> Camera:
    x, y, z = (float(t) for t in target)
    return Camera.orbit(size, size, yaw, pitch, distance, (x, y, z), fov)


def _orbit(count: int, size: int, rng: np.random.Generator) -> list[Camera]:
    """Around the head, shuffled so that any first part goes all round: two in three within 60 degrees of the front."""
    s = 2 * (np.arange(count) + 0.5) / count - 1
    yaw = 180 * np.sign(s) * np.abs(s) ** 2.1
    pitch = rng.triangular(-22, 3, 36, count)
    order = rng.permutation(count)
    return [
        _camera(
            size,
            yaw[i],
            pitch[i],
            rng.uniform(0.75, 1.1),
            rng.uniform(19.0, 25.0),
            np.array([0, -0.012, -0.03]) + rng.normal(0, 0.010, 3),
        )
        for i in order
    ]


def _crops(count: int, size: int, turn: int, rng: np.random.Generator) -> list[Camera]:
    """Close-ups of the face, left and right in turns."""
    yaw = 46 * ((2 * np.arange(count) + 1) / count - 1) * (-1) ** turn + rng.uniform(-9, 9, count)
    pitch = rng.uniform(-13, 19, count)
    return [
        _camera(size, y, p, rng.uniform(0.75, 0.95), 14.5, np.array([0.0, -0.008, 0.012]) + rng.normal(0, 0.006, 3))
        for y, p in zip(yaw, pitch, strict=True)
    ]


def _near(size: int, at: tuple[float, float, float], rng: np.random.Generator) -> Camera:
    """So near a part of the face that little else is seen."""
    return _camera(
        size,
        rng.uniform(-38, 38),
        rng.uniform(-12, 16),
        rng.uniform(0.75, 0.9),
        10.0,
        np.array(at) + rng.normal(0, 0.004, 3),
    )
