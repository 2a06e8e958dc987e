"""Training batches for the speech model: random crops of features, mixed with noise on the fly.

Rooms, microphones, effort and other speakers are made on the sound, once, and kept as features; noise, level, colour
and held vowels are made on the features, anew for each batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from animation.lab.training.banks import FeatureBank, NoiseBank
from animation.speech.audio import FRAMES_PER_HOP, N_MELS, LevelTracker, frequency_warp
from animation.speech.channels import REST
from animation.speech.phonemes import PHONEME_INDEX, VOWELS

__all__ = ["Batch", "draw_batch", "hop_energy_db", "normalize_level"]

_LN10_OVER_10 = np.log(10.0) / 10.0
_VOWELS = np.array([PHONEME_INDEX[vowel] for vowel in sorted(VOWELS)])
_HELD = 0.06
"""Share of crops in which one vowel is held, as in singing."""
_HELD_HOPS = (12, 80)
_PAUSE_NOISE = 0.25


@dataclass(frozen=True)
class Batch:
    """Features after level normalisation, and targets, one row a hop; targets begin `lookahead_hops` earlier."""

    features: Float[np.ndarray, "b t2 m"]
    viseme: Int[np.ndarray, "b t"]
    phoneme: Int[np.ndarray, "b t"]
    articulation: Float[np.ndarray, "b t 7"]
    closure: Float[np.ndarray, "b t"]
    voice: Float[np.ndarray, "b t"]


def hop_energy_db(power: Float[np.ndarray, "*b t2 m"]) -> Float[np.ndarray, "*b t"]:
    """Mean power of each hop over bands and its two frames, in dB."""
    mean = power.mean(-1)
    pairs = mean.reshape(*mean.shape[:-1], -1, FRAMES_PER_HOP).mean(-1)
    return 10 * np.log10(pairs)


def normalize_level(
    power: Float[np.ndarray, "b t2 m"], start_db: Float[np.ndarray, " b"]
) -> Float[np.ndarray, "b t2 m"]:
    """Log power less the speaker's level, tracked from the given starts: what the network sees."""
    energy = hop_energy_db(power)
    level = start_db.astype(np.float64)
    levels = np.empty_like(energy)
    for t in range(energy.shape[1]):
        level = LevelTracker.advance(level, energy[:, t])
        levels[:, t] = level
    shift = np.repeat(levels * _LN10_OVER_10, FRAMES_PER_HOP, axis=1)[..., None].astype(np.float32)
    return np.log(power) - shift


def _held(
    order: Int[np.ndarray, " t"], phonemes: Int[np.ndarray, " n"], rng: np.random.Generator
) -> Int[np.ndarray, " t"]:
    """The order of hops with a vowel among them held for up to 1.6 s: perfectly still, or wandering a little."""
    vowels = np.flatnonzero(np.isin(phonemes[order], _VOWELS))
    if not len(vowels):
        return order
    at = int(rng.choice(vowels))
    count = int(rng.integers(*_HELD_HOPS))
    held = np.full(count, order[at])
    if rng.random() < 0.5:
        wander = np.clip(order[at] + np.round(np.cumsum(rng.normal(0, 0.3, count))).astype(int), order[0], order[-1])
        held = np.where(phonemes[wander] == phonemes[order[at]], wander, held)
    return np.concatenate([order[:at], held, order[at:]])[: len(order)]


_WARPS = np.stack([frequency_warp(f) for f in np.linspace(0.88, 1.14, 27)])
_NO_WARP = int(np.argmin(np.abs(np.linspace(0.88, 1.14, 27) - 1)))


def _colour(batch: int, rng: np.random.Generator) -> Float[np.ndarray, "b 1 m"]:
    """A smooth random frequency response as a factor of power."""
    knots = rng.normal(0, 0.9, (batch, 6))
    position = np.linspace(0, 5, N_MELS)
    low = np.minimum(position.astype(int), 4)
    share = position - low
    curve = knots[:, low] * (1 - share) + knots[:, low + 1] * share
    return np.exp(np.where(rng.random((batch, 1)) < 0.8, curve, 0.0))[:, None].astype(np.float32)


def draw_batch(
    banks: Sequence[FeatureBank],
    weights: Float[np.ndarray, " s"],
    noises: NoiseBank,
    rng: np.random.Generator,
    size: int,
    hops: int,
    lookahead_hops: int,
    quiet_share: float = 0.15,
) -> Batch:
    """A batch of random crops, altered.

    Args:
        banks: speech by source.
        weights: how often each source is drawn.
        noises: sounds to add, and to keep still in.
        rng: randomness.
        size: crops.
        hops: length of a crop.
        lookahead_hops: how much earlier than the features the targets begin.
        quiet_share: share of crops without any speech.
    """
    frames = hops * FRAMES_PER_HOP
    n_quiet = int(rng.binomial(size, quiet_share))
    picks = rng.choice(len(banks), size - n_quiet, p=weights)
    logs, rows = [], []
    for pick in picks:
        bank = banks[pick]
        start = int(rng.integers(0, bank.hops - hops - lookahead_hops))
        order = np.arange(start, start + hops + lookahead_hops)
        if rng.random() < _HELD:
            order = _held(order, bank.targets.phoneme, rng)
        seen = order[lookahead_hops:, None] * FRAMES_PER_HOP + np.arange(FRAMES_PER_HOP)
        logs.append(bank.mel[seen.reshape(-1)])
        rows.append((bank.targets, order))
    power = np.exp(np.stack(logs).astype(np.float32))
    warped = np.where(rng.random(len(power)) < 0.5, rng.integers(0, len(_WARPS), len(power)), _NO_WARP)
    power = np.matmul(power, _WARPS[warped])
    power *= _colour(len(power), rng)
    speech_level = power.mean((1, 2), keepdims=True)
    for b in range(len(power)):
        if rng.random() < 0.7:
            added = noises.draw(frames, rng)
            ratio_db = rng.uniform(0, 40) if rng.random() < 0.8 else rng.uniform(-5, 5)
            power[b] += added * (speech_level[b] * 10 ** (-ratio_db / 10) / added.mean())
        if rng.random() < _PAUSE_NOISE:  # breath, rustling, a gain that pumps: louder in pauses than in speech
            targets, order = rows[b]
            pause = np.repeat(targets.voice[order[lookahead_hops:]] == 0, FRAMES_PER_HOP)
            added = noises.draw(frames, rng, 0.0)
            power[b] += pause[:, None] * added * (speech_level[b] * 10 ** rng.uniform(-3.0, -0.5) / added.mean())
    still = [noises.draw(frames, rng, 0.0) * 10 ** rng.uniform(-5.5, 2) for _ in range(n_quiet)]
    if still:
        power = np.concatenate([power, np.stack(still)])
    power *= 10 ** (rng.uniform(-30, 12, (size, 1, 1)) / 10)
    # Every microphone hisses, from -95 dBFS up; the floor of the features is at -90.
    hiss = 0.5 + 0.5 * rng.standard_exponential(power.shape, np.float32)
    hiss *= 10 ** rng.uniform(-9.5, -6.5, (size, 1, 1))
    power += hiss
    power += np.float32(1e-9)
    cut = rng.random(size) < 0.12
    for b in np.flatnonzero(cut).tolist():  # a narrow line
        power[b, :, int(rng.integers(26, 34)) :] = 10 ** rng.uniform(-9, -7)
    energy = hop_energy_db(power)
    adapted = np.quantile(energy, 0.9, axis=1) + rng.uniform(-6, 20, size)
    begin = np.where(rng.random(size) < 0.3, LevelTracker.START_DB, np.maximum(adapted, LevelTracker.FLOOR_DB))
    features = normalize_level(power, begin)
    for b in np.flatnonzero(rng.random(size) < 0.3).tolist():  # a hole in frequency
        low, width = int(rng.integers(0, N_MELS - 4)), int(rng.integers(2, 6))
        features[b, :, low : low + width] = features[b, :, low : low + width].mean()

    def gathered(name: str, quiet_row: np.ndarray) -> np.ndarray:
        parts = [getattr(targets, name)[where] for targets, where in rows]
        return np.stack(parts + [quiet_row] * n_quiet)

    length = hops + lookahead_hops
    zeros = np.zeros(length)
    return Batch(
        features,
        gathered("viseme", zeros).astype(np.int64),
        gathered("phoneme", zeros).astype(np.int64),
        gathered("articulation", np.tile(REST, (length, 1))).astype(np.float32),
        gathered("closure", zeros).astype(np.float32),
        gathered("voice", zeros).astype(np.float32),
    )
