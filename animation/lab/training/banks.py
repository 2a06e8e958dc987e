"""What training draws from: features and targets of altered recordings, and sounds without speech."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.lab.data.corpus import NEURAL_TEST, Utterance, load_utterances, source_names, split_of
from animation.lab.data.sources import SOURCES
from animation.lab.training.alterations import UNALTERED, alter
from animation.lab.training.soundscape import NOISE_KINDS, babble, noise
from animation.lab.training.targets import Recording, Targets
from animation.speech.audio import FRAMES_PER_HOP, HOP_S, HOP_SAMPLES, N_MELS, log_mel
from animation.speech.channels import JAW
from avatar.formats.atomic import replacing

__all__ = ["FeatureBank", "NoiseBank", "seed_of", "training_utterances"]

_WHOLE = (("synthetic", "train"), ("training", "train"), ("validation", "validation"))
"""Roles whose speakers are all of one part."""
_MUSIC_SHARE = 0.35
_LEVEL = 0.06


def training_utterances(folder: Path, split: str = "train") -> dict[str, list[Utterance]]:
    """The corpus's utterances for training or validation by source; speakers kept for tests never appear."""
    roles = {source.name: source.role for source in SOURCES}
    chosen: dict[str, list[Utterance]] = {}
    for name in source_names(folder):
        role = roles.get(name, "synthetic")
        if role == "split":
            chosen[name] = [u for u in load_utterances(folder, name) if split_of(u.name) == split]
        elif name != NEURAL_TEST and (role, split) in _WHOLE:
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
            samples = recording.samples * np.float32(_LEVEL / (np.sqrt(np.mean(recording.samples**2)) + 1e-6))
            alteration = UNALTERED
            if variant > 0:
                samples, alteration = alter(samples, rng)
            n_hops = len(samples) // HOP_SAMPLES
            mels.append(log_mel(samples[: n_hops * HOP_SAMPLES]).astype(np.float16))
            targets.append(_with_effort(recording.targets(alteration.factor, n_hops), alteration.effort))
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
            with replacing(path) as fresh:
                np.savez(fresh, mel=bank.mel, **fields)
            return bank
        with np.load(path, allow_pickle=False) as file:
            return cls(file["mel"], Targets(*(file[name] for name in Targets.__dataclass_fields__)))


def _with_effort(targets: Targets, effort: float) -> Targets:
    """Raised voices open the jaw wider, soft ones less wide."""
    if effort == 1.0:
        return targets
    articulation = targets.articulation.astype(np.float32)
    opened = np.clip(articulation[:, JAW] * effort, 0.0, 1.0)
    articulation[:, JAW] = np.where(targets.closure == 1.0, articulation[:, JAW], opened)
    return replace(targets, articulation=articulation.astype(np.float16))


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
            with replacing(path) as fresh:
                np.savez(fresh, babble=bank.babble, **bank.quiet)
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


def seed_of(name: str, seed: int) -> int:
    """A seed of its own for each source."""
    return zlib.crc32(f"{name}-{seed}".encode())
