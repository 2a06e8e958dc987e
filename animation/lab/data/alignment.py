"""Forced alignment: when was each phoneme of a known text spoken in a recording?

Two aligners that know nothing of each other: pocketsphinx with its own English acoustic model (given the pronunciations
of any language), and a Viterbi search over the frame posteriors of a network of ours. Where both agree, the times are
good; where they differ, the words or the times are doubtful.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import PHONEME_INDEX, SILENCE, Segment
from avatar.errors import UserError

__all__ = [
    "FRAME_S",
    "Alignment",
    "SphinxAligner",
    "disagreement_s",
    "pronounce_words",
    "viterbi",
    "words_of",
]

FRAME_S = 0.01
_LEAD_S = 0.1
# Vowel signs of India's scripts count as letters, which regular expressions do not know.
_LETTERS = r"(?:[^\W_]|[\u0900-\u0dff])+"
_WORD = re.compile(rf"{_LETTERS}(?:['’]{_LETTERS})*")


@dataclass(frozen=True)
class Alignment:
    """Phonemes in time with silences between them, and how well they fit (larger is better, per frame)."""

    segments: tuple[Segment, ...]
    score: float


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower().replace("*", " ").replace("#", " "))


def pronounce_words(words: Iterable[str], pronounce: Callable[[str], list[str]]) -> dict[str, list[str]]:
    """Each word's phonemes; words that sound like nothing are left out."""
    table = {}
    for word in sorted(set(words)):
        phonemes = pronounce(word)
        if phonemes:
            table[word] = phonemes
    return table


class SphinxAligner:
    """pocketsphinx in two passes: words first, then their phones.

    Args:
        pronunciations: phonemes of every word that will come.

    Raises:
        UserError: pocketsphinx is not installed.
    """

    def __init__(self, pronunciations: dict[str, list[str]]) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise UserError("pocketsphinx is missing: pip install 'gaussian-avatar[corpus]'") from error
        self._names = {word: f"w{number}" for number, word in enumerate(sorted(pronunciations))}
        self._pronunciations = pronunciations
        lines = [f"{self._names[w]} {' '.join(map(_sphinx_phone, p))}" for w, p in sorted(pronunciations.items())]
        with tempfile.TemporaryDirectory() as folder:
            dictionary = Path(folder) / "words.dict"
            dictionary.write_text("\n".join(lines) + "\n")
            self._decoder = pocketsphinx.Decoder(
                dict=str(dictionary),
                lm=None,
                loglevel="FATAL",
                bestpath=False,
                beam=1e-80,
                wbeam=1e-60,
                pbeam=1e-80,
            )

    def align(self, samples: Float[np.ndarray, " n"], words: Sequence[str]) -> Alignment | None:
        """Align one recording, or None when it cannot be done."""
        words = [word for word in words if word in self._names]
        if not words:
            return None
        rng = np.random.default_rng(len(samples))
        lead = rng.integers(-3, 4, int(_LEAD_S * SAMPLE_RATE))
        level = np.sqrt(np.mean(samples**2)) + 1e-9
        sound = np.clip(samples * (0.06 / level) * 32767, -32767, 32767)
        raw = np.concatenate([lead, sound, lead, lead]).astype(np.int16).tobytes()
        try:
            self._decoder.set_align_text(" ".join(self._names[word] for word in words))
            self._run(raw)
            if self._decoder.hyp() is None:
                return None
            self._decoder.set_alignment()
            self._run(raw)
            result = self._decoder.get_alignment()
        except RuntimeError:
            return None
        if result is None:
            return None
        segments: list[Segment] = []
        scores, frames = 0.0, 0
        expected = iter(words)
        for entry in result:
            phones = list(entry)
            spoken = entry.name.startswith("w")
            names = self._pronunciations[next(expected)] if spoken else [SILENCE] * len(phones)
            if len(names) != len(phones):
                return None
            for phone, name in zip(phones, names, strict=True):
                start_s = phone.start * FRAME_S - _LEAD_S
                segments.append(Segment(name, start_s, start_s + phone.duration * FRAME_S))
                if spoken:
                    scores += phone.score
                    frames += phone.duration
        return Alignment(tuple(_clipped(segments, len(samples) / SAMPLE_RATE)), scores / max(frames, 1))

    def _run(self, raw: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(raw, full_utt=True)
        self._decoder.end_utt()


def _sphinx_phone(phoneme: str) -> str:
    return {"UY": "UW", "BH": "V"}.get(phoneme, phoneme)


def _clipped(segments: Sequence[Segment], duration_s: float) -> list[Segment]:
    """The segments inside the sound, neighbouring silences joined, silence to the end."""
    kept: list[Segment] = []
    for segment in segments:
        start_s, end_s = max(0.0, segment.start_s), min(duration_s, segment.end_s)
        if end_s <= start_s:
            continue
        if kept and kept[-1].phoneme == segment.phoneme == SILENCE:
            kept[-1] = kept[-1]._replace(end_s=end_s)
        else:
            kept.append(Segment(segment.phoneme, start_s, end_s))
    if kept and kept[-1].end_s < duration_s:
        kept.append(Segment(SILENCE, kept[-1].end_s, duration_s))
    return kept


_SHORTEST_FRAMES = {SILENCE: 4, "AH": 2, "IH": 2, "T": 2, "D": 2}
_SHORTEST_FRAMES_OTHERWISE = 3


def viterbi(log_likelihood: Float[np.ndarray, "t p"], words: Sequence[Sequence[str]]) -> Alignment | None:
    """The best path of a text through frame log likelihoods, with an optional pause around every word.

    Args:
        log_likelihood: of each of `PHONEMES` at each 10 ms, scaled by the prior.
        words: the phonemes of each word.

    Returns:
        The alignment, or None when the sound is too short for the text.
    """
    names: list[str] = [SILENCE]
    optional = [True]
    for word in words:
        names += [*word, SILENCE]
        optional += [False] * len(word) + [True]
    lengths = [_SHORTEST_FRAMES.get(name, _SHORTEST_FRAMES_OTHERWISE) for name in names]
    owner = np.repeat(np.arange(len(names)), lengths)
    state_phoneme = np.array([PHONEME_INDEX[name] for name in names])[owner]
    n_states, n_frames = len(owner), len(log_likelihood)
    if sum(n for n, may_skip in zip(lengths, optional, strict=True) if not may_skip) > n_frames:
        return None
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    last = np.cumsum(lengths) - 1
    is_last = np.zeros(n_states, bool)
    is_last[last] = True
    # A pause may be skipped: from the phoneme before it straight to the one after it.
    skips = np.array([k for k in range(1, len(names) - 1) if optional[k]], int)
    skip_to, skip_from = first[skips + 1], last[skips - 1]

    emission = log_likelihood[:, state_phoneme]
    best = np.full(n_states, -np.inf)
    best[0] = emission[0, 0]
    if len(names) > 1:
        best[first[1]] = emission[0, first[1]]
    came_from = np.zeros((n_frames, n_states), np.int32)
    states = np.arange(n_states)
    for t in range(1, n_frames):
        advance = np.concatenate([[-np.inf], best[:-1]])
        stay = np.where(is_last, best, -np.inf)  # each phoneme lasts at least its shortest length
        source = np.where(stay >= advance, states, states - 1)
        value = np.maximum(stay, advance)
        skipped = best[skip_from]
        better = skipped > value[skip_to]
        value[skip_to[better]] = skipped[better]
        source[skip_to[better]] = skip_from[better]
        best = value + emission[t]
        came_from[t] = source
    ends = [n_states - 1, last[-2]] if len(names) > 1 else [n_states - 1]
    state = max(ends, key=lambda s: best[s])
    if not np.isfinite(best[state]):
        return None
    score = float(best[state] / n_frames)
    path = np.empty(n_frames, int)
    for t in range(n_frames - 1, -1, -1):
        path[t] = owner[state]
        state = came_from[t, state]
    segments, start = [], 0
    for t in range(1, n_frames + 1):
        if t == n_frames or path[t] != path[start]:
            segments.append(Segment(names[path[start]], start * FRAME_S, t * FRAME_S))
            start = t
    return Alignment(tuple(segments), score)


def disagreement_s(a: Sequence[Segment], b: Sequence[Segment]) -> float:
    """Mean distance in seconds between the starts of the same phonemes in two alignments; infinite if they differ."""
    first = [s for s in a if s.phoneme != SILENCE]
    second = [s for s in b if s.phoneme != SILENCE]
    if [s.phoneme for s in first] != [s.phoneme for s in second] or not first:
        return float("inf")
    return float(np.mean([abs(x.start_s - y.start_s) for x, y in zip(first, second, strict=True)]))
