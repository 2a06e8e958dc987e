"""Training batches for the speech model: features of altered recordings, mixed with noise on the fly.

Rooms, telephones and other speakers are made on the sound, once, and kept as features; noise, level, colour and
mixtures are made on the features' power, anew for each batch.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from animation.lab.data.corpus import Utterance, load_utterances, source_names, split_of
from animation.lab.data.recordings import SOURCES
from animation.lab.training.soundscape import NOISE_KINDS, babble, change_speed, noise, room, telephone
from animation.lab.training.targets import Recording, Targets
from animation.speech.audio import FRAMES_PER_HOP, HOP_S, HOP_SAMPLES, N_MELS, LevelTracker, log_mel
from animation.speech.channels import REST

__all__ = [
    "Batch",
    "FeatureBank",
    "NoiseBank",
    "draw_batch",
    "hop_energy_db",
    "normalize_level",
    "training_utterances",
]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

_MUSIC_SHARE = 0.35
_LN10_OVER_10 = np.log(10.0) / 10.0


def training_utterances(folder: Path, split: str = "train") -> dict[str, list[Utterance]]:
    """The corpus's utterances for training or validation by source; speakers kept for tests never appear."""
    roles = {source.name: source.role for source in SOURCES}
    chosen: dict[str, list[Utterance]] = {}
    for name in source_names(folder):
        role = roles.get(name, "synthetic")
        if role == "split":
            chosen[name] = [u for u in load_utterances(folder, name) if split_of(u.name) == split]
        elif (role, split) in (("synthetic", "train"), ("validation", "validation")):
            chosen[name] = list(load_utterances(folder, name))
    return chosen


class FeatureBank:
    """Log-mel frames and targets of one source in several variants, end to end.

    Args:
        mel: frames, two a hop.
        targets: one row a hop.
    """

    def __init__(self, mel: Float[np.ndarray, "t2 m"], targets: Targets) -> None:
        self.mel = mel
        self.targets = targets

    @property
    def hops(self) -> int:
        """Length in hops."""
        return len(self.targets.viseme)

    @classmethod
    def build(cls, recordings: Sequence[Recording], variants: int, seed: int) -> FeatureBank:
        """Make the features: the sound as it is, and `variants - 1` altered copies, in a random order."""
        rng = np.random.default_rng(seed)
        mels, targets = [], []
        jobs = [(recording, v) for recording in recordings for v in range(variants)]
        for index in rng.permutation(len(jobs)):
            recording, variant = jobs[index]
            samples, factor = recording.samples, 1.0
            samples = samples * np.float32(0.06 / (np.sqrt(np.mean(samples**2)) + 1e-6))
            if variant > 0:
                factor = float(rng.uniform(0.84, 1.2))
                samples = change_speed(samples, factor)
                if rng.random() < 0.5:
                    samples = room(samples, rng)
                if rng.random() < 0.45:
                    samples = telephone(samples, rng)
            n_hops = len(samples) // HOP_SAMPLES
            mels.append(log_mel(samples[: n_hops * HOP_SAMPLES]).astype(np.float16))
            targets.append(recording.targets(factor, n_hops))
        joined = Targets(
            *(np.concatenate([getattr(t, name) for t in targets]) for name in Targets.__dataclass_fields__)
        )
        return cls(np.concatenate(mels), joined)

    @classmethod
    def cached(cls, path: Path, build: Callable[[], FeatureBank]) -> FeatureBank:
        """Read a bank from a file, or build and keep it."""
        if not path.exists():
            bank = build()
            fields = {name: getattr(bank.targets, name) for name in Targets.__dataclass_fields__}
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, mel=bank.mel, **fields)
            partial.rename(path)
            return bank
        with np.load(path, allow_pickle=False) as file:
            return cls(file["mel"], Targets(*(file[name] for name in Targets.__dataclass_fields__)))


class NoiseBank:
    """Power of sounds without speech, and of babble, at -20 dBFS.

    Args:
        voices: sounds to make babble of.
        music: pieces of music.
        seed: of the random sounds.
        seconds: how much of each kind.
    """

    def __init__(
        self,
        voices: Sequence[Float[np.ndarray, " n"]],
        music: Sequence[Float[np.ndarray, " n"]],
        seed: int,
        seconds: float = 120.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        sounds = {
            kind: np.concatenate([noise(kind, 6.0, rng) for _ in range(int(seconds / 6))]) for kind in NOISE_KINDS
        }
        parts = [
            sounds.pop("band"),
            np.concatenate([noise("band", 6.0, rng) for _ in range(int(seconds / 6))]),
        ]
        parts += [piece * np.float32(0.1 / (np.sqrt(np.mean(piece**2)) + 1e-9)) for piece in music]
        sounds["music"] = np.concatenate(parts)
        self.quiet = {kind: np.exp(log_mel(sound)) for kind, sound in sounds.items()}
        self.babble = np.exp(log_mel(babble(voices, seconds, rng)))

    @classmethod
    def cached(cls, path: Path, build: Callable[[], NoiseBank]) -> NoiseBank:
        """Read a bank from a file, or build and keep it."""
        if not path.exists():
            bank = build()
            np.savez(path.with_suffix(".partial.npz"), babble=bank.babble, **bank.quiet)
            path.with_suffix(".partial.npz").rename(path)
            return bank
        bank = cls.__new__(cls)
        with np.load(path, allow_pickle=False) as file:
            bank.quiet = {kind: file[kind] for kind in file.files if kind != "babble"}
            bank.babble = file["babble"]
        return bank

    def draw(self, frames: int, rng: np.random.Generator, with_babble: float = 0.25) -> Float[np.ndarray, "t m"]:
        """A random stretch of mel power; of babble with the given probability."""
        kinds = list(self.quiet)
        if rng.random() < with_babble:
            source = self.babble
        elif rng.random() < _MUSIC_SHARE and "music" in self.quiet:  # the sound most like speech
            source = self.quiet["music"]
        else:
            source = self.quiet[kinds[rng.integers(len(kinds))]]
        start = rng.integers(0, len(source) - frames)
        return source[start : start + frames] * _disguise(frames, rng)


def _disguise(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "t m"]:
    """Random resonances, and slow or fast swelling, as factors of power: no two machines sound the same."""
    factor = np.ones((frames, N_MELS), np.float32)
    if rng.random() < 0.6:
        count = int(rng.integers(4, 21))
        knots = rng.normal(0, rng.uniform(0.5, 2.0), count)
        factor *= np.exp(np.interp(np.linspace(0, count - 1, N_MELS), np.arange(count), knots)).astype(np.float32)
    if rng.random() < 0.3:
        phase = 2 * np.pi * (rng.uniform(0.2, 8) * np.arange(frames) * HOP_S / FRAMES_PER_HOP + rng.random())
        factor *= np.exp(rng.uniform(0, 1.5) * np.sin(phase)).astype(np.float32)[:, None]
    return factor


@dataclass(frozen=True)
class Batch:
    """Features after level normalisation, and targets, one row a hop."""

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


def _frequency_warp(factor: float) -> Float[np.ndarray, "m m"]:
    """A matrix that stretches the mel axis: another length of vocal tract."""
    position = np.clip(np.arange(N_MELS) * factor, 0, N_MELS - 1)
    low = position.astype(int)
    high = np.minimum(low + 1, N_MELS - 1)
    matrix = np.zeros((N_MELS, N_MELS), np.float32)
    share = position - low
    np.add.at(matrix, (low, np.arange(N_MELS)), 1 - share)
    np.add.at(matrix, (high, np.arange(N_MELS)), share)
    return matrix


_WARPS = np.stack([_frequency_warp(f) for f in np.linspace(0.88, 1.14, 27)])
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
        lookahead_hops: how far the targets lag behind the features.
        quiet_share: share of crops without any speech.
    """
    frames = hops * FRAMES_PER_HOP
    n_quiet = int(rng.binomial(size, quiet_share))
    picks = rng.choice(len(banks), size - n_quiet, p=weights)
    logs, rows = [], []
    for pick in picks:
        bank = banks[pick]
        start = int(rng.integers(lookahead_hops, bank.hops - hops))
        logs.append(bank.mel[start * FRAMES_PER_HOP : start * FRAMES_PER_HOP + frames])
        rows.append((bank.targets, slice(start - lookahead_hops, start - lookahead_hops + hops)))
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

    zeros = np.zeros(hops)
    return Batch(
        features,
        gathered("viseme", zeros).astype(np.int64),
        gathered("phoneme", zeros).astype(np.int64),
        gathered("articulation", np.tile(REST, (hops, 1))).astype(np.float32),
        gathered("closure", zeros).astype(np.float32),
        gathered("voice", zeros).astype(np.float32),
    )


def seed_of(name: str, seed: int) -> int:
    """A seed of its own for each source."""
    return zlib.crc32(f"{name}-{seed}".encode())
