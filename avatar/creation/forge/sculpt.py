"""Corrections to the raw anatomy: lips that touch, teeth and tongue where they belong.

All of them are computed from the landmarks of the head at hand, so that they hold for every phenotype.
Metres; arrays in the base mesh's vertex order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.makehuman import load_base_mesh
from avatar.creation.forge.regions import PARTS, Landmarks

__all__ = [
    "MouthFrame",
    "lift_smile",
    "lower_arms",
    "mouth_frame",
    "place_mouth_parts",
    "seal_lips",
    "seal_units",
    "seat_lids",
    "tongue_flattening",
    "tongue_raising",
]

# How much a ring of the mouth follows the contact line when that is moved, by its distance in rings.
_FOLLOW = {0: 1.0, -1: 0.8, -2: 0.5, -3: 0.25, -4: 0.1, 1: 1.0, 2: 0.6, 3: 0.3, 4: 0.1}
_OVERLAP_M = 0.0003
"""The lips overlap by this much at rest: subdivision draws the surface back from the vertices by about as
much."""

_INCISOR_SHOW_M = 0.0026  # upper incisors reach this far below the line where the lips meet
_LOWER_EDGE_M = 0.0008  # lower incisors end this far below that line (behind the upper ones)
_LINING_GAP_M = 0.0022  # between the upper incisors' front and the lining of the lips
_OVERJET_M = 0.0032  # front of the upper incisors to front of the lower
_ARCH_SCALE = (0.92, 1.0, 0.97)  # the base mesh's arches are as wide as the cheeks
_TONGUE_DROP_M = 0.0025
_TONGUE_CLEARANCE_M = 0.0045  # tip of the tongue to the front of the lower incisors
_TONGUE_RAISE_M, _TONGUE_RAISE_LENGTH_M = 0.0118, 0.032  # of the tip when the tongue comes out, fading along its back
_TONGUE_THINNER = 0.38  # how much of its height the body of the tongue loses at rest
_TONGUE_FLATTEN = 0.40  # how much of its height the tongue loses when the jaw is wide open

_SMILE_LIFT_M, _SMILE_REACH_M = (0.0010, 0.0030, 0.0), (0.009, 0.0075, 0.0145)  # added to the corner; how far around

_LID_OVERLAP_M = 0.0009
_LID_FACTORS = (0.55, 1.35)  # how far a blink may be shortened or lengthened

_CLAVICLE_DEG, _UPPER_ARM_DEG = 6.0, 34.0


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
    )
    out: dict[str, np.ndarray] = {}
    for group in groups:
        posed = vertices + sum((units[name] for name in group), np.zeros_like(vertices))
        seal = seal_lips(posed, marks, closing_only=True)
        out |= {name: share * seal for name, share in group.items()}
    return out


def lift_smile(vertices: Float[np.ndarray, "n 3"], marks: Landmarks, side: str) -> Float[np.ndarray, "n 3"]:
    """What to add to mouthSmile of a side: the corner rises and widens more, which is what makes a smile kind."""
    corners = np.array(
        [marks.mouth.rings[row][marks.mouth.corner(vertices, row)] for row in range(len(marks.mouth.rings))]
    )
    corners = corners[marks.mouth.vermilion : marks.mouth.bag + 1]
    if side == "right":
        corners = marks.mirror[corners]
    sign = -1.0 if side == "right" else 1.0
    distance = (vertices - vertices[corners].mean(0)) / np.array(_SMILE_REACH_M)
    weight = np.exp(-0.5 * (distance**2).sum(1))
    others = np.concatenate([_part(name) for name in PARTS])
    weight[others] = 0
    return weight[:, None] * np.array([sign, 1.0, 1.0]) * np.array(_SMILE_LIFT_M)


def seat_lids(
    vertices: Float[np.ndarray, "n 3"], blink: Float[np.ndarray, "n 3"], marks: Landmarks, side: str
) -> Float[np.ndarray, "n 3"]:
    """A blink that ends where the lids meet, a little past the lower margin, on eyes of any opening.

    Args:
        vertices: the neutral head.
        blink: the sculpted unit.
        marks: landmarks.
        side: "left" or "right".
    """
    upper, lower = marks.eye.halves(vertices, marks.eye.margin)
    if side == "right":
        upper, lower = marks.mirror[upper], marks.mirror[lower]
    upper = upper[2:-2]
    along = np.abs(vertices[lower, 0])
    order = np.argsort(along)
    closed = vertices[lower] + blink[lower]
    target = np.interp(np.abs(vertices[upper, 0]), along[order], closed[order, 1]) - _LID_OVERLAP_M
    factor = np.clip((target - vertices[upper, 1]) / blink[upper, 1], *_LID_FACTORS)
    factor = np.convolve(np.pad(factor, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    x = np.abs(vertices[upper, 0])
    order = np.argsort(x)
    out = blink * np.interp(np.abs(vertices[:, 0]), x[order], factor[order])[:, None]
    below = marks.eye.halves(vertices, marks.eye.margin)[1]
    still = marks.mirror[below] if side == "right" else below
    out[still] = blink[still]
    return out


def _part(name: str) -> np.ndarray:
    groups = load_base_mesh().groups
    return np.unique(np.concatenate([groups[g][0].ravel() for g in PARTS[name]]))


def place_mouth_parts(vertices: Float[np.ndarray, "n 3"], marks: Landmarks) -> Float[np.ndarray, "n 3"]:
    """A copy with the teeth moved down and forward to where they show in speech, and the tongue down
    between them."""
    out = vertices.copy()
    frame = mouth_frame(vertices, marks)
    front = frame.lining_z - _LINING_GAP_M
    upper, lower, tongue = _part("upper_teeth"), _part("lower_teeth"), _part("tongue")
    arches = (
        (upper, "min", frame.contact_y - _INCISOR_SHOW_M, front),
        (lower, "max", frame.contact_y - _LOWER_EDGE_M, front - _OVERJET_M),
    )
    for part, edge, edge_y, front_z in arches:
        x = out[part] * np.array(_ARCH_SCALE)
        middle = np.abs(x[:, 0]) < 0.002
        extreme = x[middle, 1].min() if edge == "min" else x[middle, 1].max()
        near_edge = middle & (np.abs(x[:, 1] - extreme) < 0.003)
        out[part] = x + np.array([0.0, edge_y - extreme, front_z - x[near_edge, 2].max()])
    height = out[tongue, 1] - np.interp(out[tongue, 2], *_lower_profile(out[tongue]))
    back = np.clip((out[tongue, 2].max() - out[tongue, 2]) / 0.018, 0, 1)
    out[tongue, 1] -= _TONGUE_THINNER * height * back
    tip_z = front - _OVERJET_M - _TONGUE_CLEARANCE_M
    out[tongue] += np.array([0.0, -_TONGUE_DROP_M, 0.0])
    out[tongue, 2] += tip_z - out[tongue, 2].max()
    return out


def tongue_flattening(vertices: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """What a wide open jaw adds to the tongue: its back sinks to the floor, so that the throat shows above
    it."""
    out = np.zeros_like(vertices)
    tongue = _part("tongue")
    x = vertices[tongue]
    depth = np.clip((x[:, 2].max() - x[:, 2]) / 0.03, 0, 1)  # 0 at the tip
    low = np.interp(x[:, 2], *_lower_profile(x))
    out[tongue, 1] = -_TONGUE_FLATTEN * np.clip(x[:, 1] - low, 0, None) * (0.35 + 0.65 * depth)
    out[tongue, 1] -= 0.004 * depth
    return out


def tongue_raising(vertices: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """What tongueOut needs on top of the sculpted unit to pass between the teeth, over the lower lip."""
    out = np.zeros_like(vertices)
    tongue = _part("tongue")
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


def lower_arms(
    vertices: Float[np.ndarray, "n 3"], rig_weights: dict[str, np.ndarray], pivots: dict[str, np.ndarray]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3 3"]]:
    """Turn the arms of the base mesh's A-pose down to the sides.

    Args:
        vertices: the body.
        rig_weights: for "clavicle.L", "upperarm01.L" and their right twins, how much each vertex (n,) hangs
        on the bone
            or its descendants.
        pivots: the bones' heads.

    Returns:
        the posed body, and for each vertex the rotation that its displacements take part in.
    """
    posed = vertices.copy()
    pivots = dict(pivots)
    rotations = np.tile(np.eye(3), (len(vertices), 1, 1))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for bone, degrees in ((f"clavicle.{side}", _CLAVICLE_DEG), (f"upperarm01.{side}", _UPPER_ARM_DEG)):
            angle = -sign * np.radians(degrees) * np.clip(rig_weights[bone], 0, 1)
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.zeros_like(rotations)
            turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, -sin, sin, cos, 1.0
            pivot = pivots[bone]
            posed = pivot + np.einsum("nij,nj->ni", turn, posed - pivot)
            rotations = turn @ rotations
            if bone.startswith("clavicle"):  # it carries the arm's own pivot along
                full = -sign * np.radians(degrees)
                arm = f"upperarm01.{side}"
                d = pivots[arm] - pivot
                c, s = np.cos(full), np.sin(full)
                pivots[arm] = pivot + np.array([c * d[0] - s * d[1], s * d[0] + c * d[1], d[2]])
    return posed, rotations
