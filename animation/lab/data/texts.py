"""Sentences for the synthetic voices, from Debian's `fortunes` packages."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

__all__ = ["FORTUNE_PACKAGES", "sentences"]

FORTUNE_PACKAGES = {
    "en": "fortunes",
    "es": "fortunes-es",
    "it": "fortunes-it",
    "de": "fortunes-de",
    "ru": "fortunes-ru",
    "pl": "fortunes-pl",
    "cs": "fortunes-cs",
}
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
