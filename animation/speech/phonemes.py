"""Phonemes, visemes, and phonemes in time.

The 42 phonemes are the 39 of the CMU pronouncing dictionary, silence, `UY` for the front rounded vowels that English
lacks, and `BH` for the b between vowels of Spanish and its kin. Sounds of other languages map to the phoneme whose lips
they share: what counts is what a lip-reader sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

__all__ = [
    "BILABIALS",
    "LABIODENTALS",
    "NEARLY_CLOSED",
    "PHONEMES",
    "PHONEME_INDEX",
    "SILENCE",
    "VISEMES",
    "VISEME_INDEX",
    "VISEME_OF",
    "VOWELS",
    "Segment",
    "phoneme_labels",
    "split_diphthongs",
    "viseme_labels",
]

SILENCE = "SIL"
_NAMES = """
    SIL AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K
    L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH UY BH
"""
PHONEMES = tuple(_NAMES.split())
PHONEME_INDEX = {phoneme: index for index, phoneme in enumerate(PHONEMES)}
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW", "UY"))
BILABIALS = frozenset(("P", "B", "M"))
LABIODENTALS = frozenset(("F", "V"))
NEARLY_CLOSED = frozenset(("BH",))
"""Lips come near each other; whether they touch is the speaker's habit."""

# The fifteen visemes of the Oculus set, the one that most tools speak.
VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
VISEME_INDEX = {viseme: index for index, viseme in enumerate(VISEMES)}
_VISEME_MEMBERS = {
    "sil": "SIL",
    "PP": "P B M BH",
    "FF": "F V",
    "TH": "TH DH",
    "DD": "T D",
    "kk": "K G NG HH",
    "CH": "CH JH SH ZH",
    "SS": "S Z",
    "nn": "N L",
    "RR": "R ER",
    "aa": "AA AE AH AW AY",
    "E": "EH EY",
    "ih": "IH IY Y",
    "oh": "AO OW OY",
    "ou": "UH UW W UY",
}
VISEME_OF = {phoneme: viseme for viseme, members in _VISEME_MEMBERS.items() for phoneme in members.split()}

# A diphthong shows its first half for 60 % of its time, then the glide.
_GLIDE = {"AY": "IH", "EY": "IH", "OY": "IH", "AW": "UH", "OW": "UH"}
_GLIDE_START = 0.6
_SHORTEST_DIPHTHONG_S = 0.06


class Segment(NamedTuple):
    """One phoneme in time: `phoneme` of `PHONEMES`, `start_s` and `end_s` in seconds from the start of the sound."""

    phoneme: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def shifted(self, offset_s: float) -> Segment:
        """The same segment, `offset_s` later."""
        return Segment(self.phoneme, self.start_s + offset_s, self.end_s + offset_s)

    def scaled(self, factor: float) -> Segment:
        """The same segment of a sound played `factor` times as long."""
        return Segment(self.phoneme, self.start_s * factor, self.end_s * factor)


def split_diphthongs(segments: Iterable[Segment]) -> list[Segment]:
    """Diphthongs cut 60/40 into their two halves, as the lips show them; short ones stay whole."""
    parts: list[Segment] = []
    for segment in segments:
        glide = _GLIDE.get(segment.phoneme)
        if glide is None or segment.duration_s <= _SHORTEST_DIPHTHONG_S:
            parts.append(segment)
            continue
        middle = segment.start_s + _GLIDE_START * segment.duration_s
        parts.append(Segment(segment.phoneme, segment.start_s, middle))
        parts.append(Segment(glide, middle, segment.end_s))
    return parts


def _labels(segments: Sequence[Segment], indices: Sequence[int], n_poses: int, hop_s: float) -> Int[np.ndarray, " t"]:
    times = (np.arange(n_poses) + 0.5) * hop_s
    labels = np.zeros(n_poses, np.int64)
    for segment, index in zip(segments, indices, strict=True):
        labels[np.searchsorted(times, segment.start_s) : np.searchsorted(times, segment.end_s)] = index
    return labels


def phoneme_labels(segments: Sequence[Segment], n_poses: int, hop_s: float = 0.02) -> Int[np.ndarray, " t"]:
    """Index into `PHONEMES` at the time (k + 0.5) * hop_s of each pose k; silence where no segment lies."""
    return _labels(segments, [PHONEME_INDEX[segment.phoneme] for segment in segments], n_poses, hop_s)


def viseme_labels(segments: Sequence[Segment], n_poses: int, hop_s: float = 0.02) -> Int[np.ndarray, " t"]:
    """Index into `VISEMES` at the time (k + 0.5) * hop_s of each pose k.

    Diphthongs show two visemes; an h shows the lips of the sound after it.
    """
    parts = split_diphthongs(segments)
    indices = []
    for position, part in enumerate(parts):
        shown = part.phoneme
        if shown == "HH" and position + 1 < len(parts) and parts[position + 1].phoneme != SILENCE:
            shown = parts[position + 1].phoneme
        indices.append(VISEME_INDEX[VISEME_OF[shown]])
    return _labels(parts, indices, n_poses, hop_s)
