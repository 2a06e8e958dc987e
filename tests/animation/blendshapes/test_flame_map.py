from __future__ import annotations

import numpy as np
import torch

from animation.blendshapes.flame_map import FaceMotion, FlameMap, arkit_matrix
from animation.blendshapes.geometry_image import geometry_image
from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.heads import open_head
from tests.animation.synthetic_head import flame_sized_head


def _random_weights(n: int, seed: int) -> np.ndarray:
    weights = np.random.default_rng(seed).uniform(0, 1, (n, len(NAMES))).astype(np.float32)
    weights[:, [i for i, name in enumerate(NAMES) if name.startswith("eyeLook")]] = 0
    return weights


def test_face_motion_is_the_head_model():
    for head, arkit in (open_head(), flame_sized_head()):
        vertices = geometry_image(head, 32).vertices
        weights = _random_weights(5, 1)
        expected = (head.vertices(arkit.params(weights)) - head.v_template)[:, vertices]
        found = FaceMotion.from_head(head, arkit, vertices).deformation(weights)
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-6)


def test_map_recovers_expression_and_jaw():
    head, arkit = flame_sized_head()
    vertices = geometry_image(head, 32).vertices
    weights = _random_weights(40, 2) * 0.5
    columns = torch.from_numpy(FaceMotion.from_head(head, arkit, vertices).deformation(weights))
    fitted = FlameMap.fit(head, vertices, columns, ridge=1e-8)
    expression, jaw = fitted.params(np.eye(40))
    truth = arkit.params(weights)
    np.testing.assert_allclose(jaw, truth.jaw_pose, atol=0.02)
    # Skinning turns expressions with the jaw, which a linear map cannot follow: 9 degrees cost a few hundredths.
    np.testing.assert_allclose(expression, truth.expression, atol=0.1)
    assert np.abs(expression - truth.expression).mean() < 0.015
    assert fitted.residual_mm < 0.2


def test_the_arc_of_the_jaw_is_not_mistaken_for_an_expression():
    head, arkit = open_head()
    vertices = geometry_image(head, 32).vertices
    opened = weights_from_dict({"jawOpen": 0.5})[None]
    column = torch.from_numpy(FaceMotion.from_head(head, arkit, vertices).deformation(opened))
    expression, jaw = FlameMap.fit(head, vertices, column).params(np.ones((1, 1)))
    np.testing.assert_allclose(jaw, arkit.params(opened).jaw_pose, atol=0.01)
    assert np.abs(expression).max() < 0.06


def test_map_is_linear_in_the_weights():
    head, _ = flame_sized_head()
    vertices = geometry_image(head, 32).vertices
    fitted = FlameMap.fit(head, vertices, torch.randn(3, len(vertices), 3) * 1e-3)
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    for left, right, whole in zip(fitted.params(a), fitted.params(b), fitted.params(2 * a - b), strict=True):
        np.testing.assert_allclose(2 * left - right, whole, atol=1e-5)


def test_arkit_matrix_inverts_the_map():
    head, arkit = open_head()
    del head
    weights = _random_weights(3, 3)
    pose = arkit.params(weights)
    back = np.concatenate([pose.expression, pose.jaw_pose], -1) @ arkit_matrix(arkit)
    again = arkit.params(back)
    np.testing.assert_allclose(again.expression, pose.expression, atol=1e-4)
    np.testing.assert_allclose(again.jaw_pose, pose.jaw_pose, atol=1e-4)
