"""The recordings of real speakers that the speech model learns from and is tested on: who, whence, and what for.

Nothing here is part of the program: the packages are fetched when a corpus is made, and only the weights of a model
that learned from some of them are shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SOURCES", "Role", "Source"]

Role = Literal["split", "training", "validation", "test"]


@dataclass(frozen=True)
class Source:
    """One speaker (or one package of speakers) with one language.

    `role` 'split' divides the files among training, validation and test; the others keep the whole speaker for that.
    `doubtful_words`: the speaker may have read another wording than the transcript's. `aligned_again`: by an aligner
    that has learned from all other training voices, too, and from what was found of this one.
    """

    name: str
    language: str
    packages: tuple[str, ...]
    licence: str
    role: Role
    kind: Literal["prompts", "stamps", "librivox", "alsa", "talkie", "drascula", "steelsky", "fillets", "letters"]
    espeak_voice: str
    doubtful_words: bool = False
    aligned_again: bool = False


_TALKIE = "flight-of-the-amazon-queen"


def _prompts(language: str, licence: str, espeak_voice: str) -> Source:
    base = f"asterisk-core-sounds-{language}"
    return Source(f"prompts_{language}", language, (base, f"{base}-g722"), licence, "split", "prompts", espeak_voice)


def _stamps(language: str, role: Role) -> Source:
    return Source(f"stamps_{language}", language, ("tuxpaint-stamps-default",), "GPL-2", role, "stamps", language)


def _letters(language: str, espeak_voice: str | None = None) -> Source:
    return Source(
        f"letters_{language.lower()}",
        language,
        ("klettres-data",),
        "GPL-2+",
        "training",
        "letters",
        espeak_voice or language,
    )


SOURCES = (
    _prompts("en", "CC-BY-SA-3.0", "en-us"),
    _prompts("es", "CC-BY-SA-3.0", "es-419"),
    _prompts("fr", "CC-BY-SA-3.0", "fr"),
    _prompts("it", "CC-BY-3.0", "it"),
    _prompts("ru", "CC-BY-3.0", "ru"),
    Source("librivox_en", "en", ("pocketsphinx-testdata",), "public domain", "test", "librivox", "en-us"),
    Source("alsa_en", "en", ("alsa-utils",), "GPL-2", "test", "alsa", "en-us"),
    Source(
        "menardi_it",
        "it",
        ("asterisk-prompt-it-menardi-wav", "asterisk-core-sounds-it"),
        "CC-BY-SA-3.0",
        "split",
        "prompts",
        "it",
        doubtful_words=True,
    ),
    _stamps("es", "test"),
    _stamps("fr", "test"),
    _stamps("ru", "test"),
    _stamps("ro", "validation"),
    _stamps("ca", "validation"),
    _stamps("da", "test"),
    _stamps("el", "test"),
    Source("talkie_joe", "en", (_TALKIE,), "free to give away", "training", "talkie", "en-us"),
    Source("talkie_others", "en", (_TALKIE,), "free to give away", "training", "talkie", "en-us"),
    Source("steelsky_en", "en", ("beneath-a-steel-sky",), "free to give away", "training", "steelsky", "en-us"),
    Source(
        "drascula_en",
        "en",
        ("drascula",),
        "free to give away",
        "training",
        "drascula",
        "en-us",
        aligned_again=True,
    ),
    Source(
        "fillets_cs",
        "cs",
        ("fillets-ng-data", "fillets-ng-data-cs"),
        "GPL-2",
        "training",
        "fillets",
        "cs",
        aligned_again=True,
    ),
    Source(
        "armelle_fr",
        "fr",
        ("asterisk-prompt-fr-armelle", "asterisk-core-sounds-fr"),
        "BSD-2-Clause",
        "training",
        "prompts",
        "fr",
        doubtful_words=True,
    ),
    Source(
        "colombia_es",
        "es",
        ("asterisk-prompt-es-co", "asterisk-core-sounds-es"),
        "GPL-2",
        "training",
        "prompts",
        "es-419",
        doubtful_words=True,
    ),
    # Not those whose language a speaker kept for tests or validation has: it might be the same volunteer.
    _letters("cs"),
    _letters("de"),
    _letters("en", "en-us"),
    _letters("en_GB", "en-gb"),
    _letters("he"),
    _letters("hu"),
    _letters("it"),
    _letters("lt"),
    _letters("ml"),
    _letters("nb"),
    _letters("nds", "de"),
    _letters("nl"),
    _letters("pt_BR", "pt-br"),
    _letters("tn"),
    _letters("uk"),
)
