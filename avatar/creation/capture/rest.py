"""What counts as rest: a person's calm face is their head's own shape, with all weights at 0 and the eyes ahead.

Fits find small weights in any face at rest, and eyes that look down: landmarks' mistakes. Left in the poses, an avatar
with weights of 0 would be somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from avatar.creation.capture.person_head import Person, fit_person, person_head
from avatar.creation.lids import with_closing_lids
from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.tracking.driving import DrivingModel
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFit, FaceFitter, Intrinsics
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.shape_guess import ShapeGuess

__all__ = ["CalmPictures", "calm_pictures", "opened", "person_at_rest"]

_CLOSED, _NARROW, _WIDE = 0.03, 0.25, 0.05
"""How far a calm face's lips may be further apart than those most nearly closed, its lids from the usual (share of
it), and the width of its mouth from the usual; distances between the eyes."""
_STEADY = 0.2
"""Share of the pictures that the most nearly closed lips are taken from."""
_SHUT = 0.4
"""Of the lids' usual distance: less is shut."""
_EYES = (("eyeBlinkRight", 159, 145), ("eyeBlinkLeft", 386, 374))
"""With a landmark on the upper and on the lower lid."""

_LEFT_EYE, _RIGHT_EYE = 3, 4
_AT_EYES = tuple(name for name in NAMES if name.startswith("eye"))
_FEW = 3
"""Pictures about from the front that a shape is fitted to where it cannot be guessed."""
_HELD = 1e8
"""Weight at which a fit leaves expressions as they are."""
_AT_ONCE, _ROUNDS = 8, 4


def opened(face: FaceLandmarks) -> tuple[float, float, float]:
    """Lids, lips, and width of the mouth, in distances between the eyes."""
    return float(np.mean(_lids(face))), _apart(face, 13, 14), _apart(face, 61, 291)


def _lids(face: FaceLandmarks) -> list[float]:
    return [_apart(face, upper, lower) for _, upper, lower in _EYES]


def _apart(face: FaceLandmarks, a: int, b: int) -> float:
    return float(np.linalg.norm(face.points[a, :2] - face.points[b, :2])) / max(face.eye_distance, 1e-6)


@dataclass(frozen=True, eq=False)
class CalmPictures:
    """Which of a clip's pictures show the face at rest, and which lids are shut."""

    calm: Bool[np.ndarray, " n"]
    shut: Bool[np.ndarray, "n 2"]
    """Right and left."""


def calm_pictures(pictures: Sequence[FaceLandmarks]) -> CalmPictures:
    """Tell them by lids, lips and the width of the mouth; at least one counts as calm."""
    lids, lips, width = np.array([opened(picture) for picture in pictures]).T
    closed = lips <= np.quantile(lips, _STEADY) + _CLOSED
    usual_lids, usual_width = np.median(lids[closed]), np.median(width[closed])
    off = np.maximum(np.abs(lids - usual_lids) / (_NARROW * usual_lids), np.abs(width - usual_width) / _WIDE)
    calm = closed & (off < 1)
    calm[np.argmin(np.where(closed, off, np.inf))] = True
    return CalmPictures(calm, np.array([_lids(picture) for picture in pictures]) < _SHUT * usual_lids)


def person_at_rest(
    head: HeadModel,
    arkit: ArkitMap,
    marks: Sequence[FaceLandmarks],
    lenses: Sequence[Intrinsics],
    pictures: CalmPictures,
    tell: Callable[[float], None] = lambda share: None,
) -> Person:
    """The person whose head, with all weights at 0, is what calm pictures show.

    What renders of known faces looked like says more of the shape than where landmarks are: these err alike in all
    pictures of a person, and a fit to them is further from the truth than the average head. So the shape is guessed
    (see `ShapeGuess`) if calm pictures show all sides. Else it is fitted, and what fits find in a calm face, which they
    cannot tell from its shape, moves from the weights into the head.

    Weights are told by how pictures differ from calm ones (see `DrivingModel`); lids that are seen shut are.
    """
    model = DrivingModel.shipped()
    seen, calm = [model.features(picture) for picture in marks], np.flatnonzero(pictures.calm).tolist()
    shape, usual = ShapeGuess.shipped()([seen[k] for k in calm]), np.zeros(len(NAMES))
    if shape is None or len(shape) != head.n_shape:
        few = sorted(calm, key=lambda k: abs(seen[k].turn_deg))[:_FEW]
        fitted = fit_person(head, arkit, [marks[k] for k in few], [lenses[k] for k in few])
        shape, usual = fitted[0].shape, np.median([fit.weights for fit in fitted], 0)
        usual[indices(*_AT_EYES)] = 0  # a shape is surer of the lids than eyes that seem to look down
    rest = np.median([seen[k].values for k in calm], 0)
    fitter, blink, start = FaceFitter(FaceModel(head, arkit)), indices(*(name for name, *_ in _EYES)), []
    for k, (picture, lens) in enumerate(zip(marks, lenses, strict=True)):
        weights = model.weights(seen[k], rest).astype(np.float64)
        weights[blink] = np.where(pictures.shut[k], 1.0, weights[blink])
        if pictures.calm[k]:
            weights[:] = 0
        start.append(replace(fitter.begin(picture, lens, shape), weights=weights))
    fits: list[FaceFit] = []
    for k in range(0, len(marks), _AT_ONCE):
        tell(k / len(marks))
        some = slice(k, k + _AT_ONCE)
        fits += fitter.fit_all(marks[some], lenses[some], start[some], shape=False, rounds=_ROUNDS, calm=_HELD)
    person = person_head(head, arkit, marks, lenses, fits, believed=0.0)
    gaze = np.median([fits[k].gaze for k in calm], 0)
    calm_face = person.head.vertices(person.arkit.params(usual.astype(np.float32))).to(head.v_template)
    own = with_closing_lids(_looking(replace(person.head, v_template=calm_face), gaze))
    fitter = FaceFitter(FaceModel(own, person.arkit))
    turned = (
        fitter.with_gaze(replace(fit, weights=begun.weights), fit.gaze - gaze)
        for fit, begun in zip(person.fits, start, strict=True)
    )
    return replace(person, head=own, fits=tuple(turned))


def _looking(head: HeadModel, gaze: Float[np.ndarray, "2 3"]) -> HeadModel:
    """The head with its eyeballs turned by these (right and left); lids, which poses would take along, stay."""
    template = head.v_template.clone()
    for joint, turn in zip((_RIGHT_EYE, _LEFT_EYE), gaze, strict=True):
        ball = head.lbs_weights[:, joint] > 0.5
        pivot = head.J_regressor[joint] @ head.v_template
        rotation = torch.from_numpy(axis_angle_to_matrix(turn)).to(template)
        template[ball] = (template[ball] - pivot) @ rotation.T + pivot
    return replace(head, v_template=template)
