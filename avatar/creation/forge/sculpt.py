"""The mouth: lips that touch, teeth and tongue where they belong.

All of it is computed from the landmarks of the head at hand, so that it holds for every phenotype. Metres; arrays in
the head's numbering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.regions import Landmarks
from avatar.creation.forge.teeth import Arch

__all__ = [
    "MouthFrame",
    "dental_arches",
    "mouth_frame",
    "place_tongue",
    "seal_lips",
    "seal_units",
    "tongue_flattening",
    "tongue_raising",
]

# How much a ring of the mouth follows the contact line when that is moved, by its distance in rings.
_FOLLOW = {0: 1.0, -1: 0.8, -2: 0.5, -3: 0.25, -4: 0.1, 1: 1.0, 2: 0.6, 3: 0.3, 4: 0.1}
_CLOSED = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")  # units that leave closed lips closed
_OVERLAP_M = 0.0003
"""The lips overlap by this much at rest: subdivision draws the surface back from the vertices by about as
much."""

_INCISOR_SHOW_M = 0.0026  # upper incisors reach this far below the line where the lips meet
_LOWER_EDGE_M = 0.0008  # lower incisors end this far below that line (behind the upper ones)
_LINING_GAP_M = 0.0022  # between the upper incisors' front and the lining of the lips
_OVERJET_M = 0.0032  # front of the upper incisors to front of the lower
_ARCH_M = {"upper": (0.0262, 0.0440), "lower": (0.0242, 0.0425)}  # half width and length
_TONGUE_DROP_M = 0.0025
_TONGUE_CLEARANCE_M = 0.0045  # tip of the tongue to the front of the lower incisors
_TONGUE_RAISE_M, _TONGUE_RAISE_LENGTH_M = 0.0118, 0.032  # of the tip when the tongue comes out, fading along its back
_TONGUE_THINNER = 0.38  # how much of its height the body of the tongue loses at rest
_TONGUE_FLATTEN = 0.40  # how much of its height the tongue loses when the jaw is wide open


@dataclass(frozen=True)
class MouthFrame:
    """Where the closed mouth is.

    Attributes:
        contact_y: height of the line where the lips meet, at the midline.
        lining_z: depth of the lining behind the lips there.
        half_width: from the midline to a corner.
    """

    contact_y: float
    lining_z: float
    half_width: float


def mouth_frame(vertices: Float[np.ndarray, "n 3"], marks: Landmarks) -> MouthFrame:
    """Measure a neutral head."""
    ring = marks.mouth.rings
    contact = vertices[ring[marks.mouth.contact]]
    lining = vertices[ring[marks.mouth.contact + 3]]
    return MouthFrame(float(contact[[0, 19], 1].mean()), float(lining[[0, 19], 2].min()), float(contact[:, 0].max()))


def seal_lips(
    vertices: Float[np.ndarray, "n 3"], marks: Landmarks, closing_only: bool = False
) -> Float[np.ndarray, "n 3"]:
    """The displacement that makes the lips of a closed mouth touch along their whole length.

    Upper and lower contact lines meet half way (a little past it); the rings beside them follow less and less.

    Args:
        vertices: the head in the pose to mend.
        marks: landmarks.
        closing_only: leave lips alone where they are pressed together more than needed.
    """
    mouth = marks.mouth
    out = np.zeros_like(vertices)
    upper, lower = mouth.halves(vertices, mouth.contact)
    order_u, order_l = np.argsort(vertices[upper, 0]), np.argsort(vertices[lower, 0])
    corner_x = np.abs(vertices[upper[[0, -1]], 0]).min()

    def height(which: np.ndarray, order: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.interp(x, vertices[which[order], 0], vertices[which[order], 1])

    for step, follow in _FOLLOW.items():
        row = mouth.contact + step
        if not 0 <= row < len(mouth.rings):
            continue
        for half, sign in zip(mouth.halves(vertices, row), (-1.0, 1.0), strict=True):
            inner = half[1:-1]
            x = np.clip(vertices[inner, 0], -corner_x, corner_x)
            gap = height(upper, order_u, x) - height(lower, order_l, x)
            taper = 1 - np.abs(x / corner_x) ** 6
            missing = gap + _OVERLAP_M * taper
            out[inner, 1] = sign * follow * (np.maximum(missing, 0) if closing_only else missing) / 2
    return out


def seal_units(
    vertices: Float[np.ndarray, "n 3"], units: dict[str, np.ndarray], marks: Landmarks
) -> dict[str, Float[np.ndarray, "n 3"]]:
    """What to add to the units that press the lips together, so that none of them parts the lips at the corners."""
    x = vertices[:, 0]
    left = np.clip(x / 0.004 / 2 + 0.5, 0, 1)[:, None]
    upper = np.zeros((len(vertices), 1))
    for row in range(len(marks.mouth.rings)):
        upper[marks.mouth.halves(vertices, row)[0][1:-1]] = 1
    groups: tuple[dict[str, np.ndarray], ...] = (
        {"mouthPressLeft": left, "mouthPressRight": 1 - left},
        {"mouthRollUpper": upper, "mouthRollLower": 1 - upper},
        {"cheekPuff": np.ones_like(left)},
        *({f"{stem}Left": left, f"{stem}Right": 1 - left} for stem in _CLOSED),
    )
    out: dict[str, np.ndarray] = {}
    for group in groups:
        posed = vertices + sum((units[name] for name in group), np.zeros_like(vertices))
        seal = seal_lips(posed, marks, closing_only=True)
        out |= {name: share * seal for name, share in group.items()}
    return out


def dental_arches(frame: MouthFrame) -> tuple[Arch, Arch]:
    """Upper and lower arch behind closed lips, down and forward to where they show in speech."""
    front = frame.lining_z - _LINING_GAP_M
    return (
        Arch(front, frame.contact_y - _INCISOR_SHOW_M, *_ARCH_M["upper"], upward=1.0),
        Arch(front - _OVERJET_M, frame.contact_y - _LOWER_EDGE_M, *_ARCH_M["lower"], upward=-1.0),
    )


def place_tongue(tongue: Float[np.ndarray, "t 3"], lower: Arch) -> Float[np.ndarray, "t 3"]:
    """The tongue, thinned and moved to the floor between the teeth."""
    out = tongue.copy()
    height = out[:, 1] - np.interp(out[:, 2], *_lower_profile(out))
    back = np.clip((out[:, 2].max() - out[:, 2]) / 0.018, 0, 1)
    out[:, 1] -= _TONGUE_THINNER * height * back + _TONGUE_DROP_M
    out[:, 2] += lower.front_z - _TONGUE_CLEARANCE_M - out[:, 2].max()
    return out


def tongue_flattening(vertices: Float[np.ndarray, "n 3"], tongue: Int[np.ndarray, " t"]) -> Float[np.ndarray, "n 3"]:
    """What a wide open jaw adds to the tongue: its back sinks to the floor, so that the throat shows above
    it."""
    out = np.zeros_like(vertices)
    x = vertices[tongue]
    depth = np.clip((x[:, 2].max() - x[:, 2]) / 0.03, 0, 1)  # 0 at the tip
    low = np.interp(x[:, 2], *_lower_profile(x))
    out[tongue, 1] = -_TONGUE_FLATTEN * np.clip(x[:, 1] - low, 0, None) * (0.35 + 0.65 * depth)
    out[tongue, 1] -= 0.004 * depth
    return out


def tongue_raising(vertices: Float[np.ndarray, "n 3"], tongue: Int[np.ndarray, " t"]) -> Float[np.ndarray, "n 3"]:
    """What tongueOut needs on top of the sculpted unit to pass between the teeth, over the lower lip."""
    out = np.zeros_like(vertices)
    z = vertices[tongue, 2]
    t = np.clip(1 - (z.max() - z) / _TONGUE_RAISE_LENGTH_M, 0, 1)
    out[tongue, 1] = _TONGUE_RAISE_M * t * t * (3 - 2 * t)
    return out


def _lower_profile(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(z, lowest y) of a long body, in slices along z."""
    edges = np.linspace(points[:, 2].min(), points[:, 2].max(), 9)
    slices = np.clip(np.digitize(points[:, 2], edges) - 1, 0, 7)
    low = np.array([points[slices == s, 1].min() if (slices == s).any() else np.nan for s in range(8)])
    centres = (edges[1:] + edges[:-1]) / 2
    valid = np.isfinite(low)
    return centres[valid], low[valid]
