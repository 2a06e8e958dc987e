from __future__ import annotations

import numpy as np
import pytest

from animation.speech.articulation import targets
from animation.speech.channels import CHANNELS, TONGUE
from animation.speech.mouth import ClosureGate, MouthMap
from avatar.flame.arkit import NAMES, indices
from avatar.heads import open_head


@pytest.fixture(scope="module")
def mouth():
    return MouthMap()


def of(**channels: float) -> np.ndarray:
    return np.array([channels.get(name, 0.0) for name in CHANNELS], np.float32)


def gate_course(probabilities: list[float], gate: ClosureGate | None = None) -> list[float]:
    state = (gate or ClosureGate()).start()
    return [state.feed(p, 1.0, 0.0) for p in probabilities]


def test_lips_rest_closed_in_silence(mouth):
    rest = targets("SIL")
    assert mouth.lip_gap_mm(mouth.weights(rest)) < 0.1
    # A model's silence is never exact.
    rng = np.random.default_rng(0)
    noisy = rest + rng.normal(0, 0.03, (50, 7)).astype(np.float32)
    assert mouth.lip_gap_mm(mouth.weights(noisy)).mean() < 0.3


SOUNDS = ("P", "B", "M", "S", "T", "AA", "IY", "UW", "K", "R")


def test_only_p_b_m_close_the_lips(mouth):
    openings = {p: float(mouth.lip_gap_mm(mouth.weights(targets(p)))) for p in SOUNDS}
    assert all(openings[p] < 0.1 for p in "PBM")
    assert all(openings[p] > 1.0 for p in openings if p not in "PBM")
    assert openings["AA"] > 9.0 > openings["IY"]


def test_articulation_is_symmetric(mouth):
    weights = mouth.weights(np.random.default_rng(1).uniform(0, 1, (20, 7)).astype(np.float32), closure=0.5)
    for i, name in enumerate(NAMES):
        if name.endswith("Left") and name.replace("Left", "Right") in NAMES:
            assert np.allclose(weights[:, i], weights[:, NAMES.index(name.replace("Left", "Right"))], atol=0.02)
    assert not weights[:, [NAMES.index(n) for n in ("mouthLeft", "mouthRight", "jawLeft", "jawRight")]].any()


def corners_and_depth(mouth: MouthMap, articulation: np.ndarray) -> tuple[float, float]:
    """Width of the mouth and how far the lips stand forward, mm, on the posed head."""
    head, arkit = open_head()
    vertices = 1e3 * head.vertices(arkit.params(mouth.weights(articulation))).numpy()
    left, right = (vertices[head.regions[f"mouth_corner_{side}"]].mean(0) for side in ("left", "right"))
    return float(left[0] - right[0]), float(vertices[head.regions["upper_lip_inner"]][:, 2].max())


def test_rounding_narrows_and_protrudes_and_spreading_widens(mouth):
    width, depth = corners_and_depth(mouth, of(jaw=0.15))
    round_width, round_depth = corners_and_depth(mouth, of(jaw=0.15, rounding=1.0))
    spread_width, _ = corners_and_depth(mouth, of(jaw=0.15, spread=0.8))
    assert round_width < width - 6.0 and round_depth > depth + 3.0
    assert spread_width > width + 3.0


def test_lower_lip_meets_the_upper_teeth_on_f(mouth):
    head, arkit = open_head()

    def lip_below_teeth_mm(articulation: np.ndarray) -> float:
        vertices = 1e3 * head.vertices(arkit.params(mouth.weights(articulation))).numpy()
        teeth = vertices[head.regions["upper_teeth"]]
        front = teeth[(np.abs(teeth[:, 0]) < 6)]
        return float(front[:, 1].min() - vertices[head.regions["lower_lip_inner"]][4:7, 1].max())

    assert lip_below_teeth_mm(targets("F")) < 0.5
    assert lip_below_teeth_mm(targets("AH")) > 2.0


def test_gain_scales_the_movement_and_not_the_seal(mouth):
    vowel = targets("AE")
    gaps = [float(mouth.lip_gap_mm(mouth.weights(vowel, gain=g))) for g in (0.5, 1.0, 1.5)]
    assert gaps[0] < gaps[1] < gaps[2]
    assert mouth.lip_gap_mm(mouth.weights(targets("M"), gain=1.8)) < 0.2


def test_weights_stay_in_range_whatever_comes_in(mouth):
    wild = np.random.default_rng(2).normal(0.5, 2, (50, 7)).astype(np.float32)
    weights = mouth.weights(wild, gain=2.0, closure=1.0)
    assert weights.dtype == np.float32 and weights.min() >= 0 and weights.max() <= 1


def test_gate_seals_with_the_pose_that_is_sure():
    assert gate_course([0, 0, 0.9, 0.9, 0, 0])[2] == 1.0


def test_gate_holds_at_least_two_poses_and_opens_within_three():
    course = gate_course([0, 0.9, 0, 0, 0, 0])
    assert course[1:3] == [1.0, 1.0]
    assert course[4] == course[5] == 0.0


def test_gate_has_hysteresis():
    assert gate_course([0.6, 0.4, 0.4, 0.35])[1:] == [1.0, 1.0, 1.0]
    assert max(gate_course([0.2, 0.22, 0.2])) == 0.0
    assert gate_course([0.4, 0.4])[1] < 1.0


def test_gate_trusts_closed_lips_only_while_the_voice_sounds():
    silent, voiced = ClosureGate().start(), ClosureGate().start()
    assert silent.feed(0.0, 0.0, 1.0) == 0.0
    assert voiced.feed(0.0, 1.0, 0.95) == 1.0


def test_the_tip_of_the_tongue_rises_for_l_and_shows_for_th_only() -> None:
    mouth = MouthMap()
    tongue = np.zeros((5, 7), np.float32)
    tongue[:, TONGUE] = 0.3, 0.58, 0.8, 0.95, 1.0  # a vowel, s, l, and a th as it comes and is there
    tip, out = mouth.tongue_tip(tongue), mouth.weights(tongue)[:, indices("tongueOut")[0]]
    assert tip[0] == 0 and 0 < tip[1] < 0.4 and tip[2] == 1
    assert tip[2] > tip[3] > tip[4] == pytest.approx(0.3)
    assert (out[:3] == 0).all() and 0 < out[3] < out[4]
