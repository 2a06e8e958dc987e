"""What training the speech model minimizes, and the running average of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from animation.lab.training.batches import Batch
from animation.lab.training.network import SpeechLogits, TrainableSpeechNetwork
from animation.lab.training.targets import IGNORED, UNKNOWN
from animation.speech.audio import FRAMES_PER_HOP
from animation.speech.channels import CHANNELS
from animation.speech.model import SpeechModelConfig
from animation.speech.phonemes import PHONEME_INDEX, PHONEMES, VISEME_INDEX, VISEMES

__all__ = ["SpeechBatch", "SpeechLoss", "speech_loss"]


class SpeechBatch(NamedTuple):
    """Targets of a batch as tensors, one row a hop; see `animation.lab.training.targets.Targets`."""

    viseme: Int[Tensor, "b t"]
    phoneme: Int[Tensor, "b t"]
    articulation: Float[Tensor, "b t 7"]
    closure: Float[Tensor, "b t"]
    voice: Float[Tensor, "b t"]

    @classmethod
    def of(cls, batch: Batch) -> SpeechBatch:
        """The targets of a drawn batch."""
        return cls(*(torch.from_numpy(getattr(batch, name)) for name in cls._fields))


_LOOKAHEAD_WEIGHTS = (1.0, 0.6, 0.4)
"""Of the look-aheads in the configuration's order: the first matters most."""
_HARDEST_SHARE = 0.06
"""Of the hops that must not seal: those that come nearest to it count as events."""

_BACKWARDS = "_reverse"
"""How torch ends the names of what hears from the end to the beginning."""

_VISEME_WEIGHT = {"PP": 1.5, "FF": 1.8, "ou": 1.2, "sil": 0.8}
_PHONEME_WEIGHT = {"P": 1.5, "B": 1.5, "M": 1.5, "F": 1.7, "V": 1.7, "SIL": 0.8}
_CHANNEL_WEIGHT = {
    "jaw": 1.0,
    "closed": 1.5,
    "rounding": 1.0,
    "spread": 1.0,
    "lip_in": 2.5,
    "tongue": 0.6,
    "funnel": 0.6,
}


def _class_weights(names: Sequence[str], index: dict[str, int], weights: dict[str, float]) -> Float[Tensor, " c"]:
    result = torch.ones(len(names))
    for name, weight in weights.items():
        result[index[name]] = weight
    return result


_VISEME_WEIGHTS = _class_weights(VISEMES, VISEME_INDEX, _VISEME_WEIGHT)
_PHONEME_WEIGHTS = _class_weights(PHONEMES, PHONEME_INDEX, _PHONEME_WEIGHT)
_CHANNEL_WEIGHTS = torch.tensor([_CHANNEL_WEIGHT[name] for name in CHANNELS])


def _event_loss(closure: Float[Tensor, "b t"], target: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Each labelled closure must be seen somewhere within one hop of it: cross-entropy of the best moment."""
    inside = (target == 1.0).cpu().numpy().astype(np.int8)
    padded = np.pad(inside, ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    if len(rows) == 0:
        return closure.sum() * 0.0
    width = int(min(14, (ends - starts).max() + 2))
    index = np.clip(starts[:, None] - 1 + np.arange(width), 0, closure.shape[1] - 1)
    index = np.minimum(index, np.minimum(ends[:, None], closure.shape[1] - 1))
    best = closure[torch.from_numpy(rows)[:, None], torch.from_numpy(index)].amax(1)
    return functional.softplus(-best).mean()


def _false_event_loss(closure: Float[Tensor, "b t"], target: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Lips must not seal where nothing is to be sealed: cross-entropy of the hops of each crop that come nearest."""
    held = closure.masked_fill(target != 0.0, -torch.inf)
    count = max(1, int(_HARDEST_SHARE * closure.shape[1]))
    return functional.softplus(held.topk(count, dim=1).values).mean()


def _labels(logits: Float[Tensor, "b t c"], target: Int[Tensor, "b t"], weights: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy over the hops whose label is known; 0 if none is."""
    if not bool((target != UNKNOWN).any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), weights.to(logits.device), ignore_index=UNKNOWN
    )


def speech_loss(logits: SpeechLogits, batch: SpeechBatch, skip: int) -> Float[Tensor, ""]:
    """What training minimizes: visemes, phonemes, articulation, closures as moments and as events, voice.

    Args:
        logits: of the network.
        batch: with targets in step with the logits.
        skip: hops at the start of each crop that do not count.
    """

    logits = SpeechLogits(*(part[:, skip:] for part in logits))
    batch = SpeechBatch(*(part[:, skip:] for part in batch))
    device = logits.viseme.device
    viseme = _labels(logits.viseme, batch.viseme, _VISEME_WEIGHTS)
    phoneme = _labels(logits.phoneme, batch.phoneme, _PHONEME_WEIGHTS)
    channels = functional.smooth_l1_loss(
        torch.sigmoid(logits.articulation), batch.articulation, beta=0.08, reduction="none"
    )
    target, closure = batch.closure, logits.closure
    counted = target != IGNORED
    moments = functional.binary_cross_entropy_with_logits(
        closure[counted], target[counted], pos_weight=torch.tensor(2.0, device=device)
    )
    voice = functional.binary_cross_entropy_with_logits(logits.voice, batch.voice)
    return (
        viseme
        + 0.5 * phoneme
        + 8.0 * (channels * _CHANNEL_WEIGHTS.to(device)).mean()
        + 1.2 * moments
        + 0.4 * _event_loss(closure, target)
        + 0.2 * _false_event_loss(closure, target)
        + 0.4 * voice
    )


class SpeechLoss(nn.Module):
    """The network with its loss, and a running average of its weights, which is what is kept in the end."""

    updates: Tensor

    def __init__(self, config: SpeechModelConfig, warm_up_hops: int, decay: float, both_ways: bool = False) -> None:
        """
        Args:
            config: shape of the network.
            warm_up_hops: at the start of a crop, where the past is missing: not counted.
            decay: of the average, towards which it rises in the first steps.
            both_ways: as `TrainableSpeechNetwork`.
        """
        super().__init__()
        self.network = TrainableSpeechNetwork(config, both_ways=both_ways)
        self.average = TrainableSpeechNetwork(config, both_ways=both_ways)
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._warm_up_hops, self._decay = warm_up_hops, decay
        self._lookaheads = config.lookaheads_hops
        self._both_ways = both_ways

    def forward(self, batch: tuple[Tensor, SpeechBatch]) -> dict[str, Tensor]:
        """The loss of a batch of (features, targets), summed over look-aheads, and of each of them.

        Targets begin the longest look-ahead before the features. In training the weights as they are now join the
        average.
        """
        if self.training:
            self.follow()
        features, targets = batch
        read = self.network(features)
        hops, longest = features.shape[1] // FRAMES_PER_HOP, max(self._lookaheads)
        losses = {}
        for lookahead, part in zip(self._lookaheads, read, strict=True):
            first = longest - lookahead
            lagging = SpeechBatch(*(target[:, first : first + hops] for target in targets))
            whole = SpeechLogits(*(logits.float() for logits in part))  # of bfloat16, where the matrices are
            losses[lookahead] = speech_loss(whole, lagging, self._warm_up_hops)
        weights = _LOOKAHEAD_WEIGHTS[: len(losses)]
        total = sum(weight * loss for weight, loss in zip(weights, losses.values(), strict=True))
        return {"loss": torch.as_tensor(total), **{f"loss_{hops}": loss for hops, loss in losses.items()}}

    @torch.no_grad()
    def begin(self, tensors: Mapping[str, np.ndarray], heads_only: bool = False) -> None:
        """Take trained weights. Heads of look-aheads that they lack begin as those of a look-ahead that they have.

        A network that hears both ways begins as two that hear one way each, the second from the end to the beginning;
        its heads begin by reading the first alone.

        Args:
            tensors: by name, as `load_weights` gives them.
            heads_only: nothing but the heads is to learn.

        Raises:
            ValueError: they belong to a network of another size.
        """
        own = self.network.state_dict()
        trained = {_without_lookahead(name): tensor for name, tensor in tensors.items()} | dict(tensors)
        for name, now in own.items():
            backwards = name.endswith(_BACKWARDS) and name not in trained
            name = name.removesuffix(_BACKWARDS) if backwards else name
            tensor = trained.get(name, trained.get(_without_lookahead(name)))
            if tensor is None:
                continue
            if self._both_ways and now.ndim == 2 and now.shape[1] == 2 * tensor.shape[1]:
                both = (np.zeros_like(tensor), tensor) if backwards else (tensor, np.zeros_like(tensor))
                tensor = np.concatenate(both, axis=1)
            if now.shape != tensor.shape:
                raise ValueError(f"expected {name} of shape {tuple(now.shape)}, got {tensor.shape}")
            now.copy_(torch.from_numpy(tensor.astype(np.float32)))
        self.average.load_state_dict(own)
        if heads_only:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(name.startswith("heads."))

    @torch.no_grad()
    def follow(self) -> None:
        """Take the present weights into the average."""
        self.updates += 1
        decay = min(self._decay, int(self.updates) / (int(self.updates) + 9))
        for kept, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(now, 1 - decay)


def _without_lookahead(name: str) -> str:
    """What a head's tensor is called, whatever its look-ahead."""
    return ".".join(part for part in name.split(".") if not part.isdigit())
