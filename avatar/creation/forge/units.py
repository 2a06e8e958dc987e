"""The 52 face units of a head: the sculpted ones, corrected for this head.

What a unit does to the lids is worked out on the ball; the rest comes from MakeHuman's face units. Displacements in
metres in the head's numbering. jawOpen and mouthClose are those of a jaw that is not turned; the joints are fitted to
them later.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from avatar.creation.forge import sculpt
from avatar.creation.forge.body import Body, part_vertices
from avatar.creation.forge.crop import Crop
from avatar.creation.forge.expressions import ADDED, MADE, one_side
from avatar.creation.forge.face_form import FaceForm
from avatar.creation.forge.joints import rigid_motion
from avatar.creation.forge.lids import Lids
from avatar.creation.forge.makehuman import face_units
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.strokes import Strokes

__all__ = ["sculpted_units"]

_SIDES = ("Left", "Right")
# What the units that move lids do to the margins in their middle, millimetres: upper, lower.
_LIDS_MM = {
    "eyeWide": (2.1, -0.7),
    "eyeSquint": (-1.1, 2.3),
    "cheekSquint": (-0.4, 1.8),
    "mouthSmile": (0.0, 1.0),
    "noseSneer": (0.0, 0.7),
    "eyeLookUp": (1.7, 0.7),
    "eyeLookDown": (-4.2, -1.7),
}
_STILL_M = (1e-5, 4e-5)
_LOOKS = ("Up", "Down", "In", "Out")


def sculpted_units(
    vertices: Float[np.ndarray, "v 3"], body: Body, crop: Crop, lids: Lids, form: FaceForm
) -> dict[str, Float[np.ndarray, "v 3"]]:
    """The units of a head at rest.

    Args:
        vertices: the head.
        body: what it was cut from.
        crop: how.
        lids: its lids.
        form: what was modelled.
    """
    marks, members, skin = crop.marks, crop.members, crop.regions["skin"]
    tongue = members["tongue"]
    sculpted = face_units()
    units = {name: crop.carry @ field / 10 for name, field in sculpted.items()}
    for name in units:
        if name.startswith(("eyeBlink", "eyeLook")):
            units[name][skin] = 0
    face = Strokes(vertices, lids.centre, marks, crop.skin_quads, skin, form.folds)
    for stem, made in (MADE | ADDED).items():
        made(face)
        whole = _with_lining(_ended(face.taken()), crop)
        for side, sign in (("", 0.0),) if stem in units else (("Left", 1.0), ("Right", -1.0)):
            unit = whole if sign == 0 else one_side(whole, vertices[:, 0], sign)
            units[stem + side] = unit + (units[stem + side] if stem in ADDED else 0)
    units = {name: lids.steady(unit) for name, unit in units.items()}
    for stem, (upper, lower) in _LIDS_MM.items():
        _add(units, stem, lids, lids.lift(upper, lower))
    _add(units, "eyeBlink", lids, lids.blink())
    for side in _SIDES:
        for look in _LOOKS:
            _turn_ball(units[f"eyeLook{look}{side}"], f"eyeLook{look}{side}", vertices, body, members, sculpted)
    for name, correction in sculpt.seal_units(vertices, units, marks).items():
        units[name] = units[name] + correction
    units["jawOpen"] = units["jawOpen"] + sculpt.tongue_flattening(vertices, tongue)
    units["tongueOut"] = units["tongueOut"] + sculpt.tongue_raising(vertices, tongue)
    return units


def _ended(unit: np.ndarray) -> np.ndarray:
    """A unit whose tails end where nobody sees them: what no unit moves must stay wholly still."""
    return unit * smoothstep(np.linalg.norm(unit, axis=1), *_STILL_M)[:, None]


def _with_lining(unit: np.ndarray, crop: Crop) -> np.ndarray:
    """A unit of the skin, with the lining of the lips behind it following."""
    rings = crop.marks.mouth.rings
    bag = rings[crop.marks.mouth.bag]
    inside = crop.regions["mouth_interior"]
    out = unit.copy()
    distance, nearest = cKDTree(crop.rest[bag]).query(crop.rest[inside])
    out[inside] = unit[bag][nearest] * np.exp(-0.5 * (distance / 0.008) ** 2)[:, None]
    return out


def _add(units: dict[str, np.ndarray], stem: str, lids: Lids, left: np.ndarray) -> None:
    units[f"{stem}Left"] = units[f"{stem}Left"] + left
    units[f"{stem}Right"] = units[f"{stem}Right"] + lids.mirrored(left)


def _turn_ball(
    unit: np.ndarray,
    name: str,
    vertices: np.ndarray,
    body: Body,
    members: Mapping[str, np.ndarray],
    sculpted: Mapping[str, np.ndarray],
) -> None:
    """Turn the ball as far as the sculpted unit turns the base mesh's."""
    part = f"eye_{'left' if name.endswith('Left') else 'right'}"
    helper = part_vertices()[part]
    rotation, _ = rigid_motion(body.raw[helper], body.raw[helper] + sculpted[name][helper] / 10)
    ball = vertices[members[part]]
    unit[members[part]] = (ball - ball.mean(0)) @ (rotation - np.eye(3)).T
