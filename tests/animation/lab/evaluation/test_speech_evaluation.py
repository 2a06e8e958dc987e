"""The measures themselves, on cases with known answers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animation.lab.data.corpus import Utterance, save_utterances
from animation.lab.evaluation.articulation import CAPTURED
from animation.lab.evaluation.closures import ClosureScore, score_closures, silent_poses
from animation.lab.evaluation.speech import Condition, evaluate_speech
from animation.speech.phonemes import Segment
from avatar.errors import UserError

HOP_S = 0.02
#                    0-0.2            0.2-0.4          0.4-0.5          0.5-0.9          0.9-1.2
WORD = [
    Segment("SIL", 0.0, 0.2),
    Segment("AA", 0.2, 0.4),
    Segment("M", 0.4, 0.5),
    Segment("AA", 0.5, 0.9),
    Segment("SIL", 0.9, 1.2),
]


def sealed(*spans: tuple[float, float]) -> np.ndarray:
    times = (np.arange(60) + 0.5) * HOP_S
    return np.any([(times >= a) & (times < b) for a, b in spans], axis=0) if spans else np.zeros(60, bool)


def test_a_perfect_mouth() -> None:
    score = score_closures(WORD, sealed((0.0, 0.2), (0.4, 0.5), (0.9, 1.2)))
    assert (score.hits, score.closures, score.false_closures) == (1, 1, 0)
    assert score.rate == 1.0
    assert score.offsets_ms == pytest.approx([0.0], abs=10)
    assert score.speech_s == pytest.approx(0.7)


def test_a_mouth_that_never_closes_and_one_that_always_does() -> None:
    assert score_closures(WORD, sealed()).hits == 0
    shut = score_closures(WORD, np.ones(60, bool))
    assert shut.hits == 1
    assert shut.offsets_ms[0] > 50  # one long seal, far from the closure's middle


@pytest.mark.parametrize(("shift_s", "hit"), [(-0.03, True), (0.03, True), (-0.25, False), (0.2, False)])
def test_forty_milliseconds_are_forgiven(shift_s: float, hit: bool) -> None:
    score = score_closures(WORD, sealed((0.4 + shift_s, 0.48 + shift_s)))
    assert bool(score.hits) == hit
    assert score.false_closures == (0 if hit or shift_s == -0.25 else 1)
    if hit:
        assert score.offsets_ms == pytest.approx([1000 * shift_s], abs=21)


def test_a_seal_in_a_vowel_is_false() -> None:
    score = score_closures(WORD, sealed((0.4, 0.5), (0.66, 0.72)))
    assert score.false_closures == 1
    assert score.false_per_min == pytest.approx(60 / 0.7)


def test_lips_that_may_or_may_not_close_are_never_wrong() -> None:
    word = [*WORD[:2], Segment("BH", 0.4, 0.5), *WORD[3:]]
    for lips in (sealed(), sealed((0.42, 0.48))):
        score = score_closures(word, lips)
        assert (score.closures, score.false_closures) == (0, 0)


def test_scores_add_up() -> None:
    total = ClosureScore()
    for _ in range(3):
        total.add(score_closures(WORD, sealed((0.4, 0.5))))
    assert (total.hits, total.closures, len(total.offsets_ms)) == (3, 3, 3)


def test_silence_is_counted_away_from_speech() -> None:
    silent = silent_poses(WORD, 60)
    times = (np.arange(60) + 0.5) * HOP_S
    np.testing.assert_array_equal(silent, (times < 0.0) | (times > 1.1))


def test_conditions_do_what_they_say() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.02, 16000).astype(np.float32)
    np.testing.assert_array_equal(Condition().apply(sound, 0), sound)
    quiet = Condition("quiet", gain_db=-20).apply(sound, 0)
    np.testing.assert_allclose(quiet, sound / 10, atol=1e-7)
    noisy = Condition("noisy", noise="white", ratio_db=10).apply(sound, 0)
    ratio = 10 * np.log10(np.mean(sound**2) / np.mean((noisy - sound) ** 2))
    assert ratio == pytest.approx(10, abs=0.2)
    np.testing.assert_array_equal(noisy, Condition("noisy", noise="white", ratio_db=10).apply(sound, 0))


def test_sources_scored_elsewhere_in_any_order_add_up_to_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for source, language in (("librivox_en", "en"), ("stamps_fr", "fr"), ("kokoro_test", "en")):
        found = [
            Utterance(source, name, "x", language, rng.normal(0, 0.02, 19200).astype(np.float32), tuple(WORD))
            for name in "ab"
        ]
        save_utterances(tmp_path, source, found)

    def elsewhere(function: Any, tasks: Any) -> Any:
        for task in reversed(tasks):  # by way of bytes, as to another machine
            there_too = pickle.loads(pickle.dumps((function, task)))  # noqa: S301 (our own)
            yield task, pickle.loads(pickle.dumps(there_too[0](there_too[1])))  # noqa: S301

    here, there = (
        evaluate_speech(tmp_path, lambda message, share: None, emotions=("neutral", "happy"), spread=spread)
        for spread in (None, elsewhere)
    )
    assert here == there
    assert here["files"] == 4 and list(here["by_source"]) == list(there["by_source"])  # type: ignore[call-overload]
    assert set(here["by_source"]) == {"librivox_en", "stamps_fr", "kokoro_test"}  # type: ignore[call-overload]


def test_the_report_has_its_keys(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.02, 19200).astype(np.float32)
    one = Utterance("librivox_en", "a", "x", "en", samples, tuple(WORD))
    save_utterances(tmp_path, "librivox_en", [one])
    report = evaluate_speech(tmp_path, lambda message, share: None, emotions=("neutral", "happy"))
    for key in (
        "viseme_accuracy",
        "closure_rate",
        "closure_rate_by_emotion",
        "false_closures_per_min",
        "offset_ms",
        "silence_opening_mm",
        "languages",
        "files",
        "minutes",
    ):
        assert key in report
    assert set(report["articulation"]) <= set(CAPTURED)  # type: ignore[arg-type]
    assert report["languages"] == ["en"]
    assert report["files"] == 1
    assert set(report["closure_rate_by_emotion"]) == {"neutral", "happy"}  # type: ignore[arg-type]
    with pytest.raises(UserError, match="corpus speech"):
        evaluate_speech(tmp_path / "empty", lambda message, share: None)
