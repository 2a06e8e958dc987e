"""What is too faint to be seen is left out, unless an expression shows it."""

from __future__ import annotations

from dataclasses import replace

import torch

from avatar.appearance import Appearance
from avatar.creation.training.pruning import without_faint
from avatar.render.probe import probe_avatar


def test_only_what_no_expression_shows_is_left_out() -> None:
    avatar = probe_avatar(9)
    logits = torch.tensor([2.0, -6.0, -6.0, -6.0, 0.0, -4.0, -6.0, -5.0, -3.0])
    fades = torch.zeros(2, 9)
    fades[0, 2], fades[1, 3], fades[1, 6] = 4.0, -4.0, 0.5
    gaussians = replace(avatar.gaussians, logit_opacities=logits)
    appearance = Appearance.rounded(("jawOpen", "cheekPuff"), torch.zeros(2, 9, 3), fades)
    found = without_faint(replace(avatar, gaussians=gaussians, appearance=appearance))
    kept = [0, 2, 4, 5, 8]
    assert torch.equal(found.gaussians.means, avatar.gaussians.means[kept])
    assert found.appearance is not None and torch.equal(found.appearance.fade_codes, appearance.fade_codes[:, kept])
    assert len(without_faint(replace(avatar, gaussians=gaussians, appearance=None)).gaussians) == 4
