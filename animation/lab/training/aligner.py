"""A bidirectional network that hears phonemes every 10 ms: it aligns texts to recordings, offline.

It learns from synthetic voices, whose times are exact, and from recordings that pocketsphinx aligned. It is not the
model that the program ships, and sees the whole sound at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from animation.lab.data.alignment import FRAME_S
from animation.lab.data.corpus import Utterance
from animation.lab.training.soundscape import change_speed
from animation.speech.audio import N_MELS, log_mel
from animation.speech.phonemes import PHONEMES, phoneme_labels

__all__ = ["Aligner", "AlignerConfig", "train_aligner"]

_log = logging.getLogger(__name__)
_MEL_MEAN, _MEL_SCALE = -7.0, 3.0
_LEVEL = 0.06


@dataclass(frozen=True)
class AlignerConfig:
    """Size and training of the network."""

    hidden: int = 128
    layers: int = 2
    steps: int = 600
    batch: int = 24
    crop_frames: int = 240
    learning_rate: float = 4e-3
    prior_weight: float = 0.7
    seed: int = 0


class _Network(nn.Module):
    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.into = nn.Linear(N_MELS, config.hidden)
        self.recurrent = nn.GRU(config.hidden, config.hidden, config.layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * config.hidden, len(PHONEMES))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.out(self.recurrent(functional.gelu(self.into((mel - _MEL_MEAN) / _MEL_SCALE)))[0])


def _features(samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t 40"]:
    level = np.sqrt(np.mean(samples**2)) + 1e-6
    hiss = np.random.default_rng(0).normal(0, 1e-5, len(samples)).astype(np.float32)
    return log_mel(samples * np.float32(_LEVEL / level) + hiss)


class Aligner:
    """Scaled log likelihoods of phonemes for a whole recording."""

    def __init__(self, network: nn.Module, log_prior: Float[np.ndarray, " p"], prior_weight: float) -> None:
        self._network = network.eval()
        self._log_prior = log_prior
        self._prior_weight = prior_weight

    def log_likelihood(self, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t p"]:
        """One row every 10 ms, one column for each of `PHONEMES`."""
        with torch.no_grad():
            logits = self._network(torch.from_numpy(_features(samples))[None])[0]
        return functional.log_softmax(logits, -1).numpy() - self._prior_weight * self._log_prior

    def save(self, path: Path) -> None:
        """Keep the network in a file."""
        save_file({**self._network.state_dict(), "log_prior": torch.from_numpy(self._log_prior)}, path)

    @classmethod
    def load(cls, path: Path, config: AlignerConfig) -> Aligner:
        """Read what `save` wrote."""
        tensors = load_file(path)
        log_prior = tensors.pop("log_prior").numpy()
        network = _Network(config)
        network.load_state_dict(tensors)
        return cls(network, log_prior, config.prior_weight)


def train_aligner(
    utterances: Sequence[tuple[Utterance, float]],
    config: AlignerConfig,
    progress: Callable[[str, float], None],
) -> Aligner:
    """Train on (utterance, weight) pairs; the weight is how often it is drawn.

    Args:
        utterances: speech with phonemes in time.
        config: size and training.
        progress: called with a message and the share done.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    features, labels, chances = [], [], []
    for utterance, weight in utterances:
        for factor in (1.0, float(rng.uniform(0.85, 1.18))):
            samples = utterance.samples if factor == 1.0 else change_speed(utterance.samples, factor)
            mel = _features(samples)
            features.append(mel.astype(np.float16))
            labels.append(phoneme_labels([s.scaled(factor) for s in utterance.segments], len(mel), FRAME_S))
            chances.append(weight * len(mel))
    crop = config.crop_frames
    all_features = np.concatenate(features)
    all_labels = np.concatenate(labels)
    starts = np.concatenate([[0], np.cumsum([len(f) for f in features])[:-1]])
    chance = np.array(chances) / np.sum(chances)
    network = _Network(config)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.05)
    average = 0.0
    for step in range(config.steps):
        first = starts[rng.choice(len(starts), config.batch, p=chance)] + rng.integers(-60, 60, config.batch)
        first = np.clip(first, 0, len(all_features) - crop - 1)
        index = first[:, None] + np.arange(crop)
        mel = all_features[index].astype(np.float32)
        mel = _disturbed(mel, rng)
        logits = network(torch.from_numpy(mel))
        target = torch.from_numpy(all_labels[index])
        loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if step % 100 == 0:
            progress(f"training the aligner, loss {average:.2f}", step / config.steps)
    _log.info("aligner trained, loss %.3f", average)
    prior = np.bincount(all_labels, minlength=len(PHONEMES)) + 50.0
    return Aligner(network, np.log(prior / prior.sum()).astype(np.float32), config.prior_weight)


def _disturbed(mel: Float[np.ndarray, "b t 40"], rng: np.random.Generator) -> Float[np.ndarray, "b t 40"]:
    """Random level, tilt and stationary noise."""
    batch = len(mel)
    tilt = np.cumsum(rng.normal(0, 0.15, (batch, 1, N_MELS)), -1)
    mel = mel + rng.normal(0, 0.7, (batch, 1, 1)) + tilt - tilt.mean(-1, keepdims=True)
    floor = mel.mean((1, 2), keepdims=True) - rng.uniform(-1, 9, (batch, 1, 1))
    return np.logaddexp(mel, floor + rng.normal(0, 0.4, mel.shape)).astype(np.float32)
