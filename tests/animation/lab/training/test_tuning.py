"""The rules that seal the lips: most closures within a budget of false seals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from animation.lab.training import tuning
from animation.lab.training.network import TrainableSpeechNetwork
from animation.lab.training.tuning import seals, tune_seal
from animation.speech.audio import HOP_S, HOP_SAMPLES
from animation.speech.model import SealRule, SpeechModelConfig, load_weights, read_about, save_weights
from animation.speech.phonemes import Segment


@dataclass(frozen=True, eq=False)
class Spoken:
    """A vowel with an m in the middle of every second of it."""

    seconds: int

    @property
    def segments(self) -> tuple[Segment, ...]:
        parts = []
        for t in range(self.seconds):
            parts += [Segment("AA", t, t + 0.4), Segment("M", t + 0.4, t + 0.5), Segment("AA", t + 0.5, t + 1)]
        return tuple(parts)

    @property
    def samples(self) -> np.ndarray:
        return np.random.default_rng(0).normal(0, 0.05, round(self.duration_s / HOP_S) * HOP_SAMPLES).astype(np.float32)

    @property
    def duration_s(self) -> float:
        return float(self.seconds)


def heard(closures: list[float], elsewhere: list[float]) -> list[tuple[Spoken, np.ndarray]]:
    """One second for each pair: how sure the network is of the m, and of a seal where there is none."""
    probabilities = np.zeros((len(closures), 50), np.float32)
    probabilities[:, 20:24] = np.array(closures)[:, None]
    probabilities[:, 40:43] = np.array(elsewhere)[:, None]
    return [(Spoken(len(closures)), probabilities.ravel())]


def reached(source: list[tuple[Spoken, np.ndarray]], budget: float) -> tuple[float, float]:
    rule = tuning._search([source], budget, lambda message, share: None)
    score = tuning._total(source, rule)
    return score.rate, score.false_per_min


def test_the_rule_meets_most_closures_within_the_budget() -> None:
    source = heard([0.9, 0.9, 0.5, 0.28, 0.28, 0.12], [0.0, 0.13, 0.13, 0.0, 0.27, 0.99])
    assert reached(source, 10.0) == pytest.approx((3 / 6, 10.0))
    assert reached(source, 20.0) == pytest.approx((5 / 6, 20.0))
    assert reached(source, 40.0) == pytest.approx((1.0, 40.0))
    rate, false = reached(source, 5.0)
    assert false == pytest.approx(10.0) and rate < 1.0  # nothing is within it: the fewest


def test_of_equal_rules_the_lips_part_soonest_then_falsely_least() -> None:
    source = heard([0.9, 0.9], [0.2, 0.0])
    assert reached(source, 100.0) == (1.0, 0.0)
    assert tuning._search([source], 100.0, lambda message, share: None).off == max(tuning._OFF)


def test_each_look_ahead_has_its_own_budget() -> None:
    budgets = [tuning._budget(hops) for hops in (5, 3, 1, 0)]
    assert budgets[0] == budgets[1] < budgets[2] < budgets[3]


def test_the_rules_are_written_into_the_weights(tmp_path: Path) -> None:
    config = SpeechModelConfig(hidden=16, filters=4, layers=1)
    tensors = {name: tensor.numpy() for name, tensor in TrainableSpeechNetwork(config).state_dict().items()}
    path = tmp_path / "w.safetensors"
    save_weights(path, config, tensors, {"note": "kept"})
    assert tune_seal({"nobody": []}, path, lambda message, share: None) == {}
    assert load_weights(path)[0] == config
    found = tune_seal({"somebody": [Spoken(2)]}, path, lambda message, share: None)
    assert set(found) == {
        f"validation_{what}_{hops}" for what in ("closure_rate", "false_per_min") for hops in (3, 1, 0)
    }
    tuned = load_weights(path)[0]
    assert replace(tuned, seals=config.seals) == config and set(tuned.seals) <= set(tuning._CANDIDATES)
    assert read_about(path) == {"note": "kept", "seals": found}


def test_the_rules_that_ship_are_among_those_tried() -> None:
    assert set(load_weights(None)[0].seals) <= set(tuning._CANDIDATES)
    assert seals(np.array([0.0, 0.9, 0.2, 0.0, 0.0]), SealRule(0.8, 0.25, 0.15)).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]
