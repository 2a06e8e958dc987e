from __future__ import annotations

import numpy as np
import pytest

from animation.blendshapes.joining import add, hold_back
from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.speech.channels import LIP_IN
from animation.speech.mouth import MouthMap
from avatar.flame.arkit import indices, weights_from_dict

ZERO = np.zeros(52, np.float32)


def join(speech: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    return add(speech, hold_back(speech, emotion))


def test_speech_alone_and_emotion_alone_pass_through():
    speech = weights_from_dict({"jawOpen": 0.3, "mouthPucker": 0.2})
    assert np.allclose(join(speech, ZERO), speech)
    assert np.allclose(join(ZERO, emotion_weights("sad")), emotion_weights("sad"))


def test_the_upper_face_is_the_emotion_s():
    speech = MouthMap().weights(np.array([0.6, 0, 0.4, 0.2, 0, 0, 0], np.float32))
    brows = indices("browInnerUp", "browOuterUpLeft", "eyeWideRight", "browDownLeft")
    for emotion in EMOTIONS:
        fused = join(speech, emotion_weights(emotion))
        assert np.allclose(fused[brows], emotion_weights(emotion)[brows])


def test_weights_stay_in_range_and_two_jaws_do_not_add_up():
    shout = weights_from_dict({"jawOpen": 0.8, "mouthSmileLeft": 0.9})
    fused = join(shout, shout)
    assert fused.min() >= 0 and fused.max() <= 1
    assert fused[indices("jawOpen")[0]] == pytest.approx(0.96)


def test_a_smile_yields_to_rounded_lips():
    smile = indices("mouthSmileLeft")[0]
    rounded = weights_from_dict({"mouthPucker": 0.8})
    happy = emotion_weights("happy")
    assert join(rounded, happy)[smile] < 0.5 * happy[smile]


@pytest.mark.parametrize("emotion", ["happy", "surprised", "afraid", "disgusted"])
def test_parted_lips_and_a_dropped_jaw_yield_to_f_and_v(emotion):
    f = np.zeros(7, np.float32)
    f[LIP_IN] = 1.0
    opening = indices("jawOpen", "mouthUpperUpLeft", "mouthLowerDownRight")
    felt = emotion_weights(emotion)
    assert np.all(hold_back(MouthMap().weights(f), felt)[opening] <= 0.15 * felt[opening])


def test_batches_are_rows():
    rng = np.random.default_rng(0)
    speech, emotion = rng.uniform(0, 0.5, (2, 3, 4, 52)).astype(np.float32)
    batch = join(speech, emotion)
    for i in np.ndindex(3, 4):
        assert np.allclose(batch[i], join(speech[i], emotion[i]), atol=1e-6)


def test_inputs_are_left_alone():
    speech, emotion = weights_from_dict({"mouthPucker": 0.8}), emotion_weights("happy")
    before = speech.copy(), emotion.copy()
    join(speech, emotion)
    assert np.array_equal(speech, before[0]) and np.array_equal(emotion, before[1])
