from __future__ import annotations

import numpy as np
import pytest

from animation.speech.acoustics import SILENT, VoiceAnalyzer
from animation.speech.audio import SAMPLE_RATE


def tone(hz: float, seconds: float = 0.5, steepness: float = 1.0) -> np.ndarray:
    """A buzz with harmonics that fall off like 1 / k^steepness."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(7000 / hz) + 1)
    return (0.1 * (np.sin(2 * np.pi * hz * np.outer(t, harmonics)) / harmonics**steepness).sum(1)).astype(np.float32)


@pytest.mark.parametrize("hz", [75.0, 110.0, 196.3, 311.0, 523.25, 880.0])
@pytest.mark.parametrize("steepness", [0.5, 1.5])
def test_pitch_is_heard_to_a_tenth_of_a_semitone(hz, steepness):
    heard = VoiceAnalyzer().feed(tone(hz, steepness=steepness))[4:]
    assert max(abs(12 * np.log2(h.pitch_hz / hz)) for h in heard) < 0.1
    assert min(h.clarity for h in heard) > 0.85


def test_noise_has_no_pitch_and_silence_nothing():
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    assert sum(h.pitch_hz > 0 for h in VoiceAnalyzer().feed(noise)) < 3
    for heard in VoiceAnalyzer().feed(np.zeros(SAMPLE_RATE, np.float32)):
        assert heard.pitch_hz == 0 and heard.loudness_db == pytest.approx(SILENT.loudness_db)


@pytest.mark.parametrize("chunk", [1, 7, 320, 321, 5000])
def test_streamed_equals_one_shot(chunk):
    sound = tone(150, 0.3)
    analyzer = VoiceAnalyzer()
    pieces = [h for k in range(0, len(sound), chunk) for h in analyzer.feed(sound[k : k + chunk])]
    assert pieces == VoiceAnalyzer().feed(sound)


def test_gain_moves_the_levels_and_nothing_else():
    soft, loud = (VoiceAnalyzer().feed(gain * tone(200))[10] for gain in (0.1, 1.0))
    assert loud.loudness_db - soft.loudness_db == pytest.approx(20, abs=0.01)
    assert loud.sonority_db - soft.sonority_db == pytest.approx(20, abs=0.01)
    assert (loud.pitch_hz, loud.tilt_db) == pytest.approx((soft.pitch_hz, soft.tilt_db), rel=1e-4)


def test_a_pressed_voice_has_more_tilt():
    pressed, breathy = (VoiceAnalyzer().feed(tone(150, steepness=s))[10].tilt_db for s in (0.5, 2.0))
    assert pressed > breathy + 10


def test_what_is_not_a_number_is_silence():
    sound = np.full(1600, np.nan, np.float32)
    assert VoiceAnalyzer().feed(sound) == VoiceAnalyzer().feed(np.zeros(1600, np.float32))
