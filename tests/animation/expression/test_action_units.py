from __future__ import annotations

import numpy as np
import pytest

from animation.expression.action_units import UNIT_MATRIX, YIELDS, shape_units, unit_vector
from animation.expression.prototypes import EMOTIONS, FEELINGS, PROTOTYPES, emotion_weights
from avatar.flame.arkit import NAMES, indices

# The action units that EMFACS names for each emotion, as ARKit blendshapes, and some that would belie it.
SIGNS = {
    "happy": (["mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft"], ["browDownLeft", "mouthFrownLeft"]),
    "sad": (["browInnerUp", "mouthFrownLeft", "mouthFrownRight"], ["mouthSmileLeft", "eyeWideLeft"]),
    "surprised": (["browInnerUp", "browOuterUpLeft", "eyeWideRight", "jawOpen"], ["browDownLeft"]),
    "afraid": (["browInnerUp", "browDownLeft", "eyeWideLeft", "mouthStretchLeft"], ["mouthSmileLeft"]),
    "disgusted": (["noseSneerLeft", "mouthUpperUpLeft"], ["browInnerUp", "mouthSmileLeft"]),
    "angry": (["browDownLeft", "browDownRight", "eyeSquintLeft", "mouthPressLeft"], ["browInnerUp", "mouthSmileLeft"]),
    "contempt": (["mouthSmileLeft", "mouthDimpleLeft"], ["mouthSmileRight", "mouthDimpleRight"]),
}


@pytest.mark.parametrize("emotion", SIGNS)
def test_each_emotion_shows_its_action_units(emotion):
    shown, absent = SIGNS[emotion]
    weights = emotion_weights(emotion)
    assert np.all(weights[indices(*shown)] > 0.2)
    assert np.all(weights[indices(*absent)] == 0)


def test_neutral_is_nothing_and_intensity_never_takes_back():
    assert not emotion_weights("neutral").any()
    for emotion in FEELINGS[1:]:
        course = np.stack([emotion_weights(emotion, i) for i in np.linspace(0, 1, 11)])
        assert not course[0].any() and np.all(np.diff(course, axis=0) >= 0)
        assert 0.5 < course[5].sum() / course[10].sum() < 0.7


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_variants_are_nearer_to_their_own_emotion_than_to_any_other(emotion):
    def face(units: np.ndarray) -> np.ndarray:
        return np.clip(units @ UNIT_MATRIX, 0, 1)

    full = {name: emotion_weights(name) for name in EMOTIONS}
    for units in PROTOTYPES[emotion].variants:
        distance = {name: np.linalg.norm(face(units) - weights) for name, weights in full.items()}
        assert min(distance, key=distance.__getitem__) == emotion


def test_units_have_names():
    with pytest.raises(KeyError):
        unit_vector({"99": 1.0})
    weights = {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "browDownLeft": 0.2, "jawOpen": 0.1}
    assert np.allclose(unit_vector(shape_units(weights)) @ UNIT_MATRIX, [weights.get(name, 0.0) for name in NAMES])


def test_emotions_differ():
    full = np.stack([emotion_weights(e) for e in EMOTIONS])
    distance = np.abs(full[:, None] - full[None]).sum(-1)
    assert distance[~np.eye(len(EMOTIONS), dtype=bool)].min() > 1.0


def test_symmetric_but_for_contempt():
    for emotion in EMOTIONS:
        w = emotion_weights(emotion)
        pairs = [
            (n, n.replace("Left", "Right")) for n in NAMES if n.endswith("Left") and n.replace("Left", "Right") in NAMES
        ]
        same = all(w[NAMES.index(a)] == w[NAMES.index(b)] for a, b in pairs)
        assert same == (emotion != "contempt")


def test_only_the_mouth_s_units_yield_to_speech():
    mouth = [i for i, name in enumerate(NAMES) if name.startswith(("mouth", "jaw"))]
    upper = [i for i, name in enumerate(NAMES) if name.startswith(("brow", "eye", "cheekSquint"))]
    assert np.all(UNIT_MATRIX[YIELDS == 0][:, mouth] == 0)
    assert np.all(UNIT_MATRIX[YIELDS > 0][:, upper] == 0)
