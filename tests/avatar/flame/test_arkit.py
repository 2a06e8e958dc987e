"""The ARKit map is linear, and inverts where it can."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.flame import ArkitMap, arkit
from tests.avatar.synthetic import make_arkit, make_head


def wide_map() -> ArkitMap:
    """A map of full rank: 60 expression coefficients for 52 blendshapes."""
    return make_arkit(make_head(n_expression=60))


def test_names_are_apples_52() -> None:
    assert len(set(arkit.NAMES)) == 52
    assert arkit.NAMES[0] == "eyeBlinkLeft" and arkit.NAMES[17] == "jawOpen" and arkit.NAMES[-1] == "tongueOut"


def test_params_are_linear_in_the_weights() -> None:
    m, g = wide_map(), np.random.default_rng(0)
    a, b = g.random(52, np.float32), g.random(52, np.float32)
    both = m.params(2 * a + b)
    for name in ("expression", "jaw_pose", "leye_pose", "reye_pose"):
        expected = 2 * getattr(m.params(a), name) + getattr(m.params(b), name)
        assert np.allclose(getattr(both, name), expected, atol=1e-4)


def test_weights_inverts_params() -> None:
    m, w = wide_map(), np.random.default_rng(1).random((3, 52), np.float32)
    assert np.abs(m.weights(m.params(w)) - w).max() < 1e-4


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="jawWide"):
        arkit.weights_from_dict({"jawOpen": 1.0, "jawWide": 1.0})
    with pytest.raises(ValueError, match="52 weights"):
        wide_map().params(np.zeros(51, np.float32))
