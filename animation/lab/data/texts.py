"""Sentences for the synthetic voices: Debian's `fortunes` packages, and what people say in the game Wesnoth."""

from __future__ import annotations

import gettext
import re
import zlib
from pathlib import Path

import numpy as np

__all__ = ["TEXT_PACKAGES", "dialogue", "is_held_out", "sentences", "texts"]

_FORTUNES = {
    "en": "fortunes",
    "es": "fortunes-es",
    "it": "fortunes-it",
    "de": "fortunes-de",
    "ru": "fortunes-ru",
    "pl": "fortunes-pl",
    "cs": "fortunes-cs",
    "pt": "fortunes-br",
}
_CAMPAIGNS = tuple(f"wesnoth-1.16-{campaign}" for campaign in ("ei", "httt", "nr", "utbs"))
TEXT_PACKAGES = (*sorted(_FORTUNES.values()), *_CAMPAIGNS)
"""Debian's packages that the sentences come from."""
_LANGUAGES = ("en", "es", "fr", "it", "pt", "de", "ru", "pl", "cs", "da", "el", "ca")
_SKIPPED_PARTS = ("ascii-art", "off", "zippy")
_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*(?:[ ,.!?;:-]+[^\W\d_]+(?:['’][^\W\d_]+)*)*[ .!?]*")
_ATTRIBUTION = re.compile(r"(\s--|\s—|\n\s+\().*", re.DOTALL)


def _decode(raw: bytes) -> str:
    for encoding in ("utf-8", "iso8859-2"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def sentences(folder: Path, language: str, seed: int = 0, words: tuple[int, int] = (4, 16)) -> list[str]:
    """Sentences of plain words in a shuffled order that depends only on the seed.

    Args:
        folder: where the package's files lie (searched for 'games/fortunes').
        language: two letters.
        seed: of the order.
        words: shortest and longest sentence.
    """
    found: set[str] = set()
    for path in sorted(folder.rglob("games/fortunes/**/*")):
        if path.is_dir() or path.suffix in (".dat", ".u8") or any(p in _SKIPPED_PARTS for p in path.parts):
            continue
        if path.name in _SKIPPED_PARTS or (language == "it" and path.name == "banner"):
            continue
        for block in _decode(path.read_bytes()).split("\n%"):
            text = re.sub(r"\s+", " ", _ATTRIBUTION.sub("", block))
            for sentence in re.split(r"(?<=[.!?])\s+", text):
                clean = sentence.strip().strip('"«»„“').strip()
                if words[0] <= len(clean.split()) <= words[1] and _LETTERS.fullmatch(clean):
                    found.add(clean)
    ordered = sorted(found)
    order = np.random.default_rng(seed).permutation(len(ordered))
    return [ordered[i] for i in order]


_SPOKEN = re.compile(r"[^\W\d_][^<>{}$|=@#*/\\\d_]*[.!?…]")
_LOCALES = {"pt": "pt_BR"}
_HELD_OUT_PART = 10


def dialogue(folder: Path, language: str, words: tuple[int, int] = (3, 18)) -> list[str]:
    """Sentences of Wesnoth's campaigns, in the order of the alphabet.

    Args:
        folder: where the packages' files lie (searched for message catalogues).
        language: two letters; English is what the catalogues translate from.
        words: shortest and longest sentence.
    """
    found: set[str] = set()
    locale = _LOCALES.get(language, "fr" if language == "en" else language)
    for path in sorted(folder.glob(f"wesnoth-*/**/locale/{locale}/LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            messages = gettext.GNUTranslations(file)
        for original, translated in messages._catalog.items():  # type: ignore[attr-defined]
            if not (isinstance(original, str) and isinstance(translated, str) and original != translated):
                continue
            text = original.rpartition("\x04")[2] if language == "en" else translated
            for sentence in re.split(r"(?<=[.!?…])\s+", re.sub(r"\s+", " ", text)):
                clean = sentence.strip().strip('"«»„“”—- ')
                if words[0] <= len(clean.split()) <= words[1] and _SPOKEN.fullmatch(clean):
                    found.add(clean)
    return sorted(found)


def is_held_out(text: str) -> bool:
    """Whether a sentence is kept for tests: a hash decides."""
    return zlib.crc32(text.encode()) % _HELD_OUT_PART == 0


def texts(packages: Path) -> dict[str, list[str]]:
    """All sentences by two-letter language, in the order of the alphabet.

    Args:
        packages: the folder that `TEXT_PACKAGES` were unpacked in.
    """
    found = {}
    for language in _LANGUAGES:
        spoken = set(dialogue(packages, language))
        if language in _FORTUNES:
            spoken.update(sentences(packages / _FORTUNES[language], language))
        found[language] = sorted(spoken)
    return found
