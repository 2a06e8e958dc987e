"""What the speakers of the self-made corpus say."""

from __future__ import annotations

import ctypes.util
import shutil

import numpy as np
import pytest

from animation.lab.data.self_made import CorpusRecipe
from animation.lab.data.self_made_voices import made_up_sentences, spoken_utterances


def test_sentences_are_seeded_and_differ() -> None:
    first, again = (made_up_sentences(30, np.random.default_rng(4)) for _ in range(2))
    assert first == again and len(set(first)) > 25
    assert all(text[0].isupper() and text.endswith(".") and 5 <= len(text.split()) <= 20 for text in first)


@pytest.mark.skipif(
    shutil.which("flite") is None or ctypes.util.find_library("espeak-ng") is None, reason="no flite or no espeak-ng"
)
def test_speakers_speak_with_phonemes_in_time() -> None:
    recipe = CorpusRecipe(speakers=2, sentences=2, identities=1)
    told: list[tuple[int, int]] = []
    spoken = spoken_utterances(recipe, lambda done, total: told.append((done, total)))
    assert [len(own) for own in spoken] == [2, 2] and told[-1] == (4, 4)
    for own in spoken:
        for utterance in own:
            assert utterance.samples is not None
            assert utterance.segments[-1].end_s <= len(utterance.samples) / 16000 + 0.05
            vowels = [s for s in utterance.segments if s.phoneme in ("AA", "AE", "AH", "IY", "UW", "OW", "ER", "IH")]
            loud = [np.abs(utterance.samples[int(s.start_s * 16000) : int(s.end_s * 16000)]).mean() for s in vowels]
            assert np.mean(loud) > 0.5 * np.abs(utterance.samples).mean()
    again = spoken_utterances(recipe)
    assert all(a.segments == b.segments for x, y in zip(spoken, again, strict=True) for a, b in zip(x, y, strict=True))
