"""Training: it learns, and it goes on after an interruption as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animation.audio import N_MELS, SAMPLE_RATE
from animation.data.corpus import Utterance, save_utterances, split_of
from animation.data.phonemes import Segment
from animation.speech.model import SpeechModelConfig, load_weights
from animation.training import speech
from animation.training.batches import Batch
from animation.training.network import SpeechLogits
from animation.training.speech import TrainingConfig, speech_loss, train_speech
from avatar.errors import UserError

CONFIG = TrainingConfig(
    model=SpeechModelConfig(hidden=16, filters=4, layers=1),
    steps=4,
    batch=4,
    crop_hops=20,
    variants=1,
    checkpoint_every=2,
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = [name for name in (f"file-{i}" for i in range(20)) if split_of(name) == "train"][:4]
    word = (
        Segment("SIL", 0, 0.3),
        Segment("M", 0.3, 0.45),
        Segment("AA", 0.45, 0.8),
        Segment("SIL", 0.8, 1.0),
    )
    made = [
        Utterance("prompts_en", name, "x", "en", rng.normal(0, 0.05, SAMPLE_RATE).astype(np.float32), word)
        for name in names
    ]
    save_utterances(tmp_path, "prompts_en", made)
    (tmp_path / "features").mkdir()
    sound = rng.gamma(4, 0.25, (300, N_MELS)).astype(np.float32)
    np.savez(tmp_path / "features" / "noise-0.npz", babble=sound, hiss=sound)
    return tmp_path


def test_an_interrupted_training_ends_where_an_unbroken_one_does(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = tmp_path / "unbroken.safetensors"
    train_speech(corpus, unbroken, CONFIG, lambda message, share: None)
    (corpus / "speech-checkpoint.pt").unlink()

    calls = 0
    real = speech.draw_batch

    def interrupted(*args: object, **kwargs: object) -> Batch:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)  # type: ignore[arg-type]

    resumed = tmp_path / "resumed.safetensors"
    monkeypatch.setattr(speech, "draw_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_speech(corpus, resumed, CONFIG, lambda message, share: None)
    monkeypatch.setattr(speech, "draw_batch", real)
    train_speech(corpus, resumed, CONFIG, lambda message, share: None)
    for (name, a), b in zip(load_weights(unbroken)[1].items(), load_weights(resumed)[1].values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_training_without_a_corpus_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gaussian-avatar corpus speech"):
        train_speech(tmp_path, tmp_path / "w.safetensors", CONFIG, lambda message, share: None)


def batch_of(closure: np.ndarray) -> Batch:
    t = closure.shape[1]
    zeros = np.zeros((1, t))
    labels = zeros.astype(np.int64)
    art = np.zeros((1, t, 7), np.float32)
    return Batch(np.zeros((1, 2 * t, N_MELS), np.float32), labels, labels, art, closure, zeros.astype(np.float32))


def loss_of(closure_logits: np.ndarray, target: np.ndarray) -> float:
    t = target.shape[1]
    logits = SpeechLogits(
        torch.zeros(1, t, 15),
        torch.zeros(1, t, 41),
        torch.full((1, t, 7), -20.0),
        torch.from_numpy(closure_logits),
        torch.full((1, t), -20.0),
    )
    return float(speech_loss(logits, batch_of(target), 0))


def test_the_loss_wants_each_closure_seen_and_nothing_else() -> None:
    target = np.zeros((1, 30), np.float32)
    target[0, 10:14] = 1
    target[0, 8:10] = target[0, 14:16] = -1
    right = np.where(target == 1, 6.0, -6.0).astype(np.float32)
    missed = np.full_like(right, -6.0)
    false = right.copy()
    false[0, 22:25] = 6.0
    forgiven = right.copy()
    forgiven[0, 8:10] = 6.0
    assert loss_of(right, target) < loss_of(false, target)
    assert loss_of(right, target) < loss_of(missed, target)
    assert loss_of(forgiven, target) == pytest.approx(loss_of(right, target), abs=1e-3)
