from __future__ import annotations

import numpy as np
import pytest
import torch

from animation.blendshapes.flame_map import arkit_matrix
from animation.blendshapes.fusion import load_fusion, refit
from animation.blendshapes.learned import LearnedFusion, default_weights
from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.speech.lips import default_lips
from animation.speech.mouth import MouthMap
from avatar.flame.arkit import indices, weights_from_dict
from avatar.heads import open_head


@pytest.fixture(scope="module")
def fusion():
    return LearnedFusion()


def _speech(n: int) -> np.ndarray:
    return MouthMap().weights(np.random.default_rng(0).uniform(0, 0.6, (n, 7)).astype(np.float32))


def test_numpy_path_is_the_torch_model(fusion):
    head, arkit = open_head()
    model, _ = load_fusion(default_weights(), head)
    weights = _speech(4)
    moved = (head.vertices(arkit.params(weights)) - head.v_template)[:, model.image.vertices]
    back = arkit_matrix(arkit)
    with torch.no_grad():
        speech = model.keep_speech(moved).speech.numpy() @ fusion.speech_map.matrix @ back
        fitted = refit(model.expression_decoder.weight, moved.flatten(1) * 1e3)
        expression = fitted.numpy() @ fusion.expression_map.matrix @ back
    np.testing.assert_allclose(fusion.speech(weights), speech, atol=1e-4)
    np.testing.assert_allclose(fusion.expression(weights), expression, atol=1e-4)


def test_a_neutral_face_stays_neutral(fusion):
    assert (fusion.fuse(np.zeros(52, np.float32), np.zeros(52, np.float32), 0.0) == 0).all()


def test_pure_speech_passes_nearly_unchanged(fusion):
    weights = _speech(300)  # of a dozen the mean is off by a third
    lips = default_lips()
    moved = np.linalg.norm(lips.positions(fusion.fuse(weights, np.zeros(52), 0.0)) - lips.positions(weights), axis=-1)
    assert moved.mean() < 0.25  # millimetres


def test_lips_seal_under_a_smile(fusion):
    smile = weights_from_dict({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "mouthUpperUpLeft": 0.4})
    fused = fusion.fuse(_speech(3), np.tile(smile, (3, 1)), np.ones(3))
    assert default_lips().opening_mm(fused).max() < 1.0
    assert fused[:, 23].min() > 0.4  # the smile is still there


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("jaw", (0.05, 0.3, 0.8))
def test_no_emotion_keeps_the_lips_open_on_a_seal(fusion, emotion, jaw):
    articulation = np.array([jaw, 1.0, 0.1, 0.2, 0.0, 0.0, 0.1], np.float32)
    speech = MouthMap().weights(articulation, closure=1.0)
    fused = fusion.fuse(speech, emotion_weights(emotion), 1.0)
    assert default_lips().opening_mm(fused) < 0.5


def test_the_upper_face_is_the_emotion_s_while_one_speaks(fusion):
    """Learned blendshapes follow an emotion's brows within a tenth."""
    brows = indices("browInnerUp", "browOuterUpLeft", "eyeWideRight", "browDownLeft")
    speech = _speech(1)[0]
    for emotion in EMOTIONS:
        asked = emotion_weights(emotion)
        assert np.abs(fusion.fuse(speech, asked, 1.0)[brows] - asked[brows]).max() < 0.1, emotion


def test_batches_are_rows_and_inputs_are_left_alone(fusion):
    rng = np.random.default_rng(0)
    speech, emotion = rng.uniform(0, 0.5, (2, 2, 3, 52)).astype(np.float32)
    closure = rng.uniform(0, 1, (2, 3)).astype(np.float32)
    before = speech.copy(), emotion.copy()
    batch = fusion.fuse(speech, emotion, closure)
    assert batch.min() >= 0 and batch.max() <= 1
    for i in np.ndindex(2, 3):
        assert np.allclose(batch[i], fusion.fuse(speech[i], emotion[i], float(closure[i])), atol=1e-4)
    assert np.array_equal(speech, before[0]) and np.array_equal(emotion, before[1])
