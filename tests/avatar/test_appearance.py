"""What expressions do to colors: linear, rounded to 8 bits, and in step with the Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.appearance import Appearance
from avatar.flame.arkit import NAMES, weights_from_dict
from tests.avatar.synthetic import make_avatar

CHANNELS = ("jawOpen", "mouthSmileLeft")


def _appearance(n: int = 200) -> tuple[torch.Tensor, torch.Tensor, Appearance]:
    g = torch.Generator().manual_seed(0)
    tints, fades = torch.randn(2, n, 3, generator=g), torch.randn(2, n, generator=g)
    return tints, fades, Appearance.rounded(CHANNELS, tints, fades)


def test_rounding_is_within_half_a_step_and_happens_once() -> None:
    tints, fades, found = _appearance()
    assert bool(((found.tints - tints).abs() <= found.tint_steps[:, None, None] * 0.501).all())
    assert bool(((found.fades - fades).abs() <= found.fade_steps[:, None] * 0.501).all())
    again = Appearance.rounded(CHANNELS, found.tints, found.fades)
    assert torch.equal(again.tint_codes, found.tint_codes) and torch.equal(again.fade_codes, found.fade_codes)


def test_nothing_changes_at_rest_and_changes_add_up() -> None:
    _, _, appearance = _appearance()
    bound = make_avatar().gaussians
    rest = appearance.applied(bound, np.zeros(2, np.float32))
    assert torch.equal(rest.sh, bound.sh) and torch.equal(rest.logit_opacities, bound.logit_opacities)
    a, b, both = (
        appearance.applied(bound, np.array(w, np.float32)).sh - bound.sh for w in ([0.5, 0], [0, 0.25], [0.5, 0.25])
    )
    assert torch.allclose(a + b, both, atol=1e-6)
    assert not both[:, 1:].any(), "only what does not depend on the view changes"


def test_it_follows_the_order_of_the_gaussians() -> None:
    _, _, appearance = _appearance()
    index = torch.randperm(200)[:50]
    some = appearance.reordered(index)
    assert len(some) == 50
    assert torch.equal(some.tints, appearance.tints[:, index])


def test_weights_come_from_the_pose_or_are_recovered_from_it() -> None:
    avatar = make_avatar()
    _, _, appearance = _appearance()
    weights = weights_from_dict({"jawOpen": 0.5})
    known = avatar.head.neutral().replace(blendshape_weights=weights)
    np.testing.assert_array_equal(appearance.weights(avatar.arkit, known), [0.5, 0.0])
    pose = avatar.arkit.params(weights).replace(blendshape_weights=None)
    expected = avatar.arkit.weights(pose)[[NAMES.index(c) for c in CHANNELS]]
    np.testing.assert_allclose(appearance.weights(avatar.arkit, pose), expected)


def test_what_does_not_fit_is_refused() -> None:
    tints, fades, appearance = _appearance()
    with pytest.raises(ValueError, match="not an ARKit blendshape"):
        Appearance.rounded(("smile", "jawOpen"), tints, fades)
    with pytest.raises(ValueError, match="fade_codes"):
        Appearance(CHANNELS, appearance.tint_codes, appearance.tint_steps, appearance.fade_codes[:, 1:], torch.zeros(2))
