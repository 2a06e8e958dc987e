"""Training of the speech model; can be killed at any time and goes on where the last checkpoint was."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from animation.audio import HOP_S, SAMPLE_RATE
from animation.data.articulation import CHANNELS
from animation.data.phonemes import PHONEME_INDEX, PHONEMES, VISEME_INDEX, VISEMES
from animation.speech.model import SpeechModelConfig, expected_shapes, save_weights
from animation.training.batches import (
    IGNORED,
    Batch,
    FeatureBank,
    NoiseBank,
    draw_batch,
    seed_of,
    training_utterances,
)
from animation.training.network import SpeechLogits, TrainableSpeechNetwork
from animation.training.tuning import tune_seal
from avatar.errors import UserError

__all__ = ["DATA_STATEMENT", "TrainingConfig", "speech_loss", "train_speech"]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

_SOURCE_WEIGHTS = {"espeak": 0.10, "flite": 0.055, "festival": 0.022, "prompts": 0.09, "menardi": 0.07}
_CHECKPOINT = "speech-checkpoint.pt"
_MUSIC_HELD_OUT = "reno_project-system"


DATA_STATEMENT = {
    "recordings": (
        "Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-g722 (telephone prompts; en, es, fr CC-BY-SA 3.0, "
        "it, ru CC-BY 3.0) and asterisk-prompt-it-menardi-wav (Paola Dal Zot and Marco Menardi, "
        "http://www.voip.ammdomus.it, CC-BY-SA 3.0), aligned by force; every twelfth file is kept for tests and "
        "every twelfth for validation"
    ),
    "synthetic": (
        "espeak-ng; flite voices slt, rms, awb, kal16; festival voices kal, ked, us_slt_arctic_hts, lp, pc, czech "
        "dita krb machac ph, finnish mv lj, catalan ona_hts, russian nsh; sentences of Debian's fortunes packages"
    ),
    "noise": "synthetic noise, babble of the prompts, music on hold of asterisk-moh-opsound-g722 (CC-BY-SA 3.0)",
    "command": "gaussian-avatar corpus speech && gaussian-avatar train speech",
}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. One step of the default size takes about 0.7 s on one core."""

    model: SpeechModelConfig = field(default_factory=SpeechModelConfig)
    steps: int = 6300
    batch: int = 64
    crop_hops: int = 120
    warm_up_hops: int = 3  # at the start of a crop, where the past is missing: not counted
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.01
    variants: int = 3
    average_decay: float = 0.998
    checkpoint_every: int = 250
    seed: int = 0


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
    inside = (target == 1.0).numpy().astype(np.int8)
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


def speech_loss(logits: SpeechLogits, batch: Batch, skip: int) -> Float[Tensor, ""]:
    """What training minimizes: visemes, phonemes, articulation, closures as moments and as events, voice.

    Args:
        logits: of the network.
        batch: with targets in step with the logits.
        skip: hops at the start of each crop that do not count.
    """

    def to(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[:, skip:])

    viseme = functional.cross_entropy(
        logits.viseme[:, skip:].flatten(0, 1), to(batch.viseme).flatten(), _VISEME_WEIGHTS
    )
    phoneme = functional.cross_entropy(
        logits.phoneme[:, skip:].flatten(0, 1), to(batch.phoneme).flatten(), _PHONEME_WEIGHTS
    )
    channels = functional.smooth_l1_loss(
        torch.sigmoid(logits.articulation[:, skip:]), to(batch.articulation), beta=0.08, reduction="none"
    )
    target = to(batch.closure)
    closure = logits.closure[:, skip:]
    counted = target != IGNORED
    moments = functional.binary_cross_entropy_with_logits(
        closure[counted], target[counted], pos_weight=torch.tensor(2.0)
    )
    voice = functional.binary_cross_entropy_with_logits(logits.voice[:, skip:], to(batch.voice))
    return (
        viseme
        + 0.5 * phoneme
        + 8.0 * (channels * _CHANNEL_WEIGHTS).mean()
        + 1.5 * moments
        + 0.4 * _event_loss(closure, target)
        + 0.4 * voice
    )


def _source_weight(name: str) -> float:
    return _SOURCE_WEIGHTS[name.split("_")[0]]


def _load_banks(
    folder: Path, config: TrainingConfig, progress: Progress
) -> tuple[list[FeatureBank], Float[np.ndarray, " s"]]:
    utterances = {name: found for name, found in training_utterances(folder).items() if found}
    if not utterances:
        raise UserError(f"no speech corpus in {folder}: make it with gaussian-avatar corpus speech")
    banks, weights = [], []
    for number, (name, found) in enumerate(utterances.items()):
        progress(f"features of {name}", number / len(utterances))
        seed = seed_of(name, config.seed)
        path = folder / "features" / f"{name}-{config.variants}-{config.seed}.npz"
        banks.append(FeatureBank.cached(path, partial(FeatureBank.build, found, config.variants, seed)))
        weights.append(_source_weight(name))
    total = np.array(weights)
    return banks, total / total.sum()


def _build_noises(folder: Path, seed: int) -> NoiseBank:
    music = [
        np.load(path, allow_pickle=False).astype(np.float32) / 32767
        for path in sorted((folder / "music").glob("*.npy"))
        if path.stem != _MUSIC_HELD_OUT
    ]
    prompts = [us for name, us in training_utterances(folder).items() if name.startswith("prompts")]
    return NoiseBank([u.samples for us in prompts for u in us], music, seed)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers too small to matter count as zero, which is much faster; the process gets its arithmetic back after."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_denormals_flushed()
def train_speech(data_dir: Path | str, out: Path | str, config: TrainingConfig, progress: Progress) -> None:
    """Train the speech model, tune its seal on the validation speakers, and write its weights.

    Args:
        data_dir: the corpus; features and the checkpoint are kept there too.
        out: the weights file, written anew with every checkpoint.
        config: how to train.
        progress: called with a message and the share done.

    Raises:
        UserError: there is no corpus.
    """
    folder, out = Path(data_dir), Path(out)
    torch.manual_seed(config.seed)
    banks, weights = _load_banks(folder, config, progress)
    path = folder / "features" / f"noise-{config.seed}.npz"
    noises = NoiseBank.cached(path, partial(_build_noises, folder, config.seed))
    network = TrainableSpeechNetwork(config.model)
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    start, loss_average = 0, 0.0
    kept = folder / _CHECKPOINT
    if kept.exists():
        checkpoint = torch.load(kept, weights_only=True)
        network.load_state_dict(checkpoint["network"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        average = checkpoint["average"]
        start, loss_average = int(checkpoint["step"]), float(checkpoint["loss"])
        _log.info("going on at step %d", start)
    begun = time.monotonic()
    network.train()
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config.steps)
        # Every step has its own seeds, so that an interrupted training goes on exactly as it would have.
        rng = np.random.default_rng([config.seed, step])
        torch.manual_seed(config.seed * 1_000_003 + step)
        batch = draw_batch(banks, weights, noises, rng, config.batch, config.crop_hops, config.model.lookahead_hops)
        loss = speech_loss(network(torch.from_numpy(batch.features)), batch, config.warm_up_hops)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay = min(config.average_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                average[name].lerp_(tensor, 1 - decay)
        value = loss.item()
        loss_average = value if step == 0 else 0.98 * loss_average + 0.02 * value
        done = step + 1
        if done % 50 == 0:
            pace = (time.monotonic() - begun) / (done - start)
            progress(f"step {done}, loss {loss_average:.3f}, {pace:.2f} s a step", done / config.steps)
        if done % config.checkpoint_every == 0 or done == config.steps:
            unfinished = kept.with_suffix(".partial")
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average,
                    "step": done,
                    "loss": loss_average,
                },
                unfinished,
            )
            unfinished.replace(kept)
            tensors = {name: average[name].numpy() for name in expected_shapes(config.model)}
            training = {k: v for k, v in asdict(config).items() if k != "model"}
            hours = done * config.batch * config.crop_hops * HOP_S / 3600
            facts = {"training": training, "steps_done": done, "hours_heard": round(hours, 1)}
            save_weights(out, config.model, tensors, {"data": DATA_STATEMENT, **facts, "sample_rate": SAMPLE_RATE})
    tune_seal(folder, out, progress)


def _schedule(step: int, steps: int, warm_up: int = 100) -> float:
    """Linear rise, then a cosine to 2 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / max(1, steps - warm_up))))
