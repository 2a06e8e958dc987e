"""The forms of a face as sliders: what is modelled on top of the base mesh's phenotype."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EyeForm", "FaceForm"]


@dataclass(frozen=True)
class EyeForm:
    """How the eyes differ from those of the plain anatomy.

    Attributes:
        open_mm: added to the height of the opening.
        longer_mm: added to its length, at the outer corner.
        tilt_mm: how much higher the outer corner is.
        peak: moves the highest point of the upper margin, -1 inwards .. 1 outwards.
        crease_mm: how much of the upper lid shows between margin and fold; 0 for a lid without a fold.
        fold: 0 shallow .. 1 deep: how far the skin above hangs over the crease.
        hood_mm: how far the outer part of the fold hangs down.
        bag: 0 none .. 1 strong: fullness under the eye.
    """

    open_mm: float = 0.6
    longer_mm: float = 0.6
    tilt_mm: float = 0.0
    peak: float = 0.0
    crease_mm: float = 3.4
    fold: float = 0.5
    hood_mm: float = 0.0
    bag: float = 0.25


@dataclass(frozen=True)
class FaceForm:
    """Sliders of the forms. 0 leaves the plain anatomy, 1 is strong; negative values do the opposite.

    Attributes:
        eyes: shape of the lids.
        cheekbone, cheek, apple: bone; fullness below it (negative: hollow); the pad beside the nose.
        nasolabial, tear_trough: folds beside the nose and under the eye.
        brow_ridge, socket, temple, forehead: ridge; depth of the inner corner; hollow; roundness.
        bridge_mm, wings_mm: how much narrower bridge and wings of the nose are.
        tip, crease: definition of the tip of the nose and of the groove around its wings.
        philtrum, bow, lip_border: groove over the lip, its double arch, the rim of the red.
        lips_mm: fullness of the red.
        chin, chin_groove: front of the chin; the groove over it.
        jaw_mm, chin_mm: how much narrower jaw and chin are.
        jaw_line: how sharp the edge of the jaw is.
        neck, throat: muscles from behind the ear to the breastbone; the larynx.
        folds: how deep expressions fold the skin.
        asymmetry: how much the halves differ; 1 as people do.
        asymmetry_seed: in which way.
    """

    eyes: EyeForm = EyeForm()
    cheekbone: float = 0.3
    cheek: float = 0.0
    apple: float = 0.4
    nasolabial: float = 0.35
    tear_trough: float = 0.35
    brow_ridge: float = 0.1
    socket: float = 0.4
    temple: float = 0.2
    forehead: float = 0.0
    bridge_mm: float = 0.0
    wings_mm: float = 0.0
    tip: float = 0.3
    crease: float = 0.6
    philtrum: float = 0.6
    bow: float = 0.3
    lip_border: float = 0.3
    lips_mm: float = 0.0
    chin: float = 0.2
    chin_groove: float = 0.4
    jaw_mm: float = 0.0
    chin_mm: float = 0.0
    jaw_line: float = 0.4
    neck: float = 0.5
    throat: float = 0.0
    folds: float = 0.7
    asymmetry: float = 0.0
    asymmetry_seed: int = 0
