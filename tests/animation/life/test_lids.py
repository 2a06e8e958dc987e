from __future__ import annotations

import numpy as np
import pytest

from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.life.lids import LidModel, default_lids
from avatar.flame.arkit import indices, weights_from_dict
from avatar.heads import open_head


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_blink_shuts_the_lids_just_so(emotion):
    """On the posed head the margins of the lids end up where they meet in a plain blink, whatever else moves them."""
    head, arkit = open_head()
    weights = emotion_weights(emotion)
    weights[indices("eyeLookDownLeft", "eyeLookDownRight")] = 0.4
    default_lids().close(weights, 1.0)
    plain = weights_from_dict({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    for side in ("left", "right"):
        upper, lower = (head.regions[f"{lid}_lid_margin_{side}"].numpy() for lid in ("upper", "lower"))
        height = [
            1e3 * float((v[upper, 1] - v[lower, 1]).mean())
            for v in (head.vertices(arkit.params(w)).numpy() for w in (weights, plain))
        ]
        assert height[0] == pytest.approx(height[1], abs=0.35)


def test_half_a_blink_half_closes():
    lids = default_lids()
    weights = emotion_weights("surprised")
    start = lids.height_mm(weights)
    halfway, full = weights.copy(), weights.copy()
    lids.close(halfway, 0.5)
    lids.close(full, 1.0)
    assert np.allclose(lids.height_mm(halfway), (start + lids.height_mm(full)) / 2, atol=1e-3)


def test_lids_need_their_regions():
    head, arkit = open_head()
    head.regions.pop("upper_lid_margin_left")
    with pytest.raises(ValueError, match="upper_lid_margin_left"):
        LidModel.from_head(head, arkit)
