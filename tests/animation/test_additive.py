from __future__ import annotations

import numpy as np
import pytest

from animation.blendshapes import AdditiveFusion
from animation.emotion import EMOTIONS, emotion_weights
from animation.lips import default_lips
from animation.mouth import MouthMap
from avatar.flame.arkit import indices, weights_from_dict

ZERO = np.zeros(52, np.float32)


@pytest.fixture(scope="module")
def fusion():
    return AdditiveFusion()


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("jaw", (0.05, 0.3, 0.8))
def test_no_emotion_keeps_the_lips_open_on_a_seal(fusion, emotion, jaw):
    articulation = np.array([jaw, 1.0, 0.1, 0.2, 0.0, 0.0, 0.1], np.float32)
    speech = MouthMap().weights(articulation, closure=1.0)
    fused = fusion.fuse(speech, emotion_weights(emotion), 1.0)
    assert default_lips().opening_mm(fused) < 0.5


def test_speech_alone_and_emotion_alone_pass_through(fusion):
    speech = weights_from_dict({"jawOpen": 0.3, "mouthPucker": 0.2})
    assert np.allclose(fusion.fuse(speech, ZERO, 0.0), speech)
    assert np.allclose(fusion.fuse(ZERO, emotion_weights("sad"), 0.0), emotion_weights("sad"))


def test_the_upper_face_is_the_emotion_s(fusion):
    speech = MouthMap().weights(np.array([0.6, 0, 0.4, 0.2, 0, 0, 0], np.float32))
    brows = indices("browInnerUp", "browOuterUpLeft", "eyeWideRight", "browDownLeft")
    for emotion in EMOTIONS:
        fused = fusion.fuse(speech, emotion_weights(emotion), 1.0)
        assert np.allclose(fused[brows], emotion_weights(emotion)[brows])


def test_weights_stay_in_range_and_two_jaws_do_not_add_up(fusion):
    shout = weights_from_dict({"jawOpen": 0.8, "mouthSmileLeft": 0.9})
    fused = fusion.fuse(shout, shout, 0.0)
    assert fused.min() >= 0 and fused.max() <= 1
    assert fused[indices("jawOpen")[0]] == pytest.approx(0.96)


def test_a_smile_yields_to_rounded_lips(fusion):
    smile = indices("mouthSmileLeft")[0]
    rounded = weights_from_dict({"mouthPucker": 0.8})
    happy = emotion_weights("happy")
    assert fusion.fuse(rounded, happy, 0.0)[smile] < 0.5 * happy[smile]


def test_batches_are_rows(fusion):
    rng = np.random.default_rng(0)
    speech, emotion = rng.uniform(0, 0.5, (2, 3, 4, 52)).astype(np.float32)
    closure = rng.uniform(0, 1, (3, 4)).astype(np.float32)
    batch = fusion.fuse(speech, emotion, closure)
    for i in np.ndindex(3, 4):
        assert np.allclose(batch[i], fusion.fuse(speech[i], emotion[i], float(closure[i])), atol=1e-5)


def test_inputs_are_left_alone(fusion):
    speech, emotion = weights_from_dict({"mouthPucker": 0.8}), emotion_weights("happy")
    before = speech.copy(), emotion.copy()
    fusion.fuse(speech, emotion, 1.0)
    assert np.array_equal(speech, before[0]) and np.array_equal(emotion, before[1])
