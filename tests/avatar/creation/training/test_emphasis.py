"""What parts of a head count for more, and which may look different in an expression."""

from __future__ import annotations

import torch

from avatar.creation.training.emphasis import expressive_triangles, face_emphasis
from avatar.heads import open_head


def test_colors_may_change_on_what_an_expression_moves_or_shades_and_nowhere_else() -> None:
    head, _ = open_head()
    shown = expressive_triangles(head)
    inside = {name: torch.isin(head.faces, head.regions[name]).all(1) for name in ("lips", "upper_teeth", "eyes")}
    assert all(bool(shown[part].all()) for part in inside.values())
    low = head.v_template[head.faces].amax(1)[:, 1] < float(head.v_template[head.regions["lips"]][:, 1].amin()) - 0.08
    high = head.v_template[head.faces].amin(1)[:, 1] > float(head.v_template[:, 1].max()) - 0.02
    assert low.any()
    assert high.any()
    assert not shown[low | high].any()


def test_eyes_count_most_and_skin_of_the_neck_once() -> None:
    head, _ = open_head()
    count = face_emphasis(head)
    assert float(count.min()) == 1.0
    assert float(count[torch.isin(head.faces, head.regions["eyes"]).all(1)].min()) == float(count.max())
