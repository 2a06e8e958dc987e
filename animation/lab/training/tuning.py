"""Choosing when the lips seal: the probabilities of the seal's rule, on validation recordings.

For each look-ahead the rule that meets most closures at no more false seals a minute than a budget; of equals the one
whose lips part soonest. Each speaker counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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

__all__ = ["SUREST_HOPS", "Heard", "Progress", "best_rule", "closure_probabilities", "seals", "tune_seal"]

Progress = Callable[[str, float], None]

_ON = (0.4, 0.5, 0.65, 0.8, 0.9, 0.95)
_LIKELY = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
_OFF = (0.05, 0.15)
_CANDIDATES = [SealRule(on, likely, off) for on, likely, off in product(_ON, _LIKELY, _OFF) if off <= likely <= on]
_FALSE_BUDGET = {3: 27.5, 1: 44.5, 0: 62.0}
"""False seals a minute of speech that may be made at a look-ahead, in hops; at others as at the nearest."""
SUREST_HOPS = max(_FALSE_BUDGET)


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
    minutes_per_source: float = 6.0,
) -> dict[str, float]:
    """Find the rule of each look-ahead that serves validation speakers best, and write them into the weights file.

    Args:
        sources: the utterances of each validation speaker or source.
        weights: the file to read and rewrite.
        progress: called with a message and the share done.
        minutes_per_source: how much of each validation source to use.

    Returns:
        What the rules reach, by look-ahead in hops; nothing when there is nothing to listen to.
    """
    config, tensors = load_weights(weights)
    rules: list[SealRule] = []
    reached: dict[str, float] = {}
    for hops in config.lookaheads_hops:
        listen = partial(closure_probabilities, SpeechNetwork(config, tensors, hops))
        rule, scores = best_rule(sources, listen, hops, progress, minutes_per_source)
        if rule is None:
            return {}
        rules.append(rule)
        reached |= {f"{name}_{hops}": score for name, score in scores.items()}
    tuned = replace(config, seals=tuple(rules))
    save_weights(weights, tuned, tensors, {**read_about(weights), "seals": reached})
    return reached


def best_rule(
    sources: Mapping[str, Iterable[Heard]],
    listen: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " t"]],
    hops: int,
    progress: Progress,
    minutes_per_source: float = 6.0,
) -> tuple[SealRule | None, dict[str, float]]:
    """The rule that serves validation speakers best, and what it reaches; None when there is nothing to listen to.

    Args:
        sources: the utterances of each validation speaker or source.
        listen: the probability of closure for each pose of a sound.
        hops: the look-ahead whose budget of false seals holds.
        progress: called with a message and the share done.
        minutes_per_source: how much of each validation source to use.
    """
    heard = _listen(sources, listen, progress, minutes_per_source)
    if not heard:
        return None, {}
    rule = _search(heard, _budget(hops), progress)
    scores = [_total(source, rule) for source in heard]
    rates = [score.rate for score in scores if score.closures]
    return rule, {
        "validation_closure_rate": round(float(np.mean(rates or [0.0])), 4),
        "validation_false_per_min": round(float(np.mean([score.false_per_min for score in scores])), 2),
    }


def _listen(
    sources: Mapping[str, Iterable[Heard]],
    listen: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " t"]],
    progress: Progress,
    minutes_per_source: float,
) -> list[list[tuple[Heard, np.ndarray]]]:
    """Utterances of each source with the probabilities of closure."""
    heard: list[list[tuple[Heard, np.ndarray]]] = []
    for number, (name, utterances) in enumerate(sources.items()):
        progress(f"listening to {name}", number / len(sources))
        chosen: list[tuple[Heard, np.ndarray]] = []
        seconds = 0.0
        for utterance in utterances:
            chosen.append((utterance, listen(utterance.samples)))
            seconds += utterance.duration_s
            if seconds > 60 * minutes_per_source:
                break
        if chosen:
            heard.append(chosen)
    return heard


def _budget(hops: int) -> float:
    """False seals a minute that a look-ahead may make."""
    return _FALSE_BUDGET[min(_FALSE_BUDGET, key=lambda known: abs(known - hops))]


def _search(heard: Sequence[Sequence[tuple[Heard, np.ndarray]]], budget: float, progress: Progress) -> SealRule:
    """Of the candidates within the budget the one that meets most closures, of equals the one whose lips part soonest;
    if there is none, that with fewest false seals."""
    ranked = []
    for number, candidate in enumerate(_CANDIDATES):
        progress("trying seals", number / len(_CANDIDATES))
        scores = [_total(source, candidate) for source in heard]
        rate = float(np.mean([s.rate for s in scores if s.closures] or [0.0]))
        false = float(np.mean([s.false_per_min for s in scores]))
        within = false <= budget
        ranked.append((within, rate if within else -false, candidate.off, -false, -number))
    return _CANDIDATES[-max(ranked)[-1]]
