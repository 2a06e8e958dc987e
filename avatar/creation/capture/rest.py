"""What counts as rest: a person's calm face is their head's own shape, with all weights at 0 and the eyes ahead.

Landmarks find small weights in any face at rest, and eyes that look down: what a fit cannot tell from the shape. Left
in the poses, an avatar with weights of 0 would be somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from avatar.creation.capture.person_head import Person
from avatar.creation.lids import with_closing_lids
from avatar.flame.arkit import NAMES, indices
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.tracking.driving import DrivingModel
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFitter
from avatar.tracking.landmarker import FaceLandmarks

__all__ = ["CalmPictures", "calm_pictures", "opened", "with_calm_at_rest"]

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


def with_calm_at_rest(person: Person, marks: Sequence[FaceLandmarks], pictures: CalmPictures) -> Person:
    """The person with what fits find in calm pictures moved from the weights into the head.

    The other pictures' weights are told by how they differ from these (see `DrivingModel`), which is nearer than what a
    fit finds; lids that are seen shut are.
    """
    calm = pictures.calm
    usual = np.median([fit.weights for fit in np.array(person.fits, object)[calm]], 0)
    ahead = np.median([fit.gaze for fit in np.array(person.fits, object)[calm]], 0)
    usual[indices(*_AT_EYES)] = 0  # a shape is surer of the lids than eyes that seem to look down
    calm_face = person.head.vertices(person.arkit.params(usual.astype(np.float32))).to(person.head.v_template)
    head = with_closing_lids(_looking(replace(person.head, v_template=calm_face), ahead))
    model, fitter = DrivingModel.shipped(), FaceFitter(FaceModel(head, person.arkit))
    seen = [model.features(picture) for picture in marks]
    rest = np.median([face.values for face, still in zip(seen, calm, strict=True) if still], 0)
    blink, fits = indices(*(name for name, *_ in _EYES)), []
    for fit, face, still, shut in zip(person.fits, seen, calm, pictures.shut, strict=True):
        weights = model.weights(face, rest).astype(np.float64)
        weights[blink] = np.where(shut, 1.0, weights[blink])
        if still:
            weights[:] = 0
        fits.append(fitter.with_gaze(replace(fit, weights=weights), fit.gaze - ahead))
    return replace(person, head=head, fits=tuple(fits))


def _looking(head: HeadModel, gaze: Float[np.ndarray, "2 3"]) -> HeadModel:
    """The head with its eyeballs turned by these (right and left); lids, which poses would take along, stay."""
    template = head.v_template.clone()
    for joint, turn in zip((_RIGHT_EYE, _LEFT_EYE), gaze, strict=True):
        ball = head.lbs_weights[:, joint] > 0.5
        pivot = head.J_regressor[joint] @ head.v_template
        rotation = torch.from_numpy(axis_angle_to_matrix(turn)).to(template)
        template[ball] = (template[ball] - pivot) @ rotation.T + pivot
    return replace(head, v_template=template)
