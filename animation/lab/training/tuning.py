"""Choosing when the lips seal: the probabilities of the seal's rule, on validation recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float

from animation.lab.evaluation.closures import ClosureScore, score_closures
from animation.lab.training.batches import normalize_level
from animation.speech.audio import FRAMES_PER_HOP, HOP_SAMPLES, LevelTracker, log_mel
from animation.speech.model import SealRule, SpeechNetwork, load_weights, read_about, save_weights
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
    lookahead = network.lookahead_hops
    n_poses = -(-len(samples) // HOP_SAMPLES)
    padded = np.concatenate([samples, np.zeros((n_poses + lookahead) * HOP_SAMPLES - len(samples), np.float32)])
    power = np.exp(log_mel(padded))[None]
    features = normalize_level(power, np.full(1, LevelTracker.START_DB))[0]
    network.reset()
    hops = features.reshape(-1, FRAMES_PER_HOP, features.shape[-1])
    return np.array([network.step(hop).closure for hop in hops], np.float32)[lookahead:]


def seals(probabilities: Float[np.ndarray, " t"], rule: SealRule) -> Bool[np.ndarray, " t"]:
    """Whether the lips are sealed at each pose."""
    seal = Seal(rule)
    return np.array([seal.step(float(p)) >= 0.5 for p in probabilities], bool)


def _total(heard: Iterable[tuple[Heard, np.ndarray]], rule: SealRule) -> ClosureScore:
    score = ClosureScore()
    for utterance, probabilities in heard:
        score.add(score_closures(utterance.segments, seals(probabilities, rule)))
    return score


def tune_seal(
    sources: Mapping[str, Iterable[Heard]],
    weights: Path,
    progress: Progress,
    minutes_per_source: float = 2.0,
) -> dict[str, float]:
    """Find the rule of each look-ahead that serves validation speakers best, and write them into the weights file.

    One closure in a hundred missed weighs as much as four false seals a minute; each speaker counts the same.

    Args:
        sources: the utterances of each validation speaker or source.
        weights: the file to read and rewrite.
        progress: called with a message and the share done.
        minutes_per_source: how much of each validation source to use.

    Returns:
        What the rules reach, by look-ahead in hops; nothing when there is nothing to listen to.
    """
    config, tensors = load_weights(weights)
    rules, reached = [], {}
    for hops in config.lookaheads_hops:
        network = SpeechNetwork(config, tensors, hops)
        heard = _listen(sources, network, progress, minutes_per_source)
        if not heard:
            return {}
        rule = _search(heard, progress)
        scores = [_total(source, rule) for source in heard]
        rules.append(rule)
        reached[f"validation_closure_rate_{hops}"] = round(float(np.mean([s.rate for s in scores if s.closures])), 4)
        reached[f"validation_false_per_min_{hops}"] = round(float(np.mean([s.false_per_min for s in scores])), 2)
    tuned = replace(config, seals=tuple(rules))
    save_weights(weights, tuned, tensors, {**read_about(weights), "seals": reached})
    return reached


def _listen(
    sources: Mapping[str, Iterable[Heard]], network: SpeechNetwork, progress: Progress, minutes_per_source: float
) -> list[list[tuple[Heard, np.ndarray]]]:
    """Utterances of each source with the probabilities of closure."""
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
    return heard


def _search(heard: Sequence[Sequence[tuple[Heard, np.ndarray]]], progress: Progress) -> SealRule:
    """The candidate with the least cost."""
    candidates = [SealRule(on, likely, off) for on, likely, off in product(_ON, _LIKELY, _OFF)]
    ranked = []
    for number, candidate in enumerate(candidates):
        progress("trying seals", number / len(candidates))
        scores = [_total(source, candidate) for source in heard]
        rate = float(np.mean([s.rate for s in scores if s.closures]))
        false = float(np.mean([s.false_per_min for s in scores]))
        ranked.append((100 * (1 - rate) + _FALSE_COST * false, number, candidate))
    return min(ranked, key=lambda item: item[:2])[2]
