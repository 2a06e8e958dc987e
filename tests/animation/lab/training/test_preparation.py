"""What the second aligner of the speech corpus learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animation.lab.data.corpus import CorpusConfig, Utterance, save_utterances, split_of
from animation.lab.training import preparation
from animation.lab.training.aligner import Aligner, AlignerConfig, train_aligner
from animation.speech.phonemes import Segment

SEGMENTS = (Segment("SIL", 0.0, 1.0), Segment("AA", 1.0, 3.0), Segment("M", 3.0, 4.0))


def _utterances(source: str, count: int) -> list[Utterance]:
    rng = np.random.default_rng(0)
    return [
        Utterance(source, f"{source}-{k}", source, "en", 0.1 * rng.normal(size=64000).astype(np.float32), SEGMENTS)
        for k in range(count)
    ]


def test_the_second_aligner_learns_from_training_voices_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, count in (
        ("stamps_es", 3),
        ("stamps_ro", 3),
        ("prompts_en", 30),
        ("drascula_en", 4),
        ("flite_slt", 120),
    ):
        save_utterances(tmp_path, source, _utterances(source, count))
    seen: list[tuple[str, str, float]] = []

    def taught(examples: list[tuple[Utterance, float]], settings: AlignerConfig, progress: Any) -> Aligner:
        seen.extend((utterance.source, utterance.name, weight) for utterance, weight in examples)
        assert settings.steps == 5
        return train_aligner(examples[:2], AlignerConfig(hidden=settings.hidden, steps=1, batch=2), progress)

    monkeypatch.setattr(preparation, "train_aligner", taught)
    config = CorpusConfig(aligner_steps=3)
    aligner = preparation._second_aligner(tmp_path, config, lambda message, share: None)
    assert {source for source, _, _ in seen} == {"prompts_en", "drascula_en", "flite_slt"}
    assert all(split_of(name) == "train" for source, name, _ in seen if source == "prompts_en")
    assert sum(source == "drascula_en" for source, _, _ in seen) == 4
    assert (
        sum(source == "flite_slt" for source, _, _ in seen) == 6 * 60 / 4
    )  # six minutes of a synthetic voice are enough
    assert len({weight for _, _, weight in seen}) == 3
    seen.clear()
    again = preparation._second_aligner(tmp_path, config, lambda message, share: None)
    assert not seen  # kept
    sound = _utterances("x", 1)[0].samples
    np.testing.assert_allclose(again.log_likelihood(sound), aligner.log_likelihood(sound), atol=1e-5)
