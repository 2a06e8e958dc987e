"""Speech of synthetic voices with its stressed vowels in time: a dictionary says which, the voice says when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from jaxtyping import Float32

from animation.lab.data.self_made_voices import made_up_sentences
from animation.lab.data.synthetic_speech import FLITE_VOICES, Espeak, SyntheticSpeech, flite
from animation.speech.audio import resample
from animation.speech.phone_sets import from_ipa
from animation.speech.phonemes import VOWELS, Segment
from animation.speech.voice.espeak import EspeakLibrary
from animation.speech.voice.narrator import Narrator
from avatar.errors import UserError

__all__ = [
    "HELD_OUT_VOICES",
    "TRAINING_VOICES",
    "Speaker",
    "StressedSpeech",
    "check_voices",
    "speaker",
    "stressed_speech",
    "stressed_vowels",
]

_TEXTS = (
    "I never said that she stole the money.",
    "Could you please open the window and close the door behind you?",
    "We will meet on Monday at the station, buy some coffee, and take the early train.",
    "This is the most wonderful thing I have ever seen!",
    "The weather was terrible, the food was cold, and the music was far too loud.",
    "Do you remember when we went fishing with your father?",
    "Yesterday the government announced a completely different plan.",
    "If you ask me, the problem is simply that people do not listen.",
    "Remember to water the tomatoes every evening, even when it rains.",
    "Honestly, I would rather walk home alone than wait another hour.",
    "Nobody knows what happened after the second meeting, but everyone agrees it was important.",
    "Is that really what you wanted to tell me?",
    "Take the second street on the left, and stop in front of the library.",
    "My sister has a little garden with roses, apples and an enormous walnut tree.",
    "What a beautiful morning for a walk along the river!",
    "They asked for a table near the kitchen, because it was warmer there.",
)
_QUIET_S = 0.5
_NEURAL_SHARE = 4
"""Neural voices take longer to speak than to learn from: they say a fourth as much."""

TRAINING_VOICES = (
    "espeak en-us", "espeak en-us+f2", "espeak en-us+m3", "espeak en-us+m7", "espeak en-us+f5",
    "flite slt", "flite rms", "flite kal16",
    "kokoro af_heart", "kokoro af_bella", "kokoro af_sarah", "kokoro am_adam", "kokoro am_michael", "kokoro am_fenrir",
    "kokoro bf_emma", "kokoro bm_george",
)  # fmt: skip
HELD_OUT_VOICES = (
    "espeak en-us+f4", "espeak en-us+m1", "flite awb", "kokoro af_sky", "kokoro am_puck", "kokoro bf_lily",
    "kokoro bm_lewis",
)  # fmt: skip

_FLITE_HZ = {"slt": 170.0, "rms": 100.0, "awb": 120.0, "kal16": 110.0}

Speaker = Callable[[str], tuple[Float32[np.ndarray, " n"], Sequence[Segment]] | None]
"""Text to sound (mono, 16 kHz) and its phonemes; None where the synthesizer fails on it."""


@dataclass(frozen=True, eq=False)
class StressedSpeech:
    """An utterance between two half seconds of silence: mono, 16 kHz, and its stressed vowels."""

    voice: str
    samples: Float32[np.ndarray, " n"]
    stresses: tuple[Segment, ...]


def stressed_vowels(clauses: Sequence[str], segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments that carry a primary stress.

    Args:
        clauses: the text in IPA with stress marks.
        segments: what a voice made of it; a phoneme more or less does no harm.
    """
    spoken: list[tuple[str, bool]] = []
    for clause in clauses:
        stressed = False
        for part in re.split("([ˈˌ ])", clause):
            if part in ("ˈ", "ˌ", " "):
                stressed = part == "ˈ"
                continue
            for phoneme in from_ipa(part):
                carries = stressed and phoneme in VOWELS
                spoken.append((phoneme, carries))
                stressed = stressed and not carries
    matcher = SequenceMatcher(None, [p for p, _ in spoken], [s.phoneme for s in segments], autojunk=False)
    found = []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and a_end - a == b_end - b):
            pairs = zip(spoken[a:a_end], segments[b:b_end], strict=True)
            found += [segment for (_, carries), segment in pairs if carries and segment.phoneme in VOWELS]
    return tuple(found)


def stressed_speech(
    voices: Sequence[str], count: int, seed: int, progress: Callable[[str, float], None] = lambda text, share: None
) -> Iterator[StressedSpeech]:
    """`count` utterances of each voice, fewer of neural ones. Seeded.

    Args:
        voices: 'espeak en-us+f2', 'flite slt', 'kokoro af_heart' and the like.

    Raises:
        UserError: if a voice is not installed.
    """
    dictionary = EspeakLibrary()
    for number, voice in enumerate(voices):
        rng = np.random.default_rng([seed, 11, number])
        kind, _, name = voice.partition(" ")
        say = speaker(voice, rng)
        n = count // _NEURAL_SHARE if kind == "kokoro" else count
        texts = [*rng.permutation(_TEXTS)[: n // 2], *made_up_sentences(n - min(n // 2, len(_TEXTS)), rng)]
        for position, text in enumerate(texts):
            progress(voice, (number + position / len(texts)) / len(voices))
            if (said := say(str(text))) is None:
                continue
            samples, segments = said
            clauses = dictionary.ipa(str(text), "en-gb" if name.startswith("b") else "en-us")
            stresses = tuple(s.shifted(_QUIET_S) for s in stressed_vowels(clauses, segments))
            quiet = np.zeros(round(_QUIET_S * 16000), np.float32)
            yield StressedSpeech(voice, np.concatenate([quiet, samples.astype(np.float32), quiet]), stresses)


def check_voices(voices: Sequence[str]) -> None:
    """Before anything long is begun.

    Raises:
        UserError: if one of the voices is not installed.
    """
    for voice in voices:
        speaker(voice, np.random.default_rng(0))


def speaker(voice: str, rng: np.random.Generator, pace: float | None = None, excited: bool = False) -> Speaker:
    """A voice that says texts.

    Args:
        voice: see `stressed_speech`.
        rng: of its pitch and pace.
        pace: relative to its own; drawn if None.
        excited: speak higher, with a wider range, where the synthesizer can.

    Raises:
        UserError: if it is not installed.
    """
    kind, _, name = voice.partition(" ")
    drawn = float(rng.uniform(0.9, 1.15))
    pace = drawn if pace is None else pace
    pitch, liveliness = (int(rng.integers(low, high)) for low, high in ((30, 60), (40, 75)))
    if kind == "espeak":
        espeak = Espeak()
        higher = 14 if excited else 0
        return lambda text: _said(espeak.speak(text, name, round(165 * pace), pitch + higher, liveliness + higher))
    if kind == "flite":
        if name not in FLITE_VOICES:
            raise UserError(f"flite has no voice {name!r}")
        return lambda text: _said(flite(text, name, 1.05 / pace, _FLITE_HZ[name] * 1.2 if excited else None))
    narrator = Narrator(name, speed=pace)

    def say(text: str) -> tuple[Float32[np.ndarray, " n"], Sequence[Segment]]:
        spoken = narrator.say(text)
        return resample(spoken.samples, spoken.sample_rate), spoken.segments

    return say


def _said(speech: SyntheticSpeech | None) -> tuple[Float32[np.ndarray, " n"], Sequence[Segment]] | None:
    return None if speech is None else (speech.samples, speech.segments)
