"""Faces alone are rendered as whole heads are."""

from __future__ import annotations

import numpy as np

from animation.lab.data.self_made import CorpusRecipe, face_sequences, performances, render_performance
from avatar.heads import open_head


def test_faces_alone_move_as_on_the_whole_head() -> None:
    head, arkit = open_head()
    vertices = head.regions["face"].numpy()
    recipe = CorpusRecipe(
        speakers=1, sentences=1, identities=1, expressions=2, speech_fps=10, expression_poses=8, noise_mm=0.0
    )
    performed = list(performances(recipe, head.n_shape))
    assert {p.domain for p in performed} == {"speech", "expression"}
    for part in ("both", "primary"):
        faces = list(face_sequences(performed, head, arkit, vertices, part=part))
        for performance, face in zip(performed, faces, strict=True):
            whole = render_performance(performance, head, arkit, part=part)
            assert (face.key, face.domain, face.fps) == (whole.key, whole.domain, whole.fps)
            np.testing.assert_allclose(face.template, whole.template[vertices], atol=1e-6)
            np.testing.assert_allclose(face.offsets, whole.offsets[:, vertices], atol=5e-6)
            assert np.linalg.norm(face.offsets, axis=2).max() > 1e-3


def test_registration_noise_has_the_size_that_was_asked_for() -> None:
    head, arkit = open_head()
    vertices = head.regions["face"].numpy()
    recipe = CorpusRecipe(speakers=1, sentences=1, identities=1, expressions=1, expression_poses=8)
    performed = [p for p in performances(recipe, head.n_shape) if p.domain == "expression"]
    clean, noisy, again = (
        next(iter(face_sequences(performed, head, arkit, vertices, noise_mm))).offsets for noise_mm in (0.0, 0.2, 0.2)
    )
    assert abs(float((noisy - clean).std()) * 1e3 - 0.2) < 0.005
    assert np.array_equal(noisy, again)
