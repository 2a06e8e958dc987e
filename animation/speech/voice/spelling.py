"""Text to the phonemes that Kokoro reads: espeak-ng's IPA, rewritten into Kokoro's own alphabet.

Kokoro learned from the alphabet of misaki: one letter for each diphthong and affricate, the American flap as T, English
vowels without length marks. In other languages only what is tied together changes.

Reference: hexgrad, "misaki", https://github.com/hexgrad/misaki (Apache-2.0), English phones and espeak's equivalents.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from animation.speech.voice.espeak import EspeakLibrary
from avatar.errors import UserError

__all__ = ["LANGUAGES", "Language", "Speller", "language_of"]

_TIE = "^"
_PUNCTUATION = ";:,.!?…—"
# A mark ends a clause only before a space or the end: 3.5 and 1,000 are numbers.
_CLAUSE_END = re.compile(rf"[{_PUNCTUATION}]+(?=[\s\"'”’)»]|$)|\s[—–-]\s")
_SWITCH = re.compile(r"\([a-z-]+\)")
"""espeak-ng marks a word that it takes for another language's."""
_SILENT = str.maketrans("", "", '"“”«»()[]{}*_#<>|')

_ENGLISH = (
    ("ʔˌn̩", "tᵊn"), ("ʔn̩", "tᵊn"), ("ʔn", "tᵊn"), ("ʔ", "t"), ("ə^l", "ᵊl"), ("ʲo", "jo"), ("ʲə", "jə"),
    ("ʲ", ""), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɬ", "l"), ("̃", ""),
)  # fmt: skip
_TIED = (
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("ɔ^ɪ", "Y"), ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"),
)  # fmt: skip
_AMERICAN = (
    *_ENGLISH, *_TIED, ("o^ʊ", "O"), ("ɚ", "əɹ"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ɐ", "ə"), ("ː", ""),
    ("ɾ", "T"), ("e", "A"),
)  # fmt: skip
_BRITISH = (*_ENGLISH, *_TIED, ("e^ə", "ɛː"), ("i^ə", "ɪə"), ("iə", "ɪə"), ("ə^ʊ", "Q"), ("e", "ɛ"))
_OTHERS = (*_TIED, ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("d^z", "ʣ"), ("t^s", "ʦ"), ("s^s", "S"))


class Language(NamedTuple):
    """A language that can be spoken: espeak-ng's name for it, the letter that its voices begin with, its spelling."""

    espeak: str
    letter: str
    rules: tuple[tuple[str, str], ...] = _OTHERS

    @property
    def english(self) -> bool:
        """Whether syllabic consonants are spelt with a small schwa."""
        return self.rules is not _OTHERS


LANGUAGES = {
    "en-us": Language("en-us", "a", _AMERICAN),
    "en-gb": Language("en-gb", "b", _BRITISH),
    "es": Language("es", "e"),
    "fr": Language("fr", "f"),
    "hi": Language("hi", "h"),
    "it": Language("it", "i"),
    "pt-br": Language("pt-br", "p"),
}
"""Languages that Kokoro was trained on and espeak-ng can spell; their names are those of the command line."""

_ALSO = {"en": "en-us", "pt": "pt-br", "fr-fr": "fr", "es-es": "es", "es-419": "es", "it-it": "it", "hi-in": "hi"}


def language_of(name: str) -> str:
    """The key of `LANGUAGES` for any usual spelling: 'en', 'EN_gb', 'pt'.

    Raises:
        UserError: it cannot be spoken.
    """
    key = name.strip().lower().replace("_", "-")
    key = _ALSO.get(key, key)
    if key not in LANGUAGES:
        raise UserError(f"language {name!r}: expected one of {', '.join(LANGUAGES)}")
    return key


class Speller:
    """Spells text in Kokoro's alphabet.

    Raises:
        UserError: espeak-ng is not installed.
    """

    def __init__(self, espeak: EspeakLibrary | None = None) -> None:
        self._espeak = EspeakLibrary() if espeak is None else espeak

    def spell(self, text: str, language: Language) -> str:
        """Phonemes with stress marks, spaces between words and punctuation.

        espeak-ng swallows punctuation, and Kokoro needs it for pauses and melody: clauses are spelt one by one.
        """
        text = re.sub(r"\s+", " ", text.translate(_SILENT)).strip()
        spelt, start = "", 0
        for mark in _CLAUSE_END.finditer(text):
            spelt += self._clause(text[start : mark.start()], language)
            if spelt:
                spelt = spelt.rstrip() + (mark.group().strip(" ")[-1:].replace("-", "—").replace("–", "—")) + " "
            start = mark.end()
        spelt += self._clause(text[start:], language)
        return re.sub(" +", " ", spelt).strip()

    def _clause(self, text: str, language: Language) -> str:
        if not text.strip():
            return ""
        ipa = _SWITCH.sub("", " ".join(self._espeak.ipa(text, language.espeak, _TIE)))
        for old, new in language.rules:
            ipa = ipa.replace(old, new)
        if language.english:
            ipa = re.sub(r"(\S)̩", r"ᵊ\1", ipa)
        for mark in (_TIE, "-", "̩", "‍"):
            ipa = ipa.replace(mark, "")
        return ipa.strip() + " "
