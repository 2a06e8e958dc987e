"""The Viterbi search against all paths, and what it does with pauses."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from animation.lab.data.alignment import FRAME_S, disagreement_s, pronounce_words, viterbi, words_of
from animation.speech.phonemes import PHONEME_INDEX, PHONEMES, SILENCE, Segment


def frames(*parts: tuple[str, int], sharpness: float = 5.0) -> np.ndarray:
    """Log likelihoods that favour the given phonemes for the given numbers of frames."""
    rows = []
    for phoneme, count in parts:
        row = np.zeros(len(PHONEMES))
        row[PHONEME_INDEX[phoneme]] = sharpness
        rows += [row] * count
    return np.array(rows)


def test_clear_speech_is_cut_where_it_changes() -> None:
    found = viterbi(frames(("SIL", 10), ("M", 8), ("AA", 12), ("SIL", 6), ("P", 7), ("SIL", 9)), [["M", "AA"], ["P"]])
    assert found is not None
    assert [s.phoneme for s in found.segments] == ["SIL", "M", "AA", "SIL", "P", "SIL"]
    np.testing.assert_allclose([s.start_s for s in found.segments], np.array([0, 10, 18, 30, 36, 43]) * FRAME_S)
    assert found.segments[-1].end_s == 52 * FRAME_S


def test_pauses_are_only_where_they_were_made() -> None:
    found = viterbi(frames(("M", 8), ("AA", 12), ("P", 7)), [["M", "AA"], ["P"]])
    assert found is not None
    assert SILENCE not in [s.phoneme for s in found.segments]


def test_the_path_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    likelihood = rng.normal(0, 1, (16, len(PHONEMES)))
    found = viterbi(likelihood, [["M", "AA", "P"]])
    assert found is not None
    best = -np.inf
    m, a, p, s = (PHONEME_INDEX[name] for name in ("M", "AA", "P", "SIL"))
    for first, second in combinations(range(1, 16), 2):
        for lead in (0, *range(4, 16)):
            for tail in (0, *range(4, 16)):
                lengths = (first - lead, second - first, 16 - tail - second)
                if min(lengths) < 3:
                    continue
                labels = [s] * lead + [m] * lengths[0] + [a] * lengths[1] + [p] * lengths[2] + [s] * tail
                best = max(best, likelihood[np.arange(16), labels].sum())
    assert np.isclose(found.score * 16, best)


def test_too_short_a_sound_is_refused() -> None:
    assert viterbi(frames(("M", 5)), [["M", "AA", "P"]]) is None


def test_words_and_their_sounds() -> None:
    assert words_of("L'été, 25 Fois!") == ["l'été", "25", "fois"]
    table = pronounce_words(["a", "b", "a"], lambda word: ["AA"] if word == "a" else [])
    assert table == {"a": ["AA"]}


def test_disagreement_is_the_mean_distance_of_starts() -> None:
    one = [Segment("SIL", 0, 0.1), Segment("M", 0.1, 0.2), Segment("AA", 0.2, 0.3)]
    two = [Segment("M", 0.12, 0.2), Segment("AA", 0.2, 0.3)]
    assert np.isclose(disagreement_s(one, two), 0.01)
    assert disagreement_s(one, two[:1]) == float("inf")
