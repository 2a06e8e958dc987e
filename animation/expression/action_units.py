"""Facial action units as ARKit blendshapes: what the prototypes of the emotions are made of.

The blendshapes themselves, and pairs of them, count as units of their own, so that the expressions of
`animation.expression.named` live and yield to speech as the emotions do.

Reference: Ekman, Friesen and Hager, "Facial Action Coding System", 2002; the naming of blendshapes by action unit
follows Apple's ARKit documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.flame.arkit import NAMES, weights_from_dict

__all__ = ["IN_MOUTH", "LATENESS", "UNIT_MATRIX", "UNIT_NAMES", "YIELDS", "shape_units", "unit_vector"]


def _sided(**weights: float) -> dict[str, float]:
    """Weights for both sides of the blendshapes whose names end in Left and Right."""
    return {name + side: value for name, value in weights.items() for side in ("Left", "Right")}


@dataclass(frozen=True)
class _ActionUnit:
    weights: dict[str, float]
    """Blendshapes at the unit's full intensity."""
    yields: float = 0.0
    """How much of it gives way while the mouth speaks; 0 for the upper face."""
    lateness: float = 0.78
    """How an emotion's intensity brings the unit in: its power. Usually below 1, as a movement too small to be seen
    counts for nothing: features that move half as far look weaker than half. What names a feeling comes in first; what
    only makes it bigger, such as a dropped jaw, comes later."""


_UNITS: dict[str, _ActionUnit] = {
    "1": _ActionUnit({"browInnerUp": 1.0}, 0.0, 0.62),
    "2": _ActionUnit(_sided(browOuterUp=1.0), 0.0, 0.66),
    "4": _ActionUnit(_sided(browDown=1.0), 0.0, 0.66),
    "5": _ActionUnit(_sided(eyeWide=1.0), 0.0, 0.6),
    "6": _ActionUnit(_sided(cheekSquint=1.0, eyeSquint=0.15)),
    "7": _ActionUnit(_sided(eyeSquint=1.0)),
    "9": _ActionUnit(_sided(noseSneer=1.0), 0.0, 0.62),
    "10": _ActionUnit(_sided(mouthUpperUp=0.7), 0.3, 0.68),
    "12": _ActionUnit(_sided(mouthSmile=1.0, mouthDimple=0.3), 0.06, 0.72),
    "12L": _ActionUnit({"mouthSmileLeft": 1.0}, 0.1, 0.68),
    "14L": _ActionUnit({"mouthDimpleLeft": 1.0}, 0.1, 0.68),
    "15": _ActionUnit(_sided(mouthFrown=1.0), 0.1, 0.68),
    "16": _ActionUnit(_sided(mouthLowerDown=0.7), 0.2, 1.0),
    "17": _ActionUnit({"mouthShrugLower": 0.7}, 0.5),
    "20": _ActionUnit(_sided(mouthStretch=1.0), 0.2, 0.6),
    "22": _ActionUnit({"mouthFunnel": 0.6}, 0.8, 1.2),
    "23": _ActionUnit(_sided(mouthPress=0.5) | {"mouthRollLower": 0.3, "mouthRollUpper": 0.25}, 0.6),
    "24": _ActionUnit(_sided(mouthPress=0.9), 0.6),
    "25": _ActionUnit(_sided(mouthLowerDown=0.45, mouthUpperUp=0.45), 0.5, 0.9),
    "26": _ActionUnit({"jawOpen": 0.4}, 0.85, 0.9),
    "43": _ActionUnit(_sided(eyeBlink=1.0)),
}

# How much the blendshapes of an expression give way while the mouth speaks; by the beginning of the name.
_SHAPE_YIELDS = {
    "mouthSmile": 0.15, "mouthDimple": 0.2, "mouthFrown": 0.3, "mouthStretch": 0.4, "mouthUpperUp": 0.5,
    "mouthLowerDown": 0.5, "mouth": 0.8, "jaw": 0.9, "tongueOut": 0.9, "cheekPuff": 0.85, "noseSneer": 0.1,
}  # fmt: skip


def _shape_units() -> dict[str, _ActionUnit]:
    """Every blendshape as a unit, and every pair of them."""
    pairs = {name.removesuffix("Left"): _sided(**{name[:-4]: 1.0}) for name in NAMES if name.endswith("Left")}
    pairs = {name: weights for name, weights in pairs.items() if set(weights) <= set(NAMES)}
    units = {}
    for name, weights in (pairs | {name: {name: 1.0} for name in NAMES}).items():
        yields = next((value for start, value in _SHAPE_YIELDS.items() if name.startswith(start)), 0.0)
        units[name] = _ActionUnit(weights, yields)
    return units


def shape_units(weights: Mapping[str, float]) -> dict[str, float]:
    """Blendshapes as units; two sides that are alike as one."""
    units = {}
    for name, value in weights.items():
        base = name.removesuffix("Left").removesuffix("Right")
        alike = base != name and weights.get(f"{base}Left") == weights.get(f"{base}Right")
        units[base if alike else name] = value
    return units


_UNITS |= _shape_units()

UNIT_NAMES = tuple(_UNITS)
UNIT_MATRIX = np.stack([weights_from_dict(unit.weights) for unit in _UNITS.values()])
"""Action units by blendshapes."""
YIELDS = np.array([unit.yields for unit in _UNITS.values()])
"""How much of each action unit gives way while the mouth speaks."""
LATENESS = np.array([unit.lateness for unit in _UNITS.values()])
"""The power of an emotion's intensity by which each unit comes in."""
IN_MOUTH = np.array([any(name.startswith(("mouth", "jaw", "tongue")) for name in u.weights) for u in _UNITS.values()])
"""Which units move the lips: the same whatever the seed."""


def unit_vector(units: Mapping[str, float]) -> Float[np.ndarray, " u"]:
    """Intensities by name as a vector in the order of `UNIT_NAMES`.

    Raises:
        KeyError: for a name that is no unit.
    """
    vector = np.zeros(len(UNIT_NAMES))
    for name, value in units.items():
        vector[_INDEX[name]] = value
    return vector


_INDEX = {name: k for k, name in enumerate(UNIT_NAMES)}
