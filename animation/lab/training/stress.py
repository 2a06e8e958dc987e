"""Training the stress detector on synthetic voices that tell which vowels they stress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import nn

from animation.lab.data.stresses import HELD_OUT_VOICES, TRAINING_VOICES, StressedSpeech, stressed_speech
from animation.speech.acoustics import VoiceAnalyzer
from animation.speech.audio import HOP_S
from animation.speech.stress import AHEAD_HOPS, CONTEXT_HOPS, FORMAT, StressWeights, VoiceFeatures
from avatar.formats.tensors import write_tensors

__all__ = ["StressTraining", "loudest_hops", "train_stress"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class StressTraining:
    """How to train: two minutes, and a quarter of an hour for the voices to speak."""

    utterances: int = 40
    """Of each voice; see `stressed_speech`."""
    hidden: int = 32
    steps: int = 3000
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.2
    early_hops: int = 6
    """A stress counts from so long before its vowel is at its loudest, until just before: a nod takes a tenth of a
    second."""
    seed: int = 0


def loudest_hops(speech: StressedSpeech) -> Int[np.ndarray, " s"]:
    """The hop at which each stressed vowel is at its loudest."""
    sonority = np.array([heard.sonority_db for heard in VoiceAnalyzer().feed(speech.samples)])
    spans = [(int(s.start_s / HOP_S), int(s.end_s / HOP_S) + 2) for s in speech.stresses]
    return np.array([a + int(np.argmax(sonority[a:b])) for a, b in spans], np.intp)


def train_stress(
    out: Path, config: StressTraining | None = None, progress: Progress = lambda text, share: None
) -> dict[str, float]:
    """Train, score on voices that were not trained on, and write weights.

    Args:
        out: a folder; `stress.safetensors` is written into it.

    Returns:
        share of the detections on held-out voices that are stresses, and how many stresses a second it detects.

    Raises:
        UserError: if a voice is not installed.
    """
    config = StressTraining() if config is None else config
    torch.manual_seed(config.seed)
    voices = (TRAINING_VOICES, HELD_OUT_VOICES)
    made = [list(stressed_speech(v, config.utterances, config.seed + k, progress)) for k, v in enumerate(voices)]
    contexts, labels = _examples(made[0], config)
    mean, scale = contexts.mean(0), contexts.std(0) + 0.05
    net = nn.Sequential(
        nn.Linear(contexts.shape[1], config.hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, 1)
    )
    optimizer = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    inputs, wanted = torch.from_numpy((contexts - mean) / scale), torch.from_numpy(labels)
    for step in range(config.steps):
        chosen = torch.randint(len(inputs), (config.batch,))
        loss = nn.functional.binary_cross_entropy_with_logits(net(inputs[chosen])[:, 0], wanted[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            progress(f"step {step} of {config.steps}, loss {loss.item():.3f}", step / config.steps)
    tensors = _folded(net, mean, scale)
    about = {"training": asdict(config), "voices": list(TRAINING_VOICES)}
    write_tensors(out / "stress.safetensors", tensors, about, FORMAT)
    return score(StressWeights(tensors), made[1])


def score(weights: StressWeights, speeches: Iterable[StressedSpeech], threshold: float = 0.55) -> dict[str, float]:
    """How good detections are.

    One is right if it comes up to 160 ms before the loudest moment of a stressed vowel, or up to 80 ms after it.

    Returns:
        share of right ones, and how many there are a second.
    """
    right = found = 0
    seconds = 0.0
    for speech in speeches:
        sure = weights.probability(_contexts(speech))[AHEAD_HOPS:]
        peaks, last = loudest_hops(speech), -100
        for hop in np.flatnonzero(sure > threshold).tolist():
            if hop - last >= 16:
                last, found = hop, found + 1
                right += bool(len(peaks)) and -8 <= (hop - peaks)[np.abs(hop + 2 - peaks).argmin()] <= 4
        seconds += len(speech.samples) / 16000
    return {"precision": right / max(found, 1), "per_second": found / max(seconds, 1e-9)}


def _contexts(speech: StressedSpeech) -> Float32[np.ndarray, "t c"]:
    features = VoiceFeatures()
    rows = np.stack([features.feed(heard) for heard in VoiceAnalyzer().feed(speech.samples)])
    silence = np.tile(np.array([[-3, -3, 0, 0]], np.float32), (CONTEXT_HOPS - 1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([silence, rows]), CONTEXT_HOPS, 0)
    return windows.transpose(0, 2, 1).reshape(len(rows), -1).astype(np.float32)


def _examples(
    speeches: Iterable[StressedSpeech], config: StressTraining
) -> tuple[Float32[np.ndarray, "n c"], Float32[np.ndarray, " n"]]:
    contexts, labels = [], []
    for speech in speeches:
        rows = _contexts(speech)
        label = np.zeros(len(rows), np.float32)
        for peak in loudest_hops(speech) + AHEAD_HOPS:
            label[max(peak - config.early_hops, 0) : peak] = 1.0
        contexts.append(rows)
        labels.append(label)
    return np.concatenate(contexts), np.concatenate(labels)


def _folded(net: nn.Sequential, mean: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
    """The network's weights for features that are not standardised."""
    hidden, out = net[0], net[3]
    assert isinstance(hidden, nn.Linear) and isinstance(out, nn.Linear)
    weight = hidden.weight.detach().numpy() / scale
    bias = hidden.bias.detach().numpy() - weight @ mean
    return {
        "hidden.weight": np.ascontiguousarray(weight, np.float32),
        "hidden.bias": bias.astype(np.float32),
        "out.weight": out.weight.detach().numpy().copy(),
        "out.bias": out.bias.detach().numpy().copy(),
    }
