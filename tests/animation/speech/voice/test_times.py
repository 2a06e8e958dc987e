"""Times of spoken tokens: phonemes fill the sound, pauses lie where it is quiet, stops keep their closures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import SILENCE
from animation.speech.voice.kokoro import FRAME_S
from animation.speech.voice.times import spoken_segments

LEAD_FRAMES = 3


def tone(seconds: float, hz: float) -> np.ndarray:
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.2 * np.sin(2 * np.pi * hz * time_s)


def spoken(parts: list[tuple[str, int, float]]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Tokens, frames and a sound of tones (0 Hz: silence), one for each (token, frames, Hz)."""
    tokens = ("^", *(token for token, _, _ in parts), "$")
    frames = np.array([8, *(count for _, count, _ in parts), 8])
    pieces = [np.zeros(round((8 - LEAD_FRAMES) * FRAME_S * SAMPLE_RATE))]
    pieces += [tone(count * FRAME_S, hz) for _, count, hz in parts]
    pieces += [np.zeros(round((8 + LEAD_FRAMES) * FRAME_S * SAMPLE_RATE))]
    return tokens, frames, np.concatenate(pieces).astype(np.float32)


def test_phonemes_fill_the_sound_and_begin_where_the_spectrum_changes() -> None:
    tokens, frames, samples = spoken([("m", 4, 250), ("ɑ", 6, 900), ("s", 5, 5000), ("i", 6, 400)])
    found = spoken_segments(tokens, frames, samples)
    assert [s.phoneme for s in found] == [SILENCE, "M", "AA", "S", "IY", SILENCE]
    assert all(b.start_s == pytest.approx(a.end_s) for a, b in pairwise(found))
    assert found[0].start_s == 0.0 and found[-1].end_s == pytest.approx(len(samples) / SAMPLE_RATE)
    edges_s = (8 - LEAD_FRAMES + np.cumsum([0, 4, 6, 5, 6])) * FRAME_S
    np.testing.assert_allclose([s.start_s for s in found[1:]], edges_s, atol=0.011)


def test_a_boundary_that_the_model_puts_wrongly_moves_to_the_sound() -> None:
    tokens, frames, samples = spoken([("m", 6, 250), ("ɑ", 6, 900), ("i", 6, 2500)])
    frames = frames.copy()
    frames[2:4] = 7, 5  # the model says 25 ms late when "ɑ" ends
    found = spoken_segments(tokens, frames, samples)
    assert found[3].start_s == pytest.approx((8 - LEAD_FRAMES + 12) * FRAME_S, abs=0.011)


def test_a_marked_pause_is_silence_and_grows_into_the_quiet_end_of_the_phoneme_before_it() -> None:
    tokens, frames, samples = spoken([("ɑ", 6, 900), (",", 1, 0), (" ", 4, 0), ("i", 6, 2500)])
    start = round((8 - LEAD_FRAMES + 4) * FRAME_S * SAMPLE_RATE)
    samples[start : start + round(2 * FRAME_S * SAMPLE_RATE)] = 0.0  # the vowel's token is longer than its sound
    found = spoken_segments(tokens, frames, samples)
    assert [s.phoneme for s in found] == [SILENCE, "AA", SILENCE, "IY", SILENCE]
    assert found[2].start_s == pytest.approx((8 - LEAD_FRAMES + 4) * FRAME_S, abs=0.02)


def test_quiet_between_words_is_the_closure_of_the_stop_after_it() -> None:
    tokens, frames, samples = spoken([("ɑ", 6, 900), (" ", 3, 0), ("p", 2, 3000), ("i", 6, 2500)])
    found = spoken_segments(tokens, frames, samples)
    assert [s.phoneme for s in found] == [SILENCE, "AA", "P", "IY", SILENCE]
    assert found[2].duration_s == pytest.approx(5 * FRAME_S, abs=0.03)


def test_marks_belong_to_the_phonemes_beside_them() -> None:
    tokens, frames, samples = spoken([("b", 4, 300), ("ˈ", 2, 900), ("ɑ", 4, 900), ("ː", 3, 900), ("t", 4, 5000)])
    found = spoken_segments(tokens, frames, samples)
    assert [s.phoneme for s in found] == [SILENCE, "B", "AA", "T", SILENCE]
    assert found[2].duration_s == pytest.approx(9 * FRAME_S, abs=0.02)
