"""What the speakers of the self-made corpus say: made-up sentences in synthetic voices with exact phoneme times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from animation.lab.data.self_made import CorpusRecipe, Utterance
from animation.lab.data.synthetic_speech import FLITE_VOICES, Espeak, SyntheticSpeech, flite
from avatar.errors import UserError

__all__ = ["made_up_sentences", "spoken_utterances"]

_WORDS: dict[str, tuple[str, ...]] = {
    "who": (
        "my brother", "the farmer", "an old friend", "the painter", "our neighbour", "the pilot", "a small boy",
        "the woman", "every teacher", "the baker", "someone", "the family", "a young doctor", "the chief",
    ),
    "does": (
        "puts", "brings", "found", "moved", "watches", "carried", "broke", "bought", "sees", "reached", "choked on",
        "showed us", "will paint", "should leave", "gave me", "almost forgot",
    ),
    "what": (
        "a purple map", "the beautiful boat", "five fresh fish", "some warm bread", "a huge blue box", "the thin cloth",
        "two cups of tea", "the broken chair", "a yellow flower", "many large books", "the mushroom soup",
        "a good measure", "the long journey", "an apple pie", "the vacuum tube", "a shiny penny",
    ),
    "where": (
        "by the window", "before midnight", "on the wooden table", "near the river", "under the bridge",
        "at the beach this morning", "with both hands", "for the whole group", "without any trouble", "in June",
        "after the show", "above the village", "from the other room", "very slowly",
    ),
}  # fmt: skip
_PATTERNS = (("who", "does", "what", "where"), ("where", "who", "does", "what"), ("who", "does", "what"))


def made_up_sentences(count: int, rng: np.random.Generator) -> list[str]:
    """Short English sentences, of 3 to 4 phrases each, rich in p, b, m, f and v."""
    texts = []
    for _ in range(count):
        pattern = _PATTERNS[rng.integers(len(_PATTERNS))]
        texts.append(" ".join(str(rng.choice(_WORDS[part])) for part in pattern).capitalize() + ".")
    return texts


def spoken_utterances(
    recipe: CorpusRecipe, progress: Callable[[int, int], None] | None = None
) -> list[list[Utterance]]:
    """The sentences of every speaker of a recipe. Seeded.

    Speakers take turns between flite's voices, made from recordings of people, and variants of espeak-ng; each has a
    pitch and a pace of its own.

    Args:
        recipe: how many speakers and sentences.
        progress: told the sentences done and in all.

    Raises:
        UserError: if flite or espeak-ng is not installed.
    """
    espeak = Espeak()
    variants = espeak.variants()
    spoken: list[list[Utterance]] = []
    for i in range(recipe.speakers):
        rng = np.random.default_rng([recipe.seed, 3, i])
        say = _flite_voice(rng, i // 2) if i % 2 == 0 else _espeak_voice(espeak, variants, rng)
        own: list[Utterance] = []
        for speech in _succeeding(say, recipe.sentences, rng):
            own.append(Utterance(speech.segments, speech.samples))
            if progress is not None:
                progress(i * recipe.sentences + len(own), recipe.speakers * recipe.sentences)
        spoken.append(own)
    return spoken


_Say = Callable[[str], SyntheticSpeech | None]


def _flite_voice(rng: np.random.Generator, number: int) -> _Say:
    voice = FLITE_VOICES[number % len(FLITE_VOICES)]
    stretch, pitch_hz = float(rng.uniform(0.9, 1.2)), float(rng.uniform(95, 210))
    return lambda text: flite(text, voice, stretch, pitch_hz)


def _espeak_voice(espeak: Espeak, variants: list[str], rng: np.random.Generator) -> _Say:
    voice = f"en-us+{variants[rng.integers(len(variants))]}"
    rate, pitch, liveliness = (int(rng.integers(low, high)) for low, high in ((140, 190), (25, 75), (30, 70)))
    return lambda text: espeak.speak(text, voice, rate, pitch, liveliness)


def _succeeding(say: _Say, count: int, rng: np.random.Generator) -> Iterator[SyntheticSpeech]:
    """As many sentences as asked; one that the voice fails on is replaced by another."""
    for _ in range(3 * count):
        speech = say(made_up_sentences(1, rng)[0])
        if speech is not None:
            yield speech
            count -= 1
        if count == 0:
            return
    raise UserError("a synthetic voice failed on most sentences; reinstall flite and espeak-ng")
