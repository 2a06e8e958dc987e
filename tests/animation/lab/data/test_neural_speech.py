"""The neural voice's part of the corpus: what is kept for tests is never spoken for training; sung phrases."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from animation.lab.data import neural_speech
from animation.lab.data.neural_speech import HELD_OUT_VOICES, read_clips, speak_clips
from animation.lab.data.sung import sung_phrases
from animation.lab.data.texts import is_held_out
from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import SILENCE, VOWELS
from animation.speech.voice.kokoro import Spoken

LANGUAGES = ("en", "es", "fr", "it", "pt", "de", "ru", "pl", "cs", "da", "el", "ca")
TEXTS = {key: [f"sentence {n} of {key}." for n in range(40)] for key in LANGUAGES}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Voices that hum, and what they were asked to say."""
    lines: list[str] = []

    class Humming:
        def known(self, phonemes: str) -> str:
            return phonemes

        def speak(self, phonemes: str, style: np.ndarray, speed: float) -> Spoken:
            lines.append(phonemes)
            tokens = ("^", *phonemes, "$")
            return Spoken(np.full(24000, 0.1, np.float32), tokens, np.ones(len(tokens), np.int64))

    class Spelling:
        def spell(self, text: str, language: object) -> str:
            return text

    monkeypatch.setattr(neural_speech, "Kokoro", Humming)
    monkeypatch.setattr(neural_speech, "Speller", Spelling)
    monkeypatch.setattr(neural_speech, "load_style", lambda name: np.ones((510, 256), np.float32))
    monkeypatch.setattr(
        neural_speech, "fetch_voices", lambda progress: ["af_heart", "am_adam", "ef_dora", "ff_one", *HELD_OUT_VOICES]
    )
    return lines


def test_voices_and_sentences_kept_for_tests_are_never_trained_on(said: list[str], tmp_path: Path) -> None:
    for part in ("train", "test"):
        speak_clips(tmp_path, part, 1.0, TEXTS, 0, lambda message, share: None)
    train, test = list(read_clips(tmp_path, "train")), list(read_clips(tmp_path, "test"))
    assert len(train) >= 60 and len(test) >= 60
    for clip in train:
        assert not any(voice in clip.voice for voice in HELD_OUT_VOICES)
    assert {clip.voice for clip in test} == set(HELD_OUT_VOICES)
    assert all(is_held_out(clip.text) for clip in test)
    assert {clip.text for clip in train}.isdisjoint(clip.text for clip in test)
    assert len(train[0].samples) == SAMPLE_RATE


def test_what_was_said_is_not_said_again(said: list[str], tmp_path: Path) -> None:
    speak_clips(tmp_path, "train", 0.5, TEXTS, 0, lambda message, share: None)
    before = len(said)
    speak_clips(tmp_path, "train", 0.5, TEXTS, 0, lambda message, share: None)
    assert len(said) == before
    speak_clips(tmp_path, "train", 1.0, TEXTS, 0, lambda message, share: None)
    assert len(said) > before


def test_sung_phrases_fill_their_sound_and_are_loud_in_vowels_only() -> None:
    for samples, segments in sung_phrases(0.3, seed=0):
        assert segments[0].start_s == 0 and segments[-1].end_s == pytest.approx(len(samples) / SAMPLE_RATE)
        assert all(a.end_s == b.start_s for a, b in pairwise(segments))
        for segment in segments:
            part = samples[round(segment.start_s * SAMPLE_RATE) : round(segment.end_s * SAMPLE_RATE)]
            level = float(np.sqrt(np.mean(np.square(part))))
            assert level == 0 if segment.phoneme == SILENCE else level > 0.01
    assert any(segment.phoneme in VOWELS for segment in segments)
