"""What other phone sets call the phonemes: IPA, the CMU set, and festival's voices.

Sounds of other languages map to the phoneme whose lips they share: what counts is what a lip-reader sees.
"""

from __future__ import annotations

import re

from animation.speech.phonemes import PHONEME_INDEX, SILENCE

__all__ = ["from_cmu", "from_festival", "from_ipa"]


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
