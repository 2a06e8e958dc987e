"""The speech network in torch: the twin of `animation.speech.model.SpeechNetwork`, for training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from animation.speech.audio import FRAMES_PER_HOP, N_MELS
from animation.speech.channels import CHANNELS
from animation.speech.model import SpeechModelConfig
from animation.speech.phonemes import PHONEMES, VISEMES

__all__ = ["SpeechLogits", "TrainableSpeechNetwork"]


class SpeechLogits(NamedTuple):
    """Raw outputs, one row a hop. `phoneme` exists in training only: a harder task that teaches the rest."""

    viseme: Float[Tensor, "b t v"]
    phoneme: Float[Tensor, "b t p"]
    articulation: Float[Tensor, "b t 7"]
    closure: Float[Tensor, "b t"]
    voice: Float[Tensor, "b t"]


class _Filters(nn.Module):
    """Filters over (band, frame) patches, shared along frequency."""

    def __init__(self, config: SpeechModelConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.filter_bands * config.filter_frames
        self.weight = nn.Parameter(torch.empty(config.filters, inputs))
        self.bias = nn.Parameter(torch.zeros(config.filters))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, frames: Float[Tensor, "b t2 m"]) -> Float[Tensor, "b t f"]:
        c = self.config
        padded = functional.pad(frames, (0, 0, c.filter_frames - FRAMES_PER_HOP, 0))
        windows = padded.unfold(1, c.filter_frames, FRAMES_PER_HOP)  # b t m frames
        patches = windows.unfold(2, c.filter_bands, c.filter_stride)  # b t patch frames bands
        patches = patches.transpose(-1, -2).flatten(-2)
        return functional.relu(functional.linear(patches, self.weight, self.bias)).flatten(-2)


class _Heads(nn.Module):
    """What is read from the memory for one look-ahead."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.viseme = nn.Linear(hidden, len(VISEMES))
        self.phoneme = nn.Linear(hidden, len(PHONEMES))
        self.articulation = nn.Linear(hidden, len(CHANNELS))
        self.closure = nn.Linear(hidden, 1)
        self.voice = nn.Linear(hidden, 1)

    def forward(self, x: Float[Tensor, "b t h"]) -> SpeechLogits:
        return SpeechLogits(
            self.viseme(x),
            self.phoneme(x),
            self.articulation(x),
            self.closure(x).squeeze(-1),
            self.voice(x).squeeze(-1),
        )


class TrainableSpeechNetwork(nn.Module):
    """All hops at once, from a state of zeros; logits for each look-ahead, in the configuration's order.

    Args:
        config: shape of the network.
        dropout: between the recurrent layers and before the heads.
        both_ways: hear what follows as well as what went before: a teacher's ear, which cannot stream.
    """

    def __init__(self, config: SpeechModelConfig, dropout: float = 0.1, both_ways: bool = False) -> None:
        super().__init__()
        self.config = config
        self.filters = _Filters(config)
        self.into = nn.Linear(config.patches * config.filters + FRAMES_PER_HOP * N_MELS, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        between = dropout if config.layers > 1 else 0.0
        self.recurrent = nn.GRU(
            config.hidden, config.hidden, config.layers, batch_first=True, dropout=between, bidirectional=both_ways
        )
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {str(hops): _Heads(config.hidden * (1 + both_ways)) for hops in config.lookaheads_hops}
        )

    def forward(self, features: Float[Tensor, "b t2 m"]) -> list[SpeechLogits]:
        """Log-mel frames less the speaker's level, two a hop, to one row of logits a hop."""
        c = self.config
        scaled = (features - c.mel_mean) / c.mel_scale
        hops = scaled.unflatten(1, (-1, FRAMES_PER_HOP)).flatten(-2)
        x = self.into(torch.cat([self.filters(scaled), hops], -1))
        x = self.dropout(self.recurrent(functional.relu(self.norm(x)))[0])
        return [self.heads[str(hops)](x) for hops in c.lookaheads_hops]
