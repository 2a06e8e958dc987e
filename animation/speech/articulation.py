"""From phonemes in time to mouth movement: seven articulation channels with coarticulation.

Targets and dominances blend as in Cohen and Massaro's model: each phoneme pulls each channel towards its target with a
strength that decays exponentially away from it. What a viewer reads first obeys hard rules in the manner of JALI:
lips seal through p/b/m, the lower lip meets the teeth on f/v, the jaw is high on sibilants, rounding runs ahead of its
sound.

Reference: M. Cohen, D. Massaro, "Modeling coarticulation in synthetic visual speech", 1993, eq. 1-5;
P. Edwards et al., "JALI: an animator-centric viseme model for expressive lip synchronization", SIGGRAPH 2016, sec. 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from animation.speech.channels import CHANNELS, CLOSED, JAW, LIP_IN, REST
from animation.speech.phonemes import (
    BILABIALS,
    LABIODENTALS,
    PHONEME_INDEX,
    PHONEMES,
    SILENCE,
    VOWELS,
    Segment,
    split_diphthongs,
)

__all__ = ["closure_spans", "dominances", "targets", "trajectories"]

#                jaw  closed round spread lip_in tongue funnel
_TARGETS = {
    "SIL": (0.03, 0.75, 0.00, 0.00, 0.0, 0.0, 0.0),
    "P B M": (0.10, 1.00, 0.05, 0.05, 0.0, 0.0, 0.0),
    "BH": (0.12, 0.45, 0.05, 0.05, 0.0, 0.0, 0.0),
    "F V": (0.09, 0.00, 0.05, 0.10, 1.0, 0.0, 0.0),
    "TH DH": (0.15, 0.00, 0.00, 0.15, 0.0, 1.0, 0.0),
    "T D N": (0.13, 0.00, 0.05, 0.20, 0.0, 0.8, 0.0),
    "L": (0.22, 0.00, 0.05, 0.15, 0.0, 0.9, 0.0),
    "S Z": (0.05, 0.00, 0.05, 0.35, 0.0, 0.6, 0.0),
    "SH ZH CH JH": (0.08, 0.00, 0.45, 0.00, 0.0, 0.5, 0.6),
    "K G NG": (0.18, 0.00, 0.00, 0.15, 0.0, 0.1, 0.0),
    "HH": (0.25, 0.00, 0.00, 0.10, 0.0, 0.1, 0.0),
    "R": (0.16, 0.00, 0.45, 0.00, 0.0, 0.4, 0.4),
    "ER": (0.20, 0.00, 0.40, 0.00, 0.0, 0.4, 0.4),
    "W": (0.08, 0.15, 1.00, 0.00, 0.0, 0.0, 0.3),
    "UW": (0.12, 0.10, 0.95, 0.00, 0.0, 0.0, 0.3),
    "UH": (0.22, 0.00, 0.55, 0.00, 0.0, 0.0, 0.2),
    "UY": (0.15, 0.05, 0.85, 0.00, 0.0, 0.2, 0.3),
    "OW": (0.35, 0.00, 0.75, 0.00, 0.0, 0.0, 0.2),
    "AO": (0.50, 0.00, 0.50, 0.00, 0.0, 0.0, 0.2),
    "OY": (0.42, 0.00, 0.55, 0.00, 0.0, 0.0, 0.2),
    "AA": (0.85, 0.00, 0.00, 0.05, 0.0, 0.0, 0.0),
    "AE": (0.70, 0.00, 0.00, 0.40, 0.0, 0.1, 0.0),
    "AH": (0.50, 0.00, 0.00, 0.15, 0.0, 0.1, 0.0),
    "AW": (0.75, 0.00, 0.20, 0.05, 0.0, 0.0, 0.0),
    "AY": (0.75, 0.00, 0.00, 0.20, 0.0, 0.1, 0.0),
    "EH": (0.48, 0.00, 0.00, 0.45, 0.0, 0.2, 0.0),
    "EY": (0.40, 0.00, 0.00, 0.55, 0.0, 0.2, 0.0),
    "IH": (0.28, 0.00, 0.00, 0.50, 0.0, 0.3, 0.0),
    "IY": (0.18, 0.00, 0.00, 0.80, 0.0, 0.4, 0.0),
    "Y": (0.14, 0.00, 0.00, 0.65, 0.0, 0.4, 0.0),
}

# How strongly a class of phonemes insists on its target; a later row overrides an earlier one.
_VOWEL_DOMINANCE = {
    "jaw": 1.0,
    "closed": 0.6,
    "rounding": 1.0,
    "spread": 0.8,
    "lip_in": 0.6,
    "tongue": 0.4,
    "funnel": 0.5,
}
_CONSONANT_DOMINANCE = {**_VOWEL_DOMINANCE, "jaw": 0.6, "rounding": 0.25, "spread": 0.3, "tongue": 0.8}
_DOMINANCE_RULES: tuple[tuple[str, dict[str, float]], ...] = (
    ("P B M", {"jaw": 1.2, "closed": 1.5, "rounding": 0.15, "spread": 0.15, "tongue": 0.1}),
    ("BH", {"jaw": 0.9, "closed": 1.0, "rounding": 0.15, "spread": 0.15, "tongue": 0.1}),
    ("F V", {"jaw": 1.2, "closed": 1.0, "lip_in": 2.0, "rounding": 0.25, "spread": 0.25, "tongue": 0.1}),
    ("S Z SH ZH CH JH", {"jaw": 2.5, "tongue": 1.5}),
    ("SH ZH CH JH", {"rounding": 1.5, "funnel": 1.5, "spread": 1.0}),
    ("W UW UY", {"rounding": 3.0, "jaw": 1.2, "spread": 1.5}),
    ("OW AO OY", {"rounding": 1.8}),
    ("R ER", {"rounding": 0.9}),
    # Tongue-only sounds leave the lips to their neighbours.
    ("T D N L K G NG HH TH DH", {"rounding": 0.12, "spread": 0.15, "jaw": 0.5}),
    ("AH", {"jaw": 0.6, "rounding": 0.4, "spread": 0.4}),
    (
        "SIL",
        {
            "jaw": 1.0,
            "closed": 1.0,
            "rounding": 0.6,
            "spread": 0.6,
            "lip_in": 1.0,
            "tongue": 0.6,
            "funnel": 0.6,
        },
    ),
)

# Decay rates (1/s) before and after a phoneme. Rounding and funnel start some 150 ms ahead, the seal is local.
_RATE_BEFORE = np.array((22.0, 60.0, 11.0, 14.0, 50.0, 22.0, 14.0))
_RATE_AFTER = np.array((20.0, 50.0, 13.0, 14.0, 45.0, 20.0, 14.0))
_PLATEAU = 0.6  # share of a phoneme's half length over which its dominance does not decay
_REACH_S = 0.35
_SILENCE_PIECE_S = 0.15

_SHORTEST_HOLD_S = 0.04
_STOP_HOLD = 0.7  # p and b open before their label ends: the burst belongs to the phoneme
_SEAL_ATTACK_S, _SEAL_RELEASE_S = 0.05, 0.04


def _target_table() -> Float[np.ndarray, "p 7"]:
    table = np.zeros((len(PHONEMES), len(CHANNELS)))
    for members, row in _TARGETS.items():
        for phoneme in members.split():
            table[PHONEME_INDEX[phoneme]] = row
    return table


def _dominance_table() -> Float[np.ndarray, "p 7"]:
    table = np.zeros((len(PHONEMES), len(CHANNELS)))
    for phoneme in PHONEMES:
        row = dict(_VOWEL_DOMINANCE if phoneme in VOWELS else _CONSONANT_DOMINANCE)
        for members, changes in _DOMINANCE_RULES:
            if phoneme in members.split():
                row.update(changes)
        table[PHONEME_INDEX[phoneme]] = [row[channel] for channel in CHANNELS]
    return table


_TARGET_TABLE = _target_table()
_DOMINANCE_TABLE = _dominance_table()


def targets(phoneme: str) -> Float[np.ndarray, " 7"]:
    """The channels' values, 0..1, at the middle of a long, lone phoneme."""
    return _TARGET_TABLE[PHONEME_INDEX[phoneme]].copy()


def dominances(phoneme: str) -> Float[np.ndarray, " 7"]:
    """How strongly the phoneme insists on each channel's target."""
    return _DOMINANCE_TABLE[PHONEME_INDEX[phoneme]].copy()


def closure_spans(segments: Sequence[Segment], phonemes: frozenset[str] = BILABIALS) -> Float[np.ndarray, "n 2"]:
    """Start and end in seconds of the time that the lips hold together on each of the phonemes (p, b, m by default).

    A p or b is held for 70 % of its length, the rest is the burst; at least 40 ms. Touching spans merge.
    """
    spans: list[list[float]] = []
    for segment in segments:
        if segment.phoneme not in phonemes:
            continue
        share = _STOP_HOLD if segment.phoneme in ("P", "B") else 1.0
        start, end = segment.start_s, segment.start_s + share * segment.duration_s
        if end - start < _SHORTEST_HOLD_S:
            middle = (start + end) / 2
            start, end = middle - _SHORTEST_HOLD_S / 2, middle + _SHORTEST_HOLD_S / 2
        if spans and start - spans[-1][1] < 0.005:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return np.array(spans, np.float64).reshape(-1, 2)


def _pieces(segments: Sequence[Segment]) -> list[Segment]:
    """Diphthongs in halves, long silences in short pieces (so that rest holds all through them)."""
    pieces: list[Segment] = []
    for segment in split_diphthongs(segments):
        if segment.phoneme != SILENCE or segment.duration_s <= 2 * _SILENCE_PIECE_S:
            pieces.append(segment)
            continue
        count = max(1, round(segment.duration_s / _SILENCE_PIECE_S))
        edges = np.linspace(segment.start_s, segment.end_s, count + 1)
        pieces.extend(Segment(SILENCE, a, b) for a, b in itertools.pairwise(edges))
    return pieces


def _blend(segments: Sequence[Segment], times: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t 7"]:
    """Dominance blending; rest where nothing is near."""
    weighted = np.tile(REST * 1e-4, (len(times), 1)).astype(np.float64)
    total = np.full((len(times), len(CHANNELS)), 1e-4)
    for piece in _pieces(segments):
        index = PHONEME_INDEX[piece.phoneme]
        first = np.searchsorted(times, piece.start_s - _REACH_S)
        last = np.searchsorted(times, piece.end_s + _REACH_S)
        distance = times[first:last] - (piece.start_s + piece.end_s) / 2
        beyond = np.maximum(np.abs(distance) - _PLATEAU * piece.duration_s / 2, 0.0)[:, None]
        rate = np.where(distance[:, None] < 0, _RATE_BEFORE, _RATE_AFTER)
        dominance = _DOMINANCE_TABLE[index] * np.exp(-rate * beyond)
        weighted[first:last] += dominance * _TARGET_TABLE[index]
        total[first:last] += dominance
    return weighted / total


def _hold(times: Float[np.ndarray, " t"], start_s: float, end_s: float) -> Float[np.ndarray, " t"]:
    """1 inside the span, falling smoothly to 0 over the attack before it and the release after it."""
    ramp = np.minimum(
        (times - (start_s - _SEAL_ATTACK_S)) / _SEAL_ATTACK_S,
        (end_s + _SEAL_RELEASE_S - times) / _SEAL_RELEASE_S,
    )
    ramp = np.clip(ramp, 0.0, 1.0)
    return ramp * ramp * (3 - 2 * ramp)


def trajectories(segments: Sequence[Segment], n_poses: int, hop_s: float = 0.02) -> Float[np.ndarray, "t 7"]:
    """Articulation over time of a row of phonemes.

    Args:
        segments: phonemes in time order; gaps count as silence.
        n_poses: how many poses to give; pose k describes the time (k + 0.5) * hop_s.
        hop_s: seconds between poses.

    Returns:
        float32 values in 0..1, one column for each of `CHANNELS`.
    """
    times = (np.arange(n_poses) + 0.5) * hop_s
    curves = _blend(segments, times)
    for segment in segments:
        # Only p, b, m and silence may keep the lips together: everything else opens them for a moment at least.
        if segment.phoneme not in BILABIALS and segment.phoneme != SILENCE:
            inside = _hold(times, segment.start_s + 0.02, segment.end_s - 0.02) if segment.duration_s > 0.05 else 0.0
            curves[:, CLOSED] = np.minimum(curves[:, CLOSED], 1.0 - 0.7 * inside)
    # p, b and m come last: a neighbouring f or v must not part their lips early.
    for phonemes, channel, lift in ((LABIODENTALS, LIP_IN, 0.85), (BILABIALS, CLOSED, 0.62)):
        for start_s, end_s in closure_spans(segments, phonemes):
            held = _hold(times, start_s, end_s)
            curves[:, channel] = np.maximum(curves[:, channel], held)
            curves[:, JAW] = np.minimum(curves[:, JAW], 1.0 - lift * held)
            if channel == LIP_IN:
                curves[:, CLOSED] = np.minimum(curves[:, CLOSED], 1.0 - held)
    return np.clip(curves, 0.0, 1.0).astype(np.float32)
