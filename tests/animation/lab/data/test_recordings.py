"""Reading recordings and sentences from packages' files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile

from animation.lab.data.recordings import fetch, load_sound, recordings
from animation.lab.data.sources import SOURCES
from animation.lab.data.texts import sentences
from avatar.errors import UserError

BY_NAME = {source.name: source for source in SOURCES}


def test_every_source_has_one_role_and_test_speakers_speak_three_languages_and_more() -> None:
    assert len(BY_NAME) == len(SOURCES)
    assert len({source.language for source in SOURCES if source.role == "test"}) >= 3
    assert all(source.licence for source in SOURCES)


def test_prompts_are_paired_with_their_words(tmp_path: Path) -> None:
    documents = tmp_path / "asterisk-core-sounds-it" / "usr/share/doc/x"
    documents.mkdir(parents=True)
    lines = "; a comment\nhello: Buon giorno (a tutti).\nempty: [noise]\ndigits/1: uno\n"
    (documents / "core-sounds-it.txt.gz").write_bytes(gzip.compress(("\ufeff" + lines).encode()))
    sounds = tmp_path / "asterisk-prompt-it-menardi-wav" / "usr/share/asterisk/sounds/it_IT"
    (sounds / "digits").mkdir(parents=True)
    tone = np.sin(np.arange(8000) / 5).astype(np.float32) * 0.1
    for name in ("hello", "empty", "digits/1", "unknown"):
        soundfile.write(sounds / f"{name}.wav", tone, 8000)
    found = {r.name: r for r in recordings(BY_NAME["menardi_it"], tmp_path)}
    assert {name: r.text for name, r in found.items()} == {"hello": "Buon giorno .", "digits/1": "uno"}
    assert len(found["hello"].samples) == pytest.approx(16000, abs=2)


def test_letters_are_paired_with_what_their_index_calls_them(tmp_path: Path) -> None:
    folder = tmp_path / "klettres-data/usr/share/klettres"
    (folder / "hu" / "alpha").mkdir(parents=True)
    soundfile.write(folder / "hu" / "alpha" / "a.wav", np.zeros(8000, np.float32), 16000)
    rows = '<sound name="Á" file="hu/alpha/a.wav" />\n<sound name="B" file="hu/alpha/missing.wav"/>'
    (folder / "hu" / "sounds.xml").write_text(f"<klettres>{rows}</klettres>", encoding="utf-8")
    assert [(r.name, r.text) for r in recordings(BY_NAME["letters_hu"], tmp_path)] == [("hu/alpha/a.wav", "Á")]


def test_whole_speakers_are_kept_for_one_thing_only() -> None:
    for source in SOURCES:  # volunteers of one language may be the same person in two packages
        if source.kind == "stamps":
            assert f"letters_{source.language}" not in BY_NAME


def test_sounds_of_any_kind_become_mono_at_16_khz(tmp_path: Path) -> None:
    stereo = np.stack([np.full(4410, 0.2), np.full(4410, 0.4)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100)
    assert load_sound(tmp_path / "a.wav")[500:1000] == pytest.approx(0.3, abs=0.01)
    np.full(100, 8192, "<i2").tofile(tmp_path / "b.raw")
    assert load_sound(tmp_path / "b.raw") == pytest.approx(0.25)


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get is missing"):
        fetch(["no-such-package"], tmp_path, lambda message, share: None)
    (tmp_path / "there").mkdir()
    fetch(["there"], tmp_path, lambda message, share: None)  # nothing to do, nothing asked


def test_sentences_are_plain_and_in_an_order_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/games/fortunes"
    folder.mkdir(parents=True)
    (folder / "fun").write_text(
        "All good things come to an end. Short one.\n\t-- A. Nonymous\n%\n"
        "He paid $5 for the book on 5 May.\n%\nÇa va très bien aujourd'hui, merci beaucoup!\n"
    )
    (folder / "fun.dat").write_bytes(b"\0\1")
    found = sentences(tmp_path, "en")
    assert set(found) == {"All good things come to an end.", "Ça va très bien aujourd'hui, merci beaucoup!"}
    assert found == sentences(tmp_path, "en")
