"""Phoneme tables and labels in time."""

from __future__ import annotations

import numpy as np
import pytest

from animation.speech.phone_sets import from_cmu, from_festival, from_ipa
from animation.speech.phonemes import (
    PHONEME_INDEX,
    PHONEMES,
    VISEME_INDEX,
    VISEME_OF,
    VISEMES,
    Segment,
    phoneme_labels,
    split_diphthongs,
    viseme_labels,
)


def test_every_phoneme_has_a_viseme_and_every_viseme_a_phoneme() -> None:
    assert set(VISEME_OF) == set(PHONEMES)
    assert set(VISEME_OF.values()) == set(VISEMES)


@pytest.mark.parametrize(
    ("ipa", "phonemes"),
    [
        ("bˈuːm", ["B", "UW", "M"]),
        ("tʃ", ["CH"]),
        ("t͡ʃˈaɪ", ["CH", "AY"]),
        ("ʃø", ["SH", "UY"]),
        ("ˈˌː", []),
        ("pʲ", ["P"]),
        ("ɑ̃", ["AA"]),
    ],
)
def test_ipa_is_read(ipa: str, phonemes: list[str]) -> None:
    assert from_ipa(ipa) == phonemes


def test_names_of_voices_are_read() -> None:
    assert from_cmu("ah1") == "AH"
    assert from_cmu("pau") == "SIL"
    assert from_cmu("no such phone") == "SIL"
    assert from_festival("tS", "italian") == "CH"
    assert from_festival("l:", "finnish") == "L"
    assert from_festival("a:", "czech") == "AA"
    assert from_festival("?!", "czech") is None
    with pytest.raises(KeyError):
        from_festival("a", "klingon")


def test_labels_hold_at_the_middle_of_each_pose() -> None:
    segments = [Segment("SIL", 0.0, 0.1), Segment("M", 0.1, 0.2), Segment("AA", 0.2, 0.4)]
    labels = phoneme_labels(segments, 25)
    assert [PHONEMES[i] for i in labels[[4, 5, 9, 10, 19, 20]]] == ["SIL", "M", "M", "AA", "AA", "SIL"]
    assert np.all(phoneme_labels([], 5) == PHONEME_INDEX["SIL"])


def test_diphthongs_show_two_visemes_and_h_shows_the_next_sound() -> None:
    segments = [Segment("HH", 0.0, 0.1), Segment("AY", 0.1, 0.3)]
    names = [VISEMES[i] for i in viseme_labels(segments, 15)]
    assert names == ["aa"] * 11 + ["ih"] * 4
    assert split_diphthongs([Segment("AY", 0.0, 0.05)]) == [Segment("AY", 0.0, 0.05)]
    assert VISEME_INDEX["sil"] == 0


def test_segments_move_and_stretch() -> None:
    assert Segment("M", 1.0, 2.0).shifted(0.5) == Segment("M", 1.5, 2.5)
    assert Segment("M", 1.0, 2.0).scaled(2.0).duration_s == 2.0
