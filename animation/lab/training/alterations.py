"""What makes one recording many: other speakers, efforts, rooms, noises and microphones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from animation.lab.training.effort import raised, softened, whispered
from animation.lab.training.microphones import recorded
from animation.lab.training.soundscape import NOISE_KINDS, change_speed, noise, room
from animation.speech.audio import SAMPLE_RATE

__all__ = ["UNALTERED", "Alteration", "alter"]

_SPEEDS = (0.84, 1.2)
_ROOM, _NOISE = 0.55, 0.4
_WHISPERED, _RAISED, _SOFTENED = 0.05, 0.15, 0.12
_NOISE_DB = (5.0, 35.0)


class Alteration(NamedTuple):
    """What changed beside the sound: how much longer it is, and how far mouths open for it."""

    factor: float = 1.0
    effort: float = 1.0


UNALTERED = Alteration()


def alter(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> tuple[Float[np.ndarray, " m"], Alteration]:
    """Another recording of the same words, in the order in which things happen to a voice."""
    factor, effort = float(rng.uniform(*_SPEEDS)), 1.0
    samples = change_speed(samples, factor)
    kind = rng.random()
    if kind < _WHISPERED:
        samples = whispered(samples, rng)
    elif kind < _WHISPERED + _RAISED:
        samples, effort = raised(samples, rng)
    elif kind < _WHISPERED + _RAISED + _SOFTENED:
        samples, effort = softened(samples, rng)
    if rng.random() < _ROOM:
        samples = room(samples, rng)
    if rng.random() < _NOISE:
        samples = _with_noise(samples, rng)
    return recorded(samples, rng), Alteration(factor, effort)


def _with_noise(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    kind = NOISE_KINDS[int(rng.integers(len(NOISE_KINDS)))]
    added = noise(kind, len(samples) / SAMPLE_RATE + 0.1, rng)[: len(samples)]
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 10 ** (-rng.uniform(*_NOISE_DB) / 20)
    return samples + added * np.float32(level / (np.sqrt(np.mean(np.square(added, dtype=np.float64))) + 1e-9))
