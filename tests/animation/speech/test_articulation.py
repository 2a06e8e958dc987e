"""What a lip-reader must find in the articulation targets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animation.speech.articulation import closure_spans, targets, trajectories
from animation.speech.channels import CHANNELS, CLOSED, JAW, LIP_IN, REST, ROUNDING, SPREAD
from animation.speech.phonemes import BILABIALS, PHONEMES, SILENCE, VOWELS, Segment

HOP_S = 0.02


def spoken(*parts: tuple[str, float]) -> list[Segment]:
    segments, time_s = [], 0.0
    for phoneme, length in parts:
        segments.append(Segment(phoneme, time_s, time_s + length))
        time_s += length
    return segments


words = st.lists(
    st.tuples(st.sampled_from([p for p in PHONEMES if p != SILENCE]), st.floats(0.04, 0.25)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(words)
def test_any_speech_seals_on_p_b_m_and_only_there(word: list[tuple[str, float]]) -> None:
    segments = spoken((SILENCE, 0.3), *word, (SILENCE, 0.4))
    curves = trajectories(segments, int(segments[-1].end_s / HOP_S))
    assert curves.dtype == np.float32
    assert np.all((curves >= 0) & (curves <= 1))
    times = (np.arange(len(curves)) + 0.5) * HOP_S
    for start, end in closure_spans(segments):
        held = (times >= start) & (times <= end)
        assert np.all(curves[held, CLOSED] > 0.99)
        assert np.all(curves[held, JAW] < 0.4)  # lips meet while the jaw is on its way
    for before, segment, after in zip(segments, segments[1:], segments[2:], strict=False):
        if segment.phoneme in VOWELS and segment.duration_s > 0.12:
            if {before.phoneme, after.phoneme} & (BILABIALS | {SILENCE}):
                continue
            inside = (times > segment.start_s) & (times < segment.end_s)
            assert curves[inside, CLOSED].min() < 0.4


def test_silence_is_rest() -> None:
    np.testing.assert_allclose(trajectories([], 10), np.tile(REST, (10, 1)), atol=1e-6)
    silent = trajectories(spoken((SILENCE, 2.0)), 100)
    np.testing.assert_allclose(silent, np.tile(REST, (100, 1)), atol=1e-3)


@pytest.mark.parametrize("consonant", ["F", "V"])
def test_the_lower_lip_meets_the_teeth(consonant: str) -> None:
    curves = trajectories(spoken(("AA", 0.2), (consonant, 0.1), ("AA", 0.2)), 25)
    assert curves[12, LIP_IN] > 0.99
    assert curves[12, CLOSED] < 0.05
    assert curves[4, LIP_IN] < 0.1


def test_rounding_runs_ahead_of_its_sound_and_spread_belongs_to_ee() -> None:
    curves = trajectories(spoken(("S", 0.15), ("T", 0.1), ("UW", 0.2), ("IY", 0.25)), 35)
    times = (np.arange(35) + 0.5) * HOP_S
    assert curves[(times > 0.2) & (times < 0.25), ROUNDING].min() > 0.3  # still on the t
    assert curves[(times > 0.3) & (times < 0.4), ROUNDING].min() > 0.7
    assert curves[(times > 0.6), SPREAD].min() > 0.5


def test_an_open_vowel_opens_more_than_a_close_one() -> None:
    order = ["AA", "EH", "IH", "IY"]
    jaws = [trajectories(spoken(("K", 0.05), (v, 0.3), ("K", 0.05)), 20)[10, JAW] for v in order]
    assert all(a > b for a, b in pairwise(jaws))


def test_spans_are_long_enough_and_leave_the_burst() -> None:
    assert np.diff(closure_spans(spoken(("AA", 0.1), ("B", 0.1)))) == pytest.approx(0.07)
    assert np.diff(closure_spans(spoken(("AA", 0.1), ("B", 0.03)))) == pytest.approx(0.04)
    assert len(closure_spans(spoken(("M", 0.1), ("M", 0.1)))) == 1
    assert closure_spans([]).shape == (0, 2)


def test_targets_are_those_of_the_table() -> None:
    assert targets("M")[CLOSED] == 1.0
    assert targets("SIL") == pytest.approx(REST)
    assert len(targets("AA")) == len(CHANNELS)
