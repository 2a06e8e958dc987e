"""Articulation from meshes: the inverse of the way that speech moves a head."""

from __future__ import annotations

import numpy as np
import pytest

from animation.blendshapes.flame_map import FaceMotion
from animation.lab.data.self_made import babble
from animation.speech.articulation import trajectories
from animation.speech.channels import CHANNELS
from animation.speech.lips import default_lips
from animation.speech.mouth import MouthMap
from animation.speech.mouth_fit import MouthFit, lips_touch, spoken_closures, voiced, widened
from avatar.heads import open_head
from tests.animation.synthetic_head import flame_sized_head


@pytest.fixture(scope="module")
def fit() -> MouthFit:
    return MouthFit(*open_head())


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, np.ndarray]:
    """Articulation of an utterance, and the whole head's offsets."""
    head, arkit = open_head()
    utterance = babble(np.random.default_rng(5), 1.5)
    channels = trajectories(utterance.segments, int(utterance.duration_s * 50))
    motion = FaceMotion.from_head(head, arkit, np.arange(head.n_vertices))
    return channels, motion.deformation(MouthMap(default_lips()).weights(channels))


def test_what_shows_is_recovered(fit: MouthFit, spoken: tuple[np.ndarray, np.ndarray]) -> None:
    channels, offsets = spoken
    found = fit.articulation(offsets)
    error = fit.deformation_mm(found) - 1e3 * offsets[:, fit.vertices].reshape(len(offsets), -1)
    assert np.sqrt((error**2).mean() * 3) < 0.05  # millimetres
    for channel in ("jaw", "rounding", "spread", "lip_in"):
        i = CHANNELS.index(channel)
        assert np.abs(found[:, i] - channels[:, i]).mean() < 0.02, channel
    assert found.min() >= 0 and found.max() <= 1


def test_noise_and_missing_vertices_at_the_end_do_not_matter(
    fit: MouthFit, spoken: tuple[np.ndarray, np.ndarray]
) -> None:
    offsets = spoken[1][20:40]
    noisy = offsets + np.random.default_rng(0).normal(0, 5e-5, offsets.shape).astype(np.float32)
    shorter = noisy[:, : int(fit.vertices.max()) + 1]
    np.testing.assert_array_equal(fit.articulation(noisy), fit.articulation(shorter))
    assert np.abs(fit.articulation(noisy) - fit.articulation(offsets))[:, 0].max() < 0.03
    assert fit.articulation(offsets[:0]).shape == (0, 7)


def test_closures_are_short_touches_in_the_middle_of_speech(spoken: tuple[np.ndarray, np.ndarray]) -> None:
    head, _ = open_head()
    channels, offsets = spoken
    touch = lips_touch(head, offsets, channels)
    assert touch[channels[:, CHANNELS.index("closed")] > 0.95].all()
    assert not touch[channels[:, CHANNELS.index("jaw")] > 0.5].any()
    bare, _ = flame_sized_head()
    assert np.array_equal(lips_touch(bare, offsets, channels), channels[:, 1] > 0.6)
    voice = np.ones(100, bool)
    voice[:30] = False
    touching = np.zeros(100, bool)
    touching[10:25] = touching[50:54] = touching[70:95] = True
    assert np.flatnonzero(spoken_closures(touching, voice)).tolist() == [50, 51, 52, 53]


def test_voice_is_what_is_loud_with_its_short_gaps() -> None:
    hop = 320
    samples = np.random.default_rng(0).normal(0, 1e-5, 100 * hop).astype(np.float32)
    samples[20 * hop : 40 * hop] += 0.2 * np.sin(np.arange(20 * hop))
    samples[44 * hop : 60 * hop] += 0.2 * np.sin(np.arange(16 * hop))
    assert np.flatnonzero(voiced(samples, 100)).tolist() == list(range(20, 60))
    assert not voiced(samples[: 10 * hop], 12).any()
    assert np.flatnonzero(widened(np.eye(20, dtype=bool)[10], 0.04)).tolist() == [8, 9, 10, 11, 12]
