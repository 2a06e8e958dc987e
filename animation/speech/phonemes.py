"""Phonemes, visemes, and the maps into them from IPA, the CMU set and festival's voices.

The 42 phonemes are the 39 of the CMU pronouncing dictionary, silence, `UY` for the front rounded vowels that English
lacks, and `BH` for the b between vowels of Spanish and its kin. Sounds of other languages map to the phoneme whose lips
they share: what counts is what a lip-reader sees.
"""

from __future__ import annotations

import re
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
    "from_cmu",
    "from_festival",
    "from_ipa",
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


def _table(text: str) -> dict[str, str]:
    """Read 'symbol symbol=PHONEME ...' lines into one dictionary."""
    table: dict[str, str] = {}
    for line in text.strip().splitlines():
        phoneme, symbols = line.split(":", 1)
        table.update(dict.fromkeys(symbols.split(), phoneme.strip()))
    return table


_IPA = _table(
    """
    CH: t͡ʃ tʃ tɕ tʂ
    JH: d͡ʒ dʒ dʑ dʐ
    AY: aɪ
    AW: aʊ
    EY: eɪ
    OW: oʊ əʊ o
    OY: ɔɪ ɔø
    ER: ɜː ɝ ɚ ɜ
    AA: ɑ̃ ɑ a
    AE: ɛ̃ æ
    AH: ɐ ə ʌ ɘ ɤ
    AO: ɔ̃ ɔ ɒ
    EH: ɛ e
    IH: ɪ ɨ ᵻ ɯ
    IY: iː i
    UH: ʊ ɵ
    UW: uː u ʉ
    UY: œ̃ y ø œ ʏ ɥ ɶ
    P: p
    B: b
    BH: β
    M: m
    T: t ʈ
    D: d ɖ r ɾ ɽ
    K: k q c ʔ
    G: ɡ g ɟ ɣ
    F: f ɸ
    V: v ʋ ⱱ ɱ
    TH: θ
    DH: ð
    S: s ts
    Z: z dz
    SH: ʃ ɕ ʂ ç
    ZH: ʒ ʑ ʐ
    HH: h ɦ x χ ʁ ħ ʀ
    N: n ɲ ɳ
    NG: ŋ
    L: l ɫ ʎ ɭ ɬ
    R: ɹ ɻ
    Y: j ʝ
    W: w ʍ
    """
)
_IPA_MARKS = re.compile("[ˈˌːˑʲ̪̩̯̃ʰʷ̥˞͡‿^\\-̝̞]")


def from_ipa(symbols: str) -> list[str]:
    """Phonemes of a run of IPA symbols; symbols without a visible counterpart (stress, tone, pauses) give none."""
    text = symbols if symbols in _IPA else _IPA_MARKS.sub("", symbols)
    phonemes: list[str] = []
    position = 0
    while position < len(text):
        for length in (3, 2, 1):
            phoneme = _IPA.get(text[position : position + length])
            if phoneme is not None:
                phonemes.append(phoneme)
                position += length
                break
        else:
            position += 1
    return phonemes


_CMU = _table(
    """
    AH: ax ax-h
    ER: axr
    M: em
    N: en nx
    NG: eng
    L: el
    D: dx
    HH: hv
    IH: ix
    UW: ux
    SIL: pau ssil h# brth sil +spn+ +nsn+ (null)
    """
)


def from_cmu(name: str) -> str:
    """The phoneme of a name of the CMU or radio phone set, with or without a stress digit; unknown: silence."""
    name = name.lower().rstrip("012")
    phoneme = _CMU.get(name, name.upper())
    return phoneme if phoneme in PHONEME_INDEX else SILENCE


# Festival's voices name phones in their own ASCII spellings. One table a family of voices; case matters.
_FESTIVAL = {
    "italian": """
        AA: a a1
        EY: e e1
        EH: E E1
        IY: i i1
        OW: o o1
        AO: O O1
        UW: u u1
        Y: j
        W: w
        P: p
        B: b
        T: t
        D: d r
        K: k
        G: g
        F: f
        V: v
        S: s ts
        Z: z dz
        SH: S
        CH: tS
        JH: dZ
        M: m
        N: n ng nf J
        L: l L
        SIL: # pau
        """,
    "czech": """
        AA: a a:
        EH: e e:
        IY: i i:
        IH: y
        AO: o o:
        UW: u u:
        OW: o~ ou
        AW: au
        P: p
        B: b
        M: m m*
        T: t t~ ty
        D: d d~ dy r r* r^
        K: k
        G: g
        F: f
        V: v
        S: s c
        Z: z z^z dz
        SH: s~ S
        ZH: z~ r~ r~* Z
        CH: c~ ch~ C
        JH: dz~ dZ
        HH: h ch x
        N: n n~ ny n*
        L: l l*
        Y: j
        SIL: # pau _ 0
        """,
    "finnish": """
        AA: a aa A AA
        AE: @ @@ {
        EH: e ee
        IY: i ii
        AO: o oo
        UW: u uu
        UY: y yy 7 77 q qq
        P: p pp
        B: b
        M: m mm
        N: n nn
        NG: N NN
        T: t tt
        D: d r rr
        K: k kk
        G: g
        F: f
        V: v w
        S: s ss z
        SH: S
        HH: h hh
        L: l ll
        Y: j jj
        SIL: # pau
        """,
    "catalan": """
        AA: a a1
        AH: ax
        EY: e e1
        EH: E E1
        IY: i i1 j y
        OW: o o1
        AO: O O1
        UW: u u1
        W: w uu
        P: p
        B: b
        BH: B
        M: m
        N: n ny Ny J nl
        NG: ng N
        T: t
        D: d D r rr
        DH: dh
        K: k
        G: g G
        F: f
        V: v
        S: s
        Z: z
        SH: sh S
        ZH: zh Z
        CH: ch tS
        JH: jh dZ
        L: l ly L
        TH: th T
        HH: x
        SIL: # pau
        """,
    "russian": """
        AA: a aa
        AH: ae ii
        EH: e ee
        IY: i
        IH: y yy ur
        AO: o oo
        UW: u uu
        P: p pp
        B: b bb
        M: m mm
        N: n nn
        T: t tt
        D: d dd r rr
        K: k kk
        G: g gg
        F: f ff
        V: v vv
        S: s ss c
        Z: z zz
        SH: sh sch
        ZH: zh
        CH: ch
        HH: h hh
        L: l ll
        Y: j
        SIL: # pau
        """,
}
_FESTIVAL_TABLES = {family: _table(text) for family, text in _FESTIVAL.items()}


def from_festival(name: str, family: str) -> str | None:
    """The phoneme of a phone of a festival voice, or None when the table does not know it.

    Args:
        name: the voice's own spelling.
        family: 'english', 'italian', 'czech', 'finnish', 'catalan' or 'russian'.

    Raises:
        KeyError: the family has no table.
    """
    if family == "english":
        return from_cmu(name)
    table = _FESTIVAL_TABLES[family]
    return table.get(name, table.get(name.rstrip(":")))


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
