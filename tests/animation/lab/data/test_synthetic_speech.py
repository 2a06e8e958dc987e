"""Synthetic voices: phonemes that fill the sound, in order. Skipped where the programs are not installed."""

from __future__ import annotations

import ctypes.util
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from animation.lab.data.sample_clip import make_sample_clip
from animation.lab.data.synthetic_speech import Espeak, SyntheticSpeech, flite
from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import PHONEME_INDEX

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


@needs_flite
def test_the_sample_clip_is_level_and_about_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "sample.flac"
    length_s = make_sample_clip(path)
    samples, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE
    assert 8 < length_s < 14
    assert len(samples) == round(length_s * rate)
    assert 0.3 < np.abs(samples).max() <= 0.91
    assert np.abs(samples[: rate // 10]).max() == 0
