"""What the muscles of expression do to skin: units that read at the size of a video call.

MakeHuman's face units move brows, cheeks and corners of the mouth by little, and leave out what lies between: the cheek
that bunches under the eye, the folds that frame a smile, the brows that meet. Those units are made here, as strokes on
the neutral face. Each is given for both sides; `one_side` takes a half of it.

Reference: Ekman, Friesen and Hager, "Facial Action Coding System", 2002, for what moves where, and how far.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.strokes import MM, Strokes

__all__ = ["ADDED", "MADE", "one_side"]

_MIDLINE_M = 0.007
"""How far across the midline a unit of one side reaches."""


def one_side(unit: Float[np.ndarray, "v 3"], x: Float[np.ndarray, " v"], sign: float) -> Float[np.ndarray, "v 3"]:
    """The left (`sign` 1) or right half of a unit of both sides; the halves add up to the whole."""
    return unit * smoothstep(sign * x, -_MIDLINE_M, _MIDLINE_M)[:, None]


def _fold_curve(face: Strokes) -> np.ndarray:
    """Where the cheek folds against the lip: from above the wing of the nose to beside the corner of the mouth."""
    wing, corner = face.wing, face.corner
    return face.curve(
        [
            (wing[0] - 0.0005, wing[1] + 0.007),
            (wing[0] + 0.0050, wing[1] - 0.002),
            (0.25 * wing[0] + 0.75 * corner[0] + 0.0065, 0.45 * wing[1] + 0.55 * corner[1]),
            (corner[0] + 0.0095, corner[1] + 0.001),
            (corner[0] + 0.0095, corner[1] - 0.009),
        ]
    )


def _along_mouth(face: Strokes) -> np.ndarray:
    """0 at the midline .. 1 at the corner of the mouth and beyond."""
    return np.clip(face.points[:, 0] / face.corner[0], 0, 1)


def _cheek(face: Strokes, mm: float) -> None:
    """The cheek bunches towards the eye."""
    outer, wing = face.outer, face.wing
    pad = face.on(0.45 * wing[0] + 0.55 * outer[0], 0.60 * wing[1] + 0.40 * outer[1] - 0.003)
    face.move(pad, (13, 10, 15), (0.15 * mm, 0.75 * mm, 0.45 * mm))
    face.spot(pad, (10, 7.5, 12), 0.55 * mm)
    under = face.curve(
        [
            (face.inner[0] + 0.004, face.inner[1] - 0.010),
            (face.eye[0], face.eye[1] - 0.0165),
            (outer[0] + 0.002, outer[1] - 0.0125),
        ]
    )
    face.crease(under, 1.9, -0.28 * mm, (0.25, 0.25))


def _smile(face: Strokes) -> None:
    """Zygomaticus major: corners up, out and back; cheeks raised; the fold framed by them."""
    corner, along = face.corner, _along_mouth(face)
    p = face.points
    near = np.exp(-0.5 * (((p - corner - np.array([0.003, 0.003, 0])) / [0.0150, 0.0125, 0.022]) ** 2).sum(1))
    near *= 0.12 + 0.88 * along**1.7
    face.displace(near[:, None] * np.array([7.6, 9.4, -4.6]) * MM)
    # The lips are drawn flat over the teeth; the lower one hangs between the corners.
    red = np.exp(-0.5 * (((p[:, 1] - corner[1]) / 0.008) ** 2)) * (1 - along**2) * (p[:, 2] > corner[2] - 0.004)
    face.displace(red[:, None] * np.array([0.0, -0.2, -1.7]) * MM)
    _cheek(face, 6.6)
    fold = _fold_curve(face)
    face.crease(fold, 2.3, -1.7, (0.12, 0.35))
    face.stroke(fold, 4.2, 2.2, (0.15, 0.35), aside=-6.5)
    face.move(face.wing, (6, 6, 9), (1.2, 0.6, 0.0))
    below = face.on(corner[0] - 0.002, corner[1] - 0.016)
    face.move(below, (11, 9, 15), (1.0, 2.4, -0.6))


def _frown(face: Strokes) -> None:
    """Depressor anguli oris: corners down, a fold beneath them."""
    corner, along = face.corner, _along_mouth(face)
    p = face.points
    near = np.exp(-0.5 * (((p - corner) / [0.0140, 0.0130, 0.020]) ** 2).sum(1)) * (0.2 + 0.8 * along**1.6)
    face.displace(near[:, None] * np.array([0.6, -7.2, -0.8]) * MM)
    face.move(face.mark("lower_lip"), (11, 6, 10), (0.0, 0.9, 0.5))
    fold = face.curve(
        [
            (corner[0] + 0.003, corner[1] - 0.002),
            (corner[0] + 0.006, corner[1] - 0.010),
            (corner[0] + 0.005, corner[1] - 0.020),
        ]
    )
    face.crease(fold, 1.8, -1.7, (0.15, 0.4))
    face.crease(fold, 3.0, 1.3, (0.15, 0.4), aside=5.0)
    upper = _fold_curve(face)
    face.crease(upper, 2.2, -0.9, (0.35, 0.3))


def _brow_down(face: Strokes) -> None:
    """Corrugator and procerus: brows drawn down and together, upright folds between them."""
    nasion, eye, outer = face.mark("nasion"), face.eye, face.outer
    brow = nasion[1] + 0.012
    face.move(face.on(0.011, brow), (9, 9, 18), (-3.2, -5.8, 1.0))
    face.move(face.on(eye[0] - 0.006, brow + 0.004), (10, 8, 16), (-2.4, -3.4, 1.0))
    face.move(face.on(outer[0] - 0.004, brow + 0.003), (11, 8, 16), (-0.8, -1.6, 0.4))
    face.move(face.on(0.0, nasion[1] + 0.002), (7, 7, 14), (0.0, -2.2, 0.6))
    fold = face.curve([(0.0062, brow - 0.008), (0.0055, brow + 0.001), (0.0066, brow + 0.012)])
    face.crease(fold, 1.25, -1.7, (0.2, 0.45))
    face.spot(face.on(0.0, brow - 0.001), (2.6, 8, 9), 1.1)
    face.spot(face.on(0.0125, brow - 0.001), (4.2, 6.5, 10), 1.7)
    across = face.curve([(0.0, nasion[1] + 0.0005), (0.007, nasion[1] + 0.002)])
    face.crease(across, 1.2, -1.1, (0.0, 0.5))
    face.spot(face.on(eye[0] - 0.002, eye[1] + 0.0125), (10, 3.6, 10), 0.8)  # the skin above hangs over the lid


def _brow_inner_up(face: Strokes) -> None:
    """Frontalis, middle part: inner brows raised, short furrows across the middle of the forehead."""
    brow = face.mark("nasion")[1] + 0.012
    face.move(face.on(0.010, brow + 0.002), (10, 11, 20), (-0.4, 6.6, 0.3))
    face.move(face.on(0.024, brow + 0.006), (8, 9, 16), (0.0, 1.8, 0.0))
    face.move(face.on(0.010, brow + 0.018), (13, 11, 22), (0.0, 2.8, 0.0))
    for height, depth in ((0.017, -1.0), (0.026, -1.1), (0.035, -0.8)):
        y = brow + height
        furrow = face.curve([(0.0, y), (0.005, y + 0.0001), (0.013, y + 0.0006), (0.022, y + 0.0012)])
        face.crease(furrow, 1.3, depth, (0.0, 0.55))
        face.crease(furrow + np.array([0, 0.0045, 0]), 1.9, -0.55 * depth, (0.0, 0.55))


def _brow_outer_up(face: Strokes) -> None:
    """Frontalis, lateral part: outer brows raised, furrows above them."""
    brow, outer = face.mark("nasion")[1] + 0.012, face.outer
    face.move(face.on(outer[0] - 0.003, brow + 0.004), (12, 10, 22), (0.3, 6.8, 0.2))
    face.move(face.on(outer[0] + 0.010, brow), (9, 9, 24), (0.4, 5.0, 0.0))
    face.move(face.on(0.022, brow + 0.005), (8, 9, 16), (0.0, 3.2, 0.0))
    face.move(face.on(outer[0] - 0.002, brow + 0.019), (16, 11, 22), (0.0, 3.2, 0.0))
    for height, depth in ((0.019, -0.9), (0.028, -0.9), (0.037, -0.6)):
        furrow = face.curve(
            [
                (0.012, brow + height),
                (0.028, brow + height + 0.002),
                (outer[0] + 0.002, brow + height - 0.004),
            ]
        )
        face.crease(furrow, 1.2, depth, (0.35, 0.45))
        face.crease(furrow + np.array([0, 0.0045, 0]), 1.9, -0.55 * depth, (0.35, 0.45))


def _sneer(face: Strokes) -> None:
    """Levator labii superioris alaeque nasi: the wing of the nose and the lip beside it raised, the nose wrinkled."""
    nasion, tip, wing = face.mark("nasion"), face.mark("nose_tip"), face.wing
    face.move(wing + np.array([-0.002, 0.001, 0.003]), (5.5, 6, 9), (0.6, 4.2, 0.6))
    face.move(face.on(wing[0] + 0.004, wing[1] - 0.009), (7.5, 7, 12), (0.8, 3.4, 0.4))
    side = face.on(0.0115, 0.5 * (nasion[1] + tip[1]))
    face.move(side, (6.5, 8, 10), (-0.2, 2.2, 0.4))
    face.spot(face.on(wing[0] + 0.004, wing[1] + 0.010), (6, 6, 10), 2.0)
    fold = _fold_curve(face)
    face.crease(fold, 2.0, -1.9, (0.02, 0.6))
    face.crease(fold, 3.4, 1.5, (0.04, 0.6), aside=-5.2)
    for k, y in enumerate((nasion[1] - 0.005, nasion[1] - 0.0105, nasion[1] - 0.016)):
        wrinkle = face.curve([(0.0015, y), (0.006, y + 0.0012), (0.0115, y + 0.0045)])
        face.crease(wrinkle, 0.95, -0.85 + 0.1 * k, (0.05, 0.4))
        face.crease(wrinkle, 1.3, 0.55, (0.05, 0.4), aside=-2.6)
    face.move(face.on(0.012, nasion[1] + 0.011), (8, 7, 14), (-0.9, -2.2, 0.4))


def _squint(face: Strokes) -> None:
    """Orbicularis oculi, inner ring: the lids tighten, the skin under them bunches."""
    eye, inner, outer = face.eye, face.inner, face.outer
    bag = face.curve(
        [
            (inner[0] + 0.005, inner[1] - 0.0065),
            (eye[0], eye[1] - 0.0112),
            (outer[0] - 0.002, outer[1] - 0.0065),
        ]
    )
    face.stroke(bag, 2.3, 1.1, (0.2, 0.2))
    face.move(face.on(eye[0], eye[1] - 0.018), (13, 6, 12), (-0.3, 1.6, 0.4))
    face.move(face.on(outer[0] + 0.006, outer[1]), (6, 8, 10), (-1.4, 0.0, 0.2))
    face.move(face.on(outer[0] - 0.004, eye[1] + 0.016), (11, 6, 12), (0.0, -1.2, 0.2))
    _crows_feet(face, 0.7)


def _crows_feet(face: Strokes, amount: float) -> None:
    outer = face.outer
    for angle, length in ((0.50, 0.012), (0.12, 0.014), (-0.28, 0.014), (-0.66, 0.012)):
        c, s = np.cos(angle), np.sin(angle)
        ray = face.curve([(outer[0] + r * c, outer[1] + r * s) for r in (0.0035, 0.6 * length, length + 0.002)])
        face.crease(ray, 0.95, -0.80 * amount, (0.25, 0.5))


def _cheek_squint(face: Strokes) -> None:
    """Orbicularis oculi, outer ring: the cheek raised to the lower lid, folds beside the eye."""
    _cheek(face, 5.0)
    outer = face.outer
    face.move(face.on(outer[0] + 0.008, outer[1] - 0.004), (8, 8, 12), (-1.4, 1.4, 0.4))
    _crows_feet(face, 1.0)


def _puff(face: Strokes) -> None:
    """The cheeks blown up, the lips held against it."""
    corner, outer = face.corner, face.outer
    middle = face.on(0.35 * corner[0] + 0.65 * outer[0] + 0.004, corner[1] + 0.006)
    face.spot(middle, (13, 16, 24), 9.5)
    face.spot(face.on(corner[0] + 0.010, corner[1] - 0.010), (8, 11, 16), 2.6)
    above = face.on(0.008, 0.6 * face.mark("subnasale")[1] + 0.4 * face.mark("upper_lip")[1])
    face.spot(above, (10, 3.5, 12), 1.6)
    face.spot(face.on(0.0, face.mark("sublabiale")[1] - 0.002), (13, 5, 12), 1.8)
    face.move(corner, (5, 6, 10), (-1.6, 0.0, 0.6))


def _dimple(face: Strokes) -> None:
    """Buccinator: corners drawn back and tucked in."""
    corner, along = face.corner, _along_mouth(face)
    p = face.points
    near = np.exp(-0.5 * (((p - corner) / [0.0120, 0.0095, 0.018]) ** 2).sum(1)) * (0.2 + 0.8 * along**1.8)
    face.displace(near[:, None] * np.array([4.6, 0.8, -3.4]) * MM)
    face.spot(face.on(corner[0] + 0.0035, corner[1]), (2.6, 4.5, 9), -2.2)
    face.spot(face.on(corner[0] + 0.0105, corner[1] + 0.001), (4.2, 8, 12), 1.9)


def _stretch(face: Strokes) -> None:
    """Risorius and platysma: corners drawn straight outwards and a little down."""
    corner, along = face.corner, _along_mouth(face)
    p = face.points
    near = np.exp(-0.5 * (((p - corner) / [0.0160, 0.0130, 0.022]) ** 2).sum(1)) * (0.25 + 0.75 * along**1.5)
    face.displace(near[:, None] * np.array([8.0, -2.2, -4.4]) * MM)
    red = np.exp(-0.5 * ((p[:, 1] - corner[1]) / 0.009) ** 2) * (1 - along**2) * (p[:, 2] > corner[2] - 0.004)
    face.displace(red[:, None] * np.array([0.0, 0.0, -1.6]) * MM)
    fold = _fold_curve(face)
    face.crease(fold, 2.0, -1.3, (0.3, 0.2))
    face.crease(fold, 3.2, 1.2, (0.3, 0.25), aside=-5.0)
    face.move(face.on(corner[0] + 0.004, corner[1] - 0.020), (12, 12, 18), (2.0, -1.6, -0.6))


def _press(face: Strokes) -> None:
    """Orbicularis oris: the red pressed thin, the skin around it swollen."""
    corner, along = face.corner, _along_mouth(face)
    p, middle = face.points, face.mark("stomion")[1]
    for name, way in (("upper_lip", -1.0), ("lower_lip", 1.0)):
        border = face.mark(name)
        height = abs(border[1] - middle)
        # The red rolls in: the farther from where the lips meet, the more it comes towards it.
        off = -way * (p[:, 1] - middle) / height
        roll = np.clip(off, 0, 1) * np.exp(-0.5 * (np.clip(off - 1, 0, None) * height / 0.0035) ** 2)
        roll *= (1 - 0.7 * along**2) * (p[:, 2] > corner[2] - 0.006) * (p[:, 0] < corner[0] + 0.002)
        face.displace(roll[:, None] * np.array([0.0, way * 0.46 * height / MM, -1.8]) * MM)
        face.spot(border + np.array([0.009, -way * 0.0055, 0.0]), (10, 3.4, 10), 1.3)
    face.spot(face.on(corner[0] + 0.003, corner[1]), (3.2, 4.5, 9), -1.3)
    face.spot(face.mark("pogonion"), (12, 7, 12), 0.8)


def _upper_up(face: Strokes) -> None:
    """Levator labii superioris, beside what MakeHuman's unit does to the lip: fold, cheek and wing follow."""
    fold = _fold_curve(face)
    face.crease(fold, 1.8, -1.5, (0.03, 0.5))
    face.crease(fold, 3.0, 1.5, (0.05, 0.5), aside=-4.8)
    face.move(face.wing, (6, 6, 9), (0.8, 1.4, 0.2))
    face.move(face.on(face.wing[0] + 0.006, face.wing[1] + 0.004), (9, 8, 12), (0.2, 1.8, 0.8))


def _shrug_lower(face: Strokes) -> None:
    """Mentalis: the pad of the chin pushed up, the groove over it deep."""
    groove_y, front = face.mark("sublabiale")[1], face.mark("pogonion")
    face.move(front, (13, 8, 12), (0.0, 3.2, 1.0))
    face.spot(front + np.array([0.0, 0.001, 0.0]), (10, 6, 12), 1.4)
    groove = face.curve([(0.0, groove_y + 0.0015), (0.008, groove_y + 0.001), (0.015, groove_y - 0.001)])
    face.stroke(groove, 1.8, -1.7, (0.0, 0.5))


def _jaw_open(face: Strokes) -> None:
    """What an open jaw stretches: the cheek sinks between the rows of teeth, the fold lengthens."""
    corner, outer = face.corner, face.outer
    face.spot(face.on(0.35 * corner[0] + 0.65 * outer[0], corner[1] + 0.004), (10, 15, 18), -2.4)
    fold = _fold_curve(face)
    face.crease(fold, 2.6, -1.0, (0.2, 0.2))


MADE: dict[str, Callable[[Strokes], None]] = {
    "mouthSmile": _smile,
    "mouthFrown": _frown,
    "mouthDimple": _dimple,
    "mouthStretch": _stretch,
    "browDown": _brow_down,
    "browInnerUp": _brow_inner_up,
    "browOuterUp": _brow_outer_up,
    "noseSneer": _sneer,
    "eyeSquint": _squint,
    "cheekSquint": _cheek_squint,
    "cheekPuff": _puff,
    "mouthPress": _press,
}
"""Units that are made instead of taken from MakeHuman."""

ADDED: dict[str, Callable[[Strokes], None]] = {
    "mouthUpperUp": _upper_up,
    "mouthShrugLower": _shrug_lower,
    "jawOpen": _jaw_open,
}
"""What is added to MakeHuman's units."""
