"""Choosing when the lips seal: the probabilities of the seal's rule, on validation recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float

from animation.lab.evaluation.speech import ClosureScore, score_closures
from animation.lab.training.batches import normalize_level
from animation.speech.audio import FRAMES_PER_HOP, HOP_SAMPLES, LevelTracker, log_mel
from animation.speech.model import SpeechModelConfig, SpeechNetwork, load_weights, read_about, save_weights
from animation.speech.phonemes import Segment
from animation.speech.stream import Seal

__all__ = ["Heard", "closure_probabilities", "seals", "tune_seal"]

Progress = Callable[[str, float], None]

_ON = (0.8, 0.9, 0.95, 0.98)
_LIKELY = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_OFF = (0.15, 0.3)
_FALSE_COST = 0.25  # of one false seal a minute, in percent of closures missed


class Heard(Protocol):
    """An utterance with its phonemes in time; `samples` mono at 16 kHz."""

    @property
    def samples(self) -> Float[np.ndarray, " n"]: ...

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    @property
    def duration_s(self) -> float: ...


def closure_probabilities(network: SpeechNetwork, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """The network's probability of closure for each pose of a sound."""
    lookahead = network.config.lookahead_hops
    n_poses = -(-len(samples) // HOP_SAMPLES)
    padded = np.concatenate([samples, np.zeros((n_poses + lookahead) * HOP_SAMPLES - len(samples), np.float32)])
    power = np.exp(log_mel(padded))[None]
    features = normalize_level(power, np.full(1, LevelTracker.START_DB))[0]
    network.reset()
    hops = features.reshape(-1, FRAMES_PER_HOP, features.shape[-1])
    return np.array([network.step(hop).closure for hop in hops], np.float32)[lookahead:]


def seals(probabilities: Float[np.ndarray, " t"], config: SpeechModelConfig) -> Bool[np.ndarray, " t"]:
    """Whether the lips are sealed at each pose."""
    seal = Seal(config)
    return np.array([seal.step(float(p)) >= 0.5 for p in probabilities], bool)


def _total(heard: Iterable[tuple[Heard, np.ndarray]], config: SpeechModelConfig) -> ClosureScore:
    score = ClosureScore()
    for utterance, probabilities in heard:
        score.add(score_closures(utterance.segments, seals(probabilities, config)))
    return score


def tune_seal(
    sources: Mapping[str, Iterable[Heard]],
    weights: Path,
    progress: Progress,
    minutes_per_source: float = 2.0,
) -> dict[str, float]:
    """Find the rule that serves validation speakers best, and write it into the weights file.

    One closure in a hundred missed weighs as much as four false seals a minute; each speaker counts the same.

    Args:
        sources: the utterances of each validation speaker or source.
        weights: the file to read and rewrite.
        progress: called with a message and the share done.
        minutes_per_source: how much of each validation source to use.

    Returns:
        The rule and what it reaches; nothing when there is nothing to listen to.
    """
    config, tensors = load_weights(weights)
    network = SpeechNetwork(config, tensors)
    heard: list[list[tuple[Heard, np.ndarray]]] = []
    for number, (name, utterances) in enumerate(sources.items()):
        progress(f"listening to {name}", number / len(sources))
        chosen: list[tuple[Heard, np.ndarray]] = []
        seconds = 0.0
        for utterance in utterances:
            chosen.append((utterance, closure_probabilities(network, utterance.samples)))
            seconds += utterance.duration_s
            if seconds > 60 * minutes_per_source:
                break
        if chosen:
            heard.append(chosen)
    if not heard:
        return {}
    best = _search(heard, config, progress)
    rule = {name: getattr(best, name) for name in ("closure_on", "closure_likely", "closure_off", "closure_hold")}
    scores = [_total(source, best) for source in heard]
    reached = {
        "validation_closure_rate": round(float(np.mean([s.rate for s in scores if s.closures])), 4),
        "validation_false_per_min": round(float(np.mean([s.false_per_min for s in scores])), 2),
    }
    save_weights(weights, best, tensors, {**read_about(weights), "seal": {**rule, **reached}})
    return {**rule, **reached}


def _search(
    heard: Sequence[Sequence[tuple[Heard, np.ndarray]]],
    config: SpeechModelConfig,
    progress: Progress,
) -> SpeechModelConfig:
    """The candidate with the least cost."""
    candidates = list(product(_ON, _LIKELY, _OFF))
    ranked = []
    for number, (on, likely, off) in enumerate(candidates):
        progress("trying seals", number / len(candidates))
        candidate = replace(config, closure_on=on, closure_likely=likely, closure_off=off)
        scores = [_total(source, candidate) for source in heard]
        rate = float(np.mean([s.rate for s in scores if s.closures]))
        false = float(np.mean([s.false_per_min for s in scores]))
        ranked.append((100 * (1 - rate) + _FALSE_COST * false, number, candidate))
    return min(ranked, key=lambda item: item[:2])[2]
