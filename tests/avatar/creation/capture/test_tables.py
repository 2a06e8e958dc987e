"""What shapes are learned from: heads that are right beside the face too, seen from three sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.creation.capture.rendered_people import various_people
from avatar.creation.capture.tables import _coefficients, learn_shapes
from avatar.heads import open_head
from avatar.library import open_avatar
from avatar.tracking.driving import DrivingModel


@pytest.mark.parametrize("name", ["clara", "amara"])
def test_coefficients_of_a_face_leave_its_skull_and_neck_where_they_are(name: str) -> None:
    head, _ = open_head()
    own = open_avatar(name).head
    face, skin = (np.isin(np.arange(head.n_vertices), head.regions[part].numpy()) for part in ("face", "skin"))
    above = (head.v_template[:, 1] > -0.2).numpy()

    def off_mm(besides: float) -> tuple[float, float]:
        shape = torch.from_numpy(_coefficients(head, own, besides)).to(head.v_template)
        found = head.shaped(shape, torch.zeros(head.n_expression))
        away = (found - own.v_template).norm(dim=1).numpy() * 1e3
        return float(away[face].mean()), float(away[skin & ~face & above].mean())

    (face_alone, beside_alone), (face_too, beside_too) = off_mm(0.0), off_mm(0.3)
    assert face_too < face_alone + 0.2 and beside_too < 2.5 < beside_alone


def test_shapes_are_learned_from_people_who_differ() -> None:
    shares: list[float] = []
    guess = learn_shapes(DrivingModel.shipped(), ["clara"], 2, 0, shares.append)
    head, _ = open_head()
    assert guess.matrix.shape[1] == head.n_shape and np.isfinite(guess.matrix).all() and np.abs(guess.matrix).max() > 0
    assert shares[0] == 0.0 and shares[-1] == 0.5 and shares == sorted(shares)
    clara, face = open_avatar("clara").head, head.regions["face"]
    usual, other = (
        (p.head.v_template - clara.v_template)[face].norm(dim=1).mean() for p in various_people(["clara"], 2, 0)
    )
    assert 0.0005 < usual < other
