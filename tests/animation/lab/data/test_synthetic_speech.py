"""Synthetic voices: phonemes that fill the sound, in order. Skipped where the programs are not installed."""

from __future__ import annotations

import ctypes.util
import shutil
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from animation.lab.data.synthetic_speech import Espeak, SyntheticSpeech, flite
from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import PHONEME_INDEX
from app.sample_clip import sample_clip

TEXT = "My mother baked a big apple pie."

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
needs_espeak = pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")


def spoken_by_flite() -> SyntheticSpeech | None:
    return flite(TEXT, "slt")


def spoken_by_espeak() -> SyntheticSpeech | None:
    return Espeak().speak(TEXT, "en-us")


@pytest.mark.parametrize(
    "speak", [pytest.param(spoken_by_flite, marks=needs_flite), pytest.param(spoken_by_espeak, marks=needs_espeak)]
)
def test_phonemes_fill_the_sound(speak: Callable[[], SyntheticSpeech | None]) -> None:
    speech = speak()
    assert speech is not None
    duration_s = len(speech.samples) / SAMPLE_RATE
    assert 1.0 < duration_s < 5.0
    assert np.abs(speech.samples).max() <= 1.0
    segments = speech.segments
    assert {s.phoneme for s in segments} <= set(PHONEME_INDEX)
    assert all(b.start_s == pytest.approx(a.end_s, abs=1e-6) for a, b in pairwise(segments))
    assert segments[0].start_s == 0.0
    assert segments[-1].end_s == pytest.approx(duration_s, abs=0.02)
    names = [s.phoneme for s in segments if s.phoneme in ("P", "B", "M")]
    assert names == ["M", "M", "B", "B", "P", "P"]


@needs_espeak
def test_espeak_pronounces_and_refuses_unknown_voices() -> None:
    engine = Espeak()
    assert engine.pronounce("moto", "it")[0] == "M"
    assert "f2" in engine.variants()
    with pytest.raises(ValueError, match="no-such-voice"):
        engine.speak(TEXT, "no-such-voice")


def test_the_bundled_clip_is_level_and_about_ten_seconds() -> None:
    samples, rate = soundfile.read(sample_clip())
    assert rate >= SAMPLE_RATE and samples.ndim == 1
    assert 10 < len(samples) / rate < 12
    assert 0.3 < np.abs(samples).max() <= 0.91
    loud = np.abs(samples) > 0.02
    assert -22 < 10 * np.log10(np.mean(samples[loud] ** 2)) < -15
