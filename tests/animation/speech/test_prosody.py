from __future__ import annotations

import numpy as np
import pytest

from animation.speech.acoustics import SILENT, Acoustics
from animation.speech.prosody import Prosody, ProsodyTracker
from animation.speech.stress import CONTEXT_HOPS, StressListener, StressWeights, VoiceFeatures
from avatar.errors import UserError

RATE = 50.0


def voiced(loudness_db: float, pitch_hz: float) -> Acoustics:
    return Acoustics(loudness_db, pitch_hz, 0.95, -20.0, loudness_db)


def phrase(pitches: np.ndarray, levels: np.ndarray | float = -20.0, pause: int = 40) -> list[Prosody]:
    """What is heard of one phrase, and of the pause after it."""
    tracker = ProsodyTracker(RATE)
    levels = np.broadcast_to(levels, pitches.shape)
    heard = [tracker.feed(1.0, level, voiced(level, hz)) for hz, level in zip(pitches, levels, strict=True)]
    return heard + [tracker.feed(0.0, -70.0, SILENT) for _ in range(pause)]


def test_phrases_begin_and_end():
    tracker = ProsodyTracker(RATE)
    voice = np.zeros(600)
    voice[50:250] = voice[350:500] = 1
    heard = [tracker.feed(v, -26.0 if v else -70.0) for v in voice]
    starts = [k for k, p in enumerate(heard) if p.phrase_start]
    ends = [k for k, p in enumerate(heard) if p.phrase_end]
    assert starts == [50, 350]
    assert len(ends) == 2 and 250 < ends[0] < 270 and 500 < ends[1] < 520
    assert all(p.accent == 0 for k, p in enumerate(heard) if not voice[k])
    assert heard[300].activity < 0.1 < 0.9 < heard[200].activity
    assert all(0 <= p.energy <= 1 for p in heard)


def test_loud_high_syllables_count_as_stressed_rather_than_others():
    k = np.arange(600)
    syllable = np.sin(np.pi * ((k % 12) / 12)) ** 2
    strong = (k // 12) % 3 == 0
    levels = -42 + 20 * syllable + 7 * strong * syllable
    pitches = 120 * 2 ** (strong * syllable * 4 / 12)
    listener = StressListener()
    sure = np.array([listener.feed(voiced(level, hz)) for level, hz in zip(levels, pitches, strict=True)])
    peaks = sure[108:576].reshape(-1, 36).reshape(-1, 3, 12).max(2).mean(0)
    assert peaks[0] > peaks[1:].max() + 0.15
    accents = [i for i, p in enumerate(phrase(pitches, levels)) if p.accent > 0]
    assert min(np.diff(accents)) > 0.3 * RATE


def test_pitch_is_relative_to_the_speaker():
    flat = phrase(np.full(150, 220.0))
    assert abs(flat[140].pitch_st) < 0.1
    jump = phrase(np.concatenate([np.full(150, 110.0), np.full(15, 110 * 2 ** (5 / 12))]))
    assert 3 < jump[164].pitch_st < 5 and jump[-1].pitch_st < 0.2


@pytest.mark.parametrize(("end_st", "asks"), [(6, True), (0, False), (-5, False)])
def test_a_phrase_that_ends_high_asks(end_st, asks):
    course = np.concatenate([np.full(100, 150.0), 150 * 2 ** (np.linspace(-1, end_st, 25) / 12)])
    heard = phrase(course)
    assert sum(p.question for p in heard) == asks
    assert all(p.phrase_end for p in heard if p.question)


def test_features_do_not_depend_on_the_microphone():
    rng = np.random.default_rng(0)
    levels = rng.uniform(-40, -15, 800)

    def last(gain_db: float) -> np.ndarray:
        features = VoiceFeatures()
        return [features.feed(voiced(level + gain_db, 150.0)) for level in levels][-1]

    assert np.allclose(last(0.0), last(-12.0), atol=0.02)


def test_a_listener_forgets_on_reset():
    listener = StressListener()
    course = [voiced(-20 - 15 * (k % 13 == 0), 120 + k) for k in range(40)]
    first = [listener.feed(h) for h in course]
    listener.reset()
    assert [listener.feed(h) for h in course] == first and all(0 <= p <= 1 for p in first)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"hidden\.bias is missing"):
        StressWeights({"hidden.weight": np.zeros((4, 4 * CONTEXT_HOPS))})
    wrong = {"hidden.weight": np.zeros((4, 3)), "hidden.bias": np.zeros(4), "out.weight": np.zeros((1, 4))}
    with pytest.raises(ValueError, match="expected a hidden layer"):
        StressWeights(wrong | {"out.bias": np.zeros(1)})
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a readable"):
        StressWeights.load(tmp_path / "w.safetensors")
