from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.speech.lip_controls import bounded_minimum
from animation.speech.lips import default_lips
from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.heads import open_head

BOTH = ("Left", "Right")


def sided(name: str, value: float) -> dict[str, float]:
    return {name + side: value for side in BOTH}


OPENINGS = {
    "jaw": weights_from_dict({"jawOpen": 0.6}),
    "jaw and smile": weights_from_dict({"jawOpen": 0.35, **sided("mouthSmile", 0.9)}),
    "raised upper lip": weights_from_dict(sided("mouthUpperUp", 0.8)),
    "bared teeth": weights_from_dict({**sided("mouthUpperUp", 0.7), **sided("mouthLowerDown", 0.7)}),
    "funnel": weights_from_dict({"mouthFunnel": 0.8, "jawOpen": 0.1}),
    "pucker": weights_from_dict({"mouthPucker": 0.8, "mouthFunnel": 0.3, "jawOpen": 0.15}),
    "stretch": weights_from_dict({"jawOpen": 0.2, **sided("mouthStretch", 0.8)}),
    "one-sided": weights_from_dict({"jawOpen": 0.2, "mouthSmileLeft": 0.6, "mouthUpperUpLeft": 0.5}),
}


@pytest.fixture(scope="module")
def lips():
    return default_lips()


def test_positions_are_those_of_the_posed_head(lips):
    head, arkit = open_head()
    rng = np.random.default_rng(0)
    weights = np.clip(rng.normal(0.1, 0.3, (20, 52)), 0, 1).astype(np.float32)
    index = np.concatenate([head.regions["upper_lip_inner"], head.regions["lower_lip_inner"]])
    expected = 1e3 * head.vertices(arkit.params(weights)).numpy()[:, index]
    found = lips.positions(weights)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-3


def test_the_closed_mouth_is_closed_and_the_open_one_open(lips):
    assert lips.opening_mm(np.zeros(52, np.float32)) < 0.1
    assert lips.opening_mm(weights_from_dict({"jawOpen": 0.5})) > 8.0


@pytest.mark.parametrize("name", OPENINGS)
def test_seal_closes_the_lips_from_any_opening(lips, name):
    weights = OPENINGS[name]
    assert lips.opening_mm(weights) > 1.0
    assert lips.opening_mm(lips.seal(weights, 1.0)) < 0.6
    # And not by driving one lip through the other.
    assert lips.gaps_mm(lips.seal(weights, 1.0)).min() > -1.2


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_seal_closes_the_lips_under_every_emotion(lips, emotion):
    speech = weights_from_dict({"jawOpen": 0.12})
    weights = np.clip(emotion_weights(emotion) + speech, 0, 1)
    assert lips.opening_mm(lips.seal(weights, 1.0)) < 0.5


def test_seal_closes_random_faces(lips):
    rng = np.random.default_rng(1)
    mouth = [i for i, name in enumerate(NAMES) if name.startswith(("mouth", "jawOpen"))]
    openings = []
    for _ in range(150):
        weights = np.zeros(52, np.float32)
        weights[rng.choice(mouth, 5, replace=False)] = rng.uniform(0, 0.6, 5)
        openings.append(float(lips.opening_mm(lips.seal(weights, 1.0))))
    assert np.mean(np.array(openings) < 1.0) > 0.98
    assert np.median(openings) < 0.3


def test_partial_closure_lies_between(lips):
    weights = OPENINGS["jaw"]
    course = [float(lips.opening_mm(lips.seal(weights, c))) for c in np.linspace(0, 1, 11)]
    assert course[0] == pytest.approx(float(lips.opening_mm(weights)))
    assert np.all(np.diff(course) < 0.05)


def test_seal_is_continuous(lips):
    """Small changes of the face make small changes of the seal: nothing flickers."""
    rng = np.random.default_rng(2)
    a, b = (np.clip(rng.normal(0.1, 0.2, 52), 0, 0.7).astype(np.float32) for _ in range(2))
    steps = np.stack([lips.seal((1 - t) * a + t * b, 1.0) for t in np.linspace(0, 1, 201, dtype=np.float32)])
    assert np.abs(np.diff(steps, axis=0)).max() < 0.03


def test_seal_leaves_the_rest_of_the_face(lips):
    weights = np.clip(OPENINGS["jaw and smile"] + weights_from_dict({"browInnerUp": 0.7, "eyeBlinkLeft": 0.4}), 0, 1)
    sealed = lips.seal(weights, 1.0)
    upper = [i for i, name in enumerate(NAMES) if name.startswith(("eye", "brow", "nose", "cheek"))]
    assert np.array_equal(sealed[upper], weights[upper])
    assert np.all((sealed >= 0) & (sealed <= 1))


def test_no_closure_is_no_change(lips):
    assert np.array_equal(lips.seal(OPENINGS["funnel"], 0.0), OPENINGS["funnel"])


def test_the_teeth_s_edge_is_that_of_the_head(lips):
    head, arkit = open_head()
    teeth = 1e3 * head.vertices(arkit.params(OPENINGS["jaw"])).numpy()[head.regions["upper_teeth"].numpy()]
    middle = teeth[np.abs(teeth[:, 0]) < 4]
    lowest = middle[middle[:, 1].argmin()]
    assert lips.edge[len(lips.edge) // 2] == pytest.approx(lowest[1:], abs=2.0)
    assert lips.edge[:, 0].min() == pytest.approx(lowest[1], abs=0.01)
    mouth = lips.template[: lips.n_pairs, 0]
    assert np.ptp(mouth[lips.bitten]) < 0.6 * np.ptp(mouth)


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("jaw", [0.0, 0.15, 0.35])
def test_a_bite_brings_the_lower_lip_to_the_teeth_under_every_emotion(lips, emotion, jaw):
    weights = np.clip(emotion_weights(emotion) + weights_from_dict({"jawOpen": jaw}), 0, 1)
    bitten = lips.bite(weights, 1.0)
    assert -0.2 < lips.over_edge_mm(bitten) < 1.4
    assert lips.opening_mm(bitten) > 1.2, "the upper lip is out of the way"


@pytest.mark.parametrize("name", OPENINGS)
def test_a_bite_is_never_far_off_and_half_of_it_lies_between(lips, name):
    before, half, full = (float(lips.over_edge_mm(lips.bite(OPENINGS[name], a))) for a in (0.0, 0.5, 1.0))
    assert -1.5 < full < 1.4
    assert min(before, full) - 0.1 <= half <= max(before, full) + 0.1


def test_a_bite_is_continuous_and_leaves_the_rest_of_the_face(lips):
    rng = np.random.default_rng(2)
    a, b = (np.clip(rng.normal(0.1, 0.2, 52), 0, 0.7).astype(np.float32) for _ in range(2))
    steps = np.stack([lips.bite((1 - t) * a + t * b, 1.0) for t in np.linspace(0, 1, 201, dtype=np.float32)])
    assert np.abs(np.diff(steps, axis=0)).max() < 0.03
    upper = [i for i, name in enumerate(NAMES) if name.startswith(("eye", "brow", "nose", "cheek"))]
    assert np.array_equal(steps[-1, upper], b[upper])
    assert np.all((steps >= 0) & (steps <= 1))


def test_no_bite_is_no_change(lips):
    assert np.array_equal(lips.bite(OPENINGS["funnel"], 0.0), OPENINGS["funnel"])


def test_bounded_minimum_agrees_with_scipy():
    rng = np.random.default_rng(4)
    for _ in range(50):
        a, b = rng.normal(size=(12, 8)), rng.normal(size=12)
        lower, upper = -rng.uniform(0, 0.5, 8), rng.uniform(0, 0.5, 8)
        lower[0] = upper[1] = 0.0
        hessian = a.T @ a + 1e-3 * np.eye(8)
        guess = rng.integers(-1, 2, 8).astype(np.int8)
        found, _ = bounded_minimum(hessian, -a.T @ b, lower, upper, guess)
        stacked = np.concatenate([a, np.sqrt(1e-3) * np.eye(8)]), np.concatenate([b, np.zeros(8)])
        expected = lsq_linear(*stacked, bounds=(lower - 1e-12, upper + 1e-12), tol=1e-12).x
        assert np.abs(found - expected).max() < 1e-4
