"""What the measures of emotion say about faces and courses with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from animation.driver import DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.lab.evaluation.emotion import (
    NORMS,
    REGIONS,
    LinearClassifier,
    against_norms,
    confusion,
    displacements_mm,
    strength,
)
from animation.lab.evaluation.motion import ORDER, BeatScore, seed_differences


def test_a_face_at_rest_shows_nothing_and_a_shift_shows_its_length_everywhere() -> None:
    rest = np.random.default_rng(0).normal(0, 0.05, (468, 3))
    assert strength(rest, rest) == 0
    shifted = rest + np.array([0.003, 0.0, 0.004])
    assert displacements_mm(rest, shifted) == {name: pytest.approx(5.0) for name in REGIONS}
    assert strength(rest, shifted) == pytest.approx(5.0)


def test_a_region_knows_its_own_points_only() -> None:
    rest = np.zeros((468, 3))
    face = rest.copy()
    face[list(REGIONS["mouth corners"]), 1] = 0.009
    moved = {name: value for name, value in displacements_mm(rest, face).items() if value > 0}
    assert moved == {"mouth corners": pytest.approx(9.0)}


def test_the_classifier_finds_what_is_apart_and_guesses_where_nothing_is() -> None:
    rng = np.random.default_rng(1)
    centres, classes = rng.normal(0, 1, (len(EMOTIONS), 40)), np.repeat(np.arange(len(EMOTIONS)), 12)

    def drawn(noise: float) -> np.ndarray:
        return centres[classes] + rng.normal(0, noise, (len(classes), 40))

    assert (LinearClassifier(drawn(0.1), classes)(drawn(0.1)) == classes).mean() == 1
    shuffled = rng.permutation(classes)
    assert (LinearClassifier(drawn(0.1), shuffled)(drawn(0.1)) == classes).mean() < 0.4


def test_rare_classes_are_named_as_well() -> None:
    rng = np.random.default_rng(2)
    classes = np.repeat([0, 1, 2], [200, 4, 4])
    centres = np.eye(3, 12)
    named = LinearClassifier(centres[classes] + rng.normal(0, 0.05, (208, 12)), classes)(centres)
    np.testing.assert_array_equal(named, [0, 1, 2])


def test_a_face_is_named_by_the_nearest_mean_not_by_what_is_rare() -> None:
    """Half of a feeling is its own as soon as it is past the middle between rest and what was seen of the feeling."""
    rng = np.random.default_rng(3)
    direction = rng.normal(0, 1, 30)
    classes, strengths = np.repeat([0, 1, 1], 20), np.repeat([0.0, 0.5, 1.0], 20)
    classify = LinearClassifier(strengths[:, None] * direction + rng.normal(0, 0.02, (60, 30)), classes)
    np.testing.assert_array_equal(classify(np.array([[0.3], [0.45]]) * direction), [0, 1])


def test_what_weak_and_strong_differ_by_is_no_noise_where_they_are_kinds_of_one_class() -> None:
    """Less than half of a feeling is nearer to its half than to rest; a class taught in kinds keeps its name."""
    rng = np.random.default_rng(4)
    directions = rng.normal(0, 1, (2, 30))
    classes, halves = np.repeat([0, 0, 3, 3, 5, 5], 20), np.tile(np.repeat([0.5, 1.0], 20), 3)
    shown = np.stack([np.zeros(30), *directions])[np.searchsorted([0, 3, 5], classes)]
    features = halves[:, None] * shown + rng.normal(0, 0.02, (120, 30))
    classify = LinearClassifier(features, classes, (2 * halves).astype(int))
    np.testing.assert_array_equal(classify(np.array([[0.2], [0.3], [1.0]]) * directions[0]), [0, 3, 3])
    np.testing.assert_array_equal(classify(np.array([[0.2], [0.3], [1.0]]) * directions[1]), [0, 5, 5])


def test_rows_of_a_confusion_are_shares() -> None:
    table = confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 2]))
    np.testing.assert_allclose(table[0, :2], 0.5)
    np.testing.assert_allclose(table[1, 1:3], [2 / 3, 1 / 3])
    assert table[2:].sum() == 0


def test_norms_stand_beside_what_was_measured() -> None:
    measured = {norm.emotion: dict.fromkeys(REGIONS, 8.0) for norm in NORMS}
    for row, norm in zip(against_norms(measured), NORMS, strict=True):
        assert row["mm"] == 8.0
        assert row["norm_mm"] == sorted(row["norm_mm"]) == [norm.least_mm, norm.mean_mm, norm.most_mm]


def test_equal_seeds_do_not_differ_and_others_do_but_for_the_lips() -> None:
    silence = np.zeros(3 * 16_000, np.float32)
    settings = DriverSettings(emotion="happy")
    assert seed_differences(silence, settings, (1, 1)) == {"head": 0.0, "brows": 0.0, "lips": 0.0}
    apart = seed_differences(silence, settings, (1, 2))
    assert apart["head"] > 0.1
    assert apart["lips"] < 0.05


def test_the_order_of_arousal_has_no_circles() -> None:
    reached = {low: {high for a, high in ORDER if a == low} for low, _ in ORDER}
    for _ in range(len(ORDER)):
        reached = {low: ups | {x for up in ups for x in reached.get(up, set())} for low, ups in reached.items()}
    assert all(low not in ups for low, ups in reached.items())


def test_beats_of_several_voices_count_by_their_number_and_chance_by_its_time() -> None:
    together = BeatScore(beats=30, near=27, by_chance=3.0, seconds=10.0, offsets_s=[0.01] * 30)
    together.add(BeatScore(beats=10, near=1, by_chance=2.0, seconds=10.0, offsets_s=[0.2] * 10))
    assert together.summary() == {
        "beats": 40,
        "beats_per_s": 2.0,
        "within_80_ms": 0.7,
        "by_chance": 0.25,
        "median_offset_ms": 10,
    }
