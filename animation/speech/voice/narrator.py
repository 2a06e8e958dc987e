"""Any text, spoken by a neural voice, with the time of every phoneme."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from animation.speech.audio import resample
from animation.speech.phonemes import SILENCE, Segment
from animation.speech.voice.kokoro import SAMPLE_RATE, Kokoro
from animation.speech.voice.parts import fetch_voices, load_style
from animation.speech.voice.spelling import LANGUAGES, Speller, language_of
from animation.speech.voice.times import spoken_segments
from avatar.errors import UserError

__all__ = ["DEFAULT_VOICE", "Narrator", "SpokenText", "choose_voice"]

Progress = Callable[[str, float], None]

DEFAULT_VOICE = "af_heart"
_PREFERRED = (DEFAULT_VOICE, "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_BREATH = re.compile(r"(?<=[,;:])\s+|\s+[—–-]\s+")
_PHRASE_PHONEMES = 250
"""Sentences are said one by one; longer ones are cut where one would take a breath."""
_LONGEST_TEXT = 20_000
_SPEEDS = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class SpokenText:
    """Speech: mono samples at `sample_rate`, and its phonemes in time, silences included."""

    samples: Float[np.ndarray, " n"]
    segments: tuple[Segment, ...]
    sample_rate: int = SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


def choose_voice(voice: str, language: str, names: list[str]) -> tuple[str, str]:
    """The voice and the key of its language; whichever is empty follows from the other.

    Args:
        voice: a name such as 'af_heart', or empty.
        language: a name such as 'en-us' or 'fr', or empty.
        names: the voices there are.

    Raises:
        UserError: unknown, or the voice's own language cannot be spelt and none is given.
    """
    key = language_of(language) if language else ""
    if not voice:
        letter = LANGUAGES[key].letter if key else DEFAULT_VOICE[0]
        own = [name for name in _PREFERRED if name in names] + names
        voice = next((name for name in own if name[0] == letter), "")
        if not voice:
            raise UserError(f"no voice for {key}; there are {', '.join(names)}")
    if voice not in names:
        raise UserError(f"voice {voice!r}: expected one of {', '.join(names)}")
    if not key:
        key = next((name for name, entry in LANGUAGES.items() if entry.letter == voice[0]), "")
        if not key:
            raise UserError(f"voice {voice} was made for a language that cannot be spelt here: give another language")
    return voice, key


class Narrator:
    """A voice that reads text aloud.

    Args:
        voice: one of `fetch_voices`; empty for the language's first.
        language: of the text; the voice's own if empty.
        speed: 1 is the voice's own, 0.5..2.
        progress: told while the voices are fetched, which is done once.
        threads: of the CPU.

    Raises:
        UserError: for an unknown voice or language, or if the extra `voice` is not installed.
    """

    def __init__(
        self,
        voice: str = "",
        language: str = "",
        speed: float = 1.0,
        progress: Progress = lambda message, share: None,
        threads: int = 1,
    ) -> None:
        if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
            raise UserError(f"speed {speed:g}: expected {_SPEEDS[0]:g} to {_SPEEDS[1]:g}")
        if language:
            language_of(language)  # said before anything is fetched
        self._model = Kokoro(threads)
        self.voice, self.language = choose_voice(voice, language, fetch_voices(progress))
        self._style = load_style(self.voice)
        self._speller = Speller()
        self._speed = speed

    def say(self, text: str, progress: Progress = lambda message, share: None) -> SpokenText:
        """Speak a text.

        Raises:
            UserError: nothing in it can be spoken, or it is longer than a chapter.
        """
        if len(text) > _LONGEST_TEXT:
            raise UserError(f"the text has {len(text)} letters: {_LONGEST_TEXT} at a time at most")
        phrases = [phrase for sentence in _SENTENCE_END.split(text) for phrase in self._phrases(sentence)]
        if not phrases:
            raise UserError(f"nothing in the text can be spoken in {self.language}")
        sounds: list[np.ndarray] = []
        segments: list[Segment] = []
        start_s = 0.0
        for number, phonemes in enumerate(phrases):
            progress("speaking", number / len(phrases))
            spoken = self._model.speak(phonemes, self._style, self._speed)
            found = spoken_segments(spoken.tokens, spoken.frames, resample(spoken.samples, SAMPLE_RATE))
            segments += [segment.shifted(start_s) for segment in found]
            sounds.append(spoken.samples)
            start_s += len(spoken.samples) / SAMPLE_RATE
        return SpokenText(np.concatenate(sounds), tuple(_joined(segments)))

    def _phrases(self, sentence: str) -> list[str]:
        """A sentence in phonemes; in pieces if it is long."""
        phonemes = self._model.known(self._speller.spell(sentence, LANGUAGES[self.language]))
        if not any(letter.isalpha() for letter in phonemes):
            return []
        if len(phonemes) <= _PHRASE_PHONEMES:
            return [phonemes]
        parts = _BREATH.split(sentence)
        if len(parts) == 1:
            words = sentence.split()
            if len(words) == 1:
                return [phonemes[:_PHRASE_PHONEMES]]
            parts = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
        middle = (len(parts) + 1) // 2
        halves = (", ".join(parts[:middle]), ", ".join(parts[middle:]))
        return [phrase for half in halves for phrase in self._phrases(half)]


def _joined(segments: list[Segment]) -> list[Segment]:
    """Silences that touch as one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and segment.phoneme == SILENCE == joined[-1].phoneme:
            joined[-1] = joined[-1]._replace(end_s=segment.end_s)
        else:
            joined.append(segment)
    return joined
