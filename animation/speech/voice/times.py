"""When Kokoro says which phoneme: from its tokens' durations and from the sound itself.

The model counts in frames of 25 ms, lets silence run into the last phoneme before a pause, and gives stress marks time
of their own. Three steps mend that: marks are given to the phonemes they belong to, pauses are where it is quiet, and
boundaries move to where the spectrum changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from animation.speech.audio import SAMPLE_RATE
from animation.speech.phone_sets import from_ipa
from animation.speech.phonemes import PHONEME_INDEX, SILENCE, Segment
from animation.speech.voice.kokoro import FRAME_S

__all__ = ["spoken_segments"]

_LATE_FRAMES = 3
"""Sound leads the sums of durations by so many frames."""
_SPELT = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ", "S": "s", "T": "ɾ", "ʧ": "tʃ", "ʤ": "dʒ",
    "ʦ": "ts", "ʣ": "dz", "ʨ": "tɕ", "ʥ": "dʑ", "ᵊ": "ə", "ᵻ": "ɪ", "ɰ": "ɡ", "ɴ": "ŋ", "ꭧ": "tʂ",
}  # fmt: skip
"""Kokoro's letters that are not IPA."""
_STRESS = "ˈˌ"
_NASAL = "\u0303"
_PROLONGING = "ːʰʲᵝ" + _NASAL
_MARKS = '^$;:,.!?—…"()“”'
_STOPS = frozenset(("P", "B", "T", "D", "K", "G", "CH", "JH"))

_STEP_S = 0.005
_STEP = int(SAMPLE_RATE * _STEP_S)
_QUIET_BELOW_DB = 24.0
_SHORTEST_PAUSE_S = 0.03
_SHORTEST_UNMARKED_PAUSE_S = 0.15
"""Between words without punctuation, shorter quiet is a stop's closure or nothing."""
_KEPT_STEPS = 8  # what quiet must leave of the phonemes beside it

_WINDOW = 256
_BANDS = 24
_LOWEST_HZ, _HIGHEST_HZ = 80.0, 7600.0
_DYNAMIC_RANGE = 8.0  # natural logarithm of power: 35 dB down counts as silence, where differences mean nothing
_REACH_STEPS = 8
_OWN_SPREAD_S = 0.0125
_OWN_WEIGHT = 0.175
_SHORTEST_STEPS = {"D": 3, "AH": 4, "IH": 4, "T": 4, "P": 8, "B": 8, "M": 8}
_SHORTEST_STEPS_OTHERWISE = 6
_TOO_SHORT = 1.0
_IMPOSSIBLE = 1e9


@dataclass(frozen=True)
class _Row:
    phoneme: str
    start_s: float
    end_s: float
    marked: bool = False
    """A silence that the text asks for."""


def spoken_segments(
    tokens: Sequence[str],
    frames: Sequence[int] | Int[np.ndarray, " t"],
    samples: Float[np.ndarray, " n"],
    heard: Float[np.ndarray, "m p"] | None = None,
    trust: float = 0.3,
) -> tuple[Segment, ...]:
    """Phonemes in time of what Kokoro said, silences included.

    Args:
        tokens: with '^' and '$' at the ends.
        frames: how long each took, in the model's frames.
        samples: the sound, at 16 kHz.
        heard: log likelihoods of `PHONEMES` every 10 ms, if an aligner has listened, too.
        trust: their weight.
    """
    duration_s = len(samples) / SAMPLE_RATE
    rows = _pauses_where_quiet(_rows(tokens, np.asarray(frames)), _quiet(samples), duration_s)
    rows = _settled(rows, samples, heard, trust)
    clipped = ((r.phoneme, max(0.0, r.start_s), min(duration_s, r.end_s)) for r in rows)
    return tuple(Segment(*row) for row in clipped if row[2] > row[1])


def _rows(tokens: Sequence[str], frames: Int[np.ndarray, " t"]) -> list[_Row]:
    """Phonemes with the model's own times; whatever separates words is silence for now."""
    edges = (np.concatenate([[0], np.cumsum(frames)]) - _LATE_FRAMES) * FRAME_S
    rows: list[_Row] = []
    onset: float | None = None  # a stress mark's time belongs to the vowel after it: release and aspiration
    for token, start, end in zip(tokens, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if token in _STRESS:
            onset = start if onset is None else onset
            continue
        separates = token == " " or token in _MARKS
        phonemes = [SILENCE] if separates else from_ipa(_SPELT.get(token, token))
        if token in _PROLONGING or not phonemes:
            if rows:
                nasal_open = token == _NASAL and rows[-1].phoneme == "EH"  # the vowel of "vin"
                rows[-1] = replace(rows[-1], phoneme="AE" if nasal_open else rows[-1].phoneme, end_s=end)
            continue
        start, onset = (start if onset is None else onset), None
        inner = np.linspace(start, end, len(phonemes) + 1).tolist()
        marked = token in _MARKS
        rows += [_Row(p, a, b, marked) for p, a, b in zip(phonemes, inner[:-1], inner[1:], strict=True) if b > a]
    return rows


def _quiet(samples: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " t"]:
    """Whether each 5 ms are quiet, by the energy of the 10 ms around them."""
    energy = np.convolve(samples.astype(np.float64) ** 2, np.full(2 * _STEP, 0.5 / _STEP), "same")
    energy_db = 10 * np.log10(energy[_STEP // 2 :: _STEP][: len(samples) // _STEP] + 1e-10)
    if not len(energy_db):
        return np.zeros(0, bool)
    return energy_db < np.percentile(energy_db, 95) - _QUIET_BELOW_DB


def _longest_run(mask: Bool[np.ndarray, " t"]) -> tuple[int, int]:
    """First and one-past-last index of the longest run of True; (0, 0) if there is none."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    runs = change.reshape(-1, 2)
    if not len(runs):
        return 0, 0
    first, last = runs[(runs[:, 1] - runs[:, 0]).argmax()]
    return int(first), int(last)


def _merged(rows: Sequence[_Row]) -> list[_Row]:
    """Silences in a row as one."""
    merged: list[_Row] = []
    for row in rows:
        if merged and row.phoneme == SILENCE == merged[-1].phoneme:
            merged[-1] = replace(merged[-1], end_s=row.end_s, marked=merged[-1].marked or row.marked)
        else:
            merged.append(row)
    return merged


def _pauses_where_quiet(rows: Sequence[_Row], quiet: Bool[np.ndarray, " t"], duration_s: float) -> list[_Row]:
    """Silence only where it is quiet for long enough; other separators belong to the phonemes around them.

    Quiet often begins inside the last phoneme's token: the silence grows back into it, and on into the next one. What
    is quiet between words and too short for a pause is the closure of the stop after it.
    """
    merged = _merged(rows)
    settled: list[_Row] = []
    for k, row in enumerate(merged):
        first, last = k == 0, k == len(merged) - 1
        start_s = settled[-1].end_s if settled else row.start_s
        if row.phoneme != SILENCE:
            settled.append(replace(row, start_s=start_s))
            continue
        begin = max(0, round(row.start_s / _STEP_S))
        a, b = _longest_run(quiet[begin : max(begin, round(row.end_s / _STEP_S))])
        shortest_s = _SHORTEST_PAUSE_S if row.marked else _SHORTEST_UNMARKED_PAUSE_S
        if (b - a) * _STEP_S < shortest_s and not (b > a and (first or last)):
            if settled:
                closing = b > a and not last and merged[k + 1].phoneme in _STOPS
                settled[-1] = replace(settled[-1], end_s=(begin + a) * _STEP_S if closing else row.end_s)
            elif not last:
                merged[k + 1] = replace(merged[k + 1], start_s=max(0.0, row.start_s))
            continue
        a, b = begin + a, begin + b
        least = int(settled[-1].start_s / _STEP_S) + _KEPT_STEPS if settled else 0
        while a > least and quiet[a - 1]:
            a -= 1
        most = len(quiet) if last else min(len(quiet), int(merged[k + 1].end_s / _STEP_S) - _KEPT_STEPS)
        while b < most and quiet[b]:
            b += 1
        pause_s = (0.0 if first else a * _STEP_S, duration_s if last else b * _STEP_S)
        if settled:
            settled[-1] = replace(settled[-1], end_s=pause_s[0])
        settled.append(_Row(SILENCE, *pause_s))
    return [row for row in settled if row.end_s > row.start_s]


def _filters() -> Float[np.ndarray, "bins m"]:
    lowest, highest = (1127.0 * math.log1p(hz / 700.0) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700.0 * np.expm1(np.linspace(lowest, highest, _BANDS + 2) / 1127.0)
    bins = np.fft.rfftfreq(2 * _WINDOW, 1 / SAMPLE_RATE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0.0, None).astype(np.float32)


_FILTERS = _filters()


def _spectra(samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t m"]:
    """Log-mel spectra every 5 ms of the 16 ms around, with nothing below the quiet."""
    count = len(samples) // _STEP
    padded = np.pad(samples.astype(np.float32), (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[_STEP // 2 :: _STEP][:count]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), 2 * _WINDOW)) ** 2
    spectra = np.log(power @ _FILTERS + 1e-6)
    return np.maximum(spectra, np.percentile(spectra.max(1), 95) - _DYNAMIC_RANGE)


def _settled(
    rows: Sequence[_Row], samples: Float[np.ndarray, " n"], heard: Float[np.ndarray, "m p"] | None, trust: float
) -> list[_Row]:
    """Boundaries moved by up to 40 ms so that spectra vary least inside phonemes: one dynamic program.

    What is summed over phonemes: variance of the spectra inside (as squared distance from their mean, over bands), the
    aligner's log likelihood, a pull towards the model's own time, and a penalty for phonemes shorter than can be said.
    """
    if len(rows) < 2 or len(samples) < _WINDOW:
        return list(rows)
    spectra = _spectra(samples).astype(np.float64)
    n = len(spectra)
    sums = np.concatenate([np.zeros((1, _BANDS)), np.cumsum(spectra, 0)])
    squares = np.concatenate([[0.0], np.cumsum((spectra**2).sum(1))])
    likelihood = None if heard is None else np.concatenate([np.zeros((1, heard.shape[1])), np.cumsum(_at(heard, n), 0)])

    def cost(k: int, a: Int[np.ndarray, "i 1"], b: Int[np.ndarray, "1 j"]) -> Float[np.ndarray, "i j"]:
        phoneme = rows[k].phoneme
        length = np.maximum(b - a, 1)
        total = (squares[b] - squares[a] - ((sums[b] - sums[a]) ** 2).sum(-1) / length) / _BANDS
        if likelihood is not None:
            column = likelihood[:, PHONEME_INDEX[phoneme]]
            total = total - trust * (column[b] - column[a])
        missing = np.maximum(_SHORTEST_STEPS.get(phoneme, _SHORTEST_STEPS_OTHERWISE) - (b - a), 0)
        return np.where(b > a, total + _TOO_SHORT * missing, _IMPOSSIBLE)

    offsets = np.arange(-_REACH_STEPS, _REACH_STEPS + 1)
    pull = _OWN_WEIGHT * (offsets * _STEP_S / _OWN_SPREAD_S) ** 2
    before = np.array([min(max(0, round(rows[0].start_s / _STEP_S)), n)])
    total, choices, places = np.zeros(1), [], []
    for k, row in enumerate(rows[:-1]):
        here = np.clip(round(row.end_s / _STEP_S) + offsets, 0, n)
        steps = cost(k, before[:, None], here[None]) + total[:, None]
        choices.append(steps.argmin(0))
        places.append(here)
        total, before = steps.min(0) + pull, here
    end = np.full((1, 1), min(n, round(rows[-1].end_s / _STEP_S)))
    at = int((cost(len(rows) - 1, before[:, None], end)[:, 0] + total).argmin())
    edges = [rows[-1].end_s]
    for here, choice in zip(reversed(places), reversed(choices), strict=True):
        edges.append(float(here[at]) * _STEP_S)
        at = int(choice[at])
    edges = [rows[0].start_s, *reversed(edges)]
    return [replace(row, start_s=a, end_s=b) for row, a, b in zip(rows, edges[:-1], edges[1:], strict=True) if b > a]


def _at(heard: Float[np.ndarray, "m p"], count: int) -> Float[np.ndarray, "t p"]:
    """Rows of 10 ms as `count` rows of 5 ms."""
    return heard[np.minimum(np.arange(count) // 2, len(heard) - 1)].astype(np.float64)
