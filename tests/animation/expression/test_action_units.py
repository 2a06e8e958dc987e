from __future__ import annotations

import numpy as np
import pytest

from animation.expression.action_units import EMOTIONS, UNIT_MATRIX, YIELDS, emotion_weights
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


def test_neutral_is_nothing_and_intensity_scales():
    assert not emotion_weights("neutral").any()
    for emotion in EMOTIONS[1:]:
        assert np.allclose(emotion_weights(emotion, 0.5), 0.5 * emotion_weights(emotion), atol=0.02)
        assert not emotion_weights(emotion, 0.0).any()


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
