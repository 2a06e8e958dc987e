"""What time tells about hidden deformations: its laws, on sequences whose parts are known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from animation.blendshapes.fusion import FusionConfig
from animation.blendshapes.geometry_image import geometry_image
from animation.lab.data.sequences import MeshSequence
from animation.lab.training.fusion_data import FusionData, _detrending, principal_axes
from avatar.errors import UserError
from tests.animation.synthetic_head import flame_sized_head, moving_sequences

FPS = 15.0


@cache
def image():
    return geometry_image(flame_sized_head()[0], 16)


def face(sequence: MeshSequence) -> MeshSequence:
    kept = image().vertices
    return replace(sequence, template=sequence.template[kept], offsets=sequence.offsets[:, kept], audio=None)


def hiding(share: float, people: int = 6) -> tuple[list[MeshSequence], list[MeshSequence]]:
    """Speech without an expression; slow expressions with a known share of somebody's speech in them."""
    speech, expressions = [], []
    for sequence in map(face, moving_sequences(people, poses=90)):
        (speech if sequence.domain == "speech" else expressions).append(sequence)
    calm = [replace(s, offsets=s.offsets - 0.15 * e.offsets) for s, e in zip(speech, expressions, strict=True)]
    others = calm[1:] + calm[:1]
    mixed = [replace(e, offsets=e.offsets + share * s.offsets) for e, s in zip(expressions, others, strict=True)]
    return calm, mixed


def test_the_slow_part_is_taken_away_and_the_fast_part_stays() -> None:
    length, seconds = 60, 4.0
    time = (np.arange(length) + 0.5) / length * seconds
    matrix = _detrending(length, seconds)
    for hertz in (0.0, 0.25, 0.5):
        assert np.abs(matrix @ np.cos(2 * np.pi * hertz * time)).max() < 1e-5
    for hertz in (2.0, 4.0):
        wave = np.sin(2 * np.pi * hertz * time)
        assert np.sum((matrix @ wave) ** 2) > 0.95 * np.sum(wave**2)
    assert np.allclose(matrix @ matrix, matrix, atol=1e-5)


@pytest.mark.parametrize("share", [0.15, 0.3, 0.6])
def test_the_share_of_hidden_speech_is_found(share: float) -> None:
    speech, expressions = hiding(share)
    data = FusionData([*speech, *expressions], image(), FPS)
    assert np.median(data.hidden_share) == pytest.approx(share, rel=0.25)


def test_the_hidden_articulation_is_right_on_average() -> None:
    share = 0.3
    speech, expressions = hiding(share)
    data = FusionData([*speech, *expressions], image(), FPS)
    clean = FusionData([*speech, *hiding(0.0)[1]], image(), FPS)
    rng = np.random.default_rng(0)
    poses, inferred = data.expressions(600, rng)
    pure, nothing = clean.expressions(600, np.random.default_rng(0))
    truth = poses - pure  # the same moments of the same people
    assert np.square(truth - inferred).sum() < 0.5 * np.square(truth).sum()
    assert np.square(nothing).sum() < 0.05 * np.square(inferred).sum()


def test_moments_are_of_one_sentence() -> None:
    speech, expressions = hiding(0.2)
    marked = [replace(s, offsets=np.full_like(s.offsets, i + 1) * 1e-3) for i, s in enumerate(speech)]
    data = FusionData([*marked, *expressions], image(), FPS)
    now, later = data.moments(200, np.random.default_rng(0))
    assert np.array_equal(now, later)
    assert len(np.unique(now[:, 0])) == len(speech)


def test_a_batch_is_its_generators_alone() -> None:
    speech, expressions = hiding(0.2)
    data = FusionData([*speech, *expressions], image(), FPS)
    config = FusionConfig(image_size=16, channels=(4,), batch=5)
    first, again = (data.batch(config, np.random.default_rng(3)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert a.shape == (5, 3 * image().n_vertices) and a.equal(b)


def test_what_hides_has_less_mouth_than_the_expression() -> None:
    speech, expressions = hiding(0.2)
    data = FusionData([*speech, *expressions], image(), FPS)
    hidden = data.hideable(500, 0.3, np.random.default_rng(0)).reshape(500, -1, 3)
    whole = data.sample("expression", 500, np.random.default_rng(0)).reshape(500, -1, 3)
    kept = np.linalg.norm(hidden, axis=2).sum(0) / np.maximum(np.linalg.norm(whole, axis=2).sum(0), 1e-6)
    working = data._mouth_work > 0.9
    assert kept.max() <= 0.3 + 1e-3
    assert kept[working].mean() < 0.75 * kept[~working & (kept > 0)].mean()


def test_principal_axes_are_those_of_the_whole_decomposition() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy((rng.normal(size=(200, 8)) * 2.0 ** -np.arange(8)) @ rng.normal(size=(8, 90)))
    axes, deviation = principal_axes(x.float(), 4, 0)
    exact = torch.linalg.svd(x, full_matrices=False)
    assert torch.allclose(deviation.double(), exact.S[:4] / len(x) ** 0.5, rtol=1e-3)
    assert torch.allclose((axes.double() @ exact.Vh[:4].T).abs(), torch.eye(4).double(), atol=1e-2)


def test_mistakes_are_named() -> None:
    speech, expressions = hiding(0.2)
    with pytest.raises(UserError, match="no expression sequences"):
        FusionData(speech, image())
    short = [replace(e, offsets=e.offsets[:5]) for e in expressions]
    with pytest.raises(UserError, match="every expression sequence is shorter"):
        FusionData([*speech, *short], image())
    wrong = replace(speech[0], template=speech[0].template[:50], offsets=speech[0].offsets[:, :50])
    with pytest.raises(UserError, match="choose the head model"):
        FusionData([wrong, *expressions], image())
