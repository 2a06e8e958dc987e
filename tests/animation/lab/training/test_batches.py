"""Targets and batches for training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal

from animation.lab.data.corpus import Utterance, load_utterances, save_utterances, split_of
from animation.lab.training import batches
from animation.lab.training.alterations import alter
from animation.lab.training.banks import FeatureBank, NoiseBank, training_utterances
from animation.lab.training.batches import draw_batch, hop_energy_db, normalize_level
from animation.lab.training.effort import raised, softened, whispered
from animation.lab.training.microphones import automatic_gain, codec, microphone, noise_suppression
from animation.lab.training.soundscape import NOISE_KINDS, change_speed, noise, room
from animation.lab.training.targets import IGNORED, SpokenRecording, Targets
from animation.speech.audio import HOP_S, HOP_SAMPLES, N_MELS, SAMPLE_RATE, LevelTracker, log_mel
from animation.speech.channels import REST
from animation.speech.phonemes import Segment
from avatar.errors import UserError

WORD = (
    Segment("SIL", 0.0, 0.3),
    Segment("M", 0.3, 0.4),
    Segment("AA", 0.4, 0.7),
    Segment("SIL", 0.7, 1.0),
)


def utterance(name: str = "a", source: str = "prompts_en", seconds: float = 1.0) -> Utterance:
    samples = np.random.default_rng(len(name)).normal(0, 0.05, int(seconds * SAMPLE_RATE)).astype(np.float32)
    return Utterance(source, name, "nobody", "en", samples, WORD)


@pytest.fixture
def noises(monkeypatch: pytest.MonkeyPatch) -> NoiseBank:
    bank = NoiseBank.__new__(NoiseBank)
    rng = np.random.default_rng(0)
    bank.quiet = {"hiss": rng.gamma(4, 0.25, (400, N_MELS)).astype(np.float32) * 0.01}
    bank.babble = rng.gamma(1, 1, (400, N_MELS)).astype(np.float32) * 0.01
    return bank


def test_closure_targets_forgive_forty_milliseconds() -> None:
    targets = Targets.of(WORD, 50)
    times = (np.arange(50) + 0.5) * HOP_S
    assert np.all(targets.closure[(times > 0.3) & (times < 0.4)] == 1)
    assert np.all(targets.closure[(times < 0.26) | (times > 0.44)] == 0)
    assert np.all(targets.closure[(times > 0.405) & (times < 0.44)] == IGNORED)
    assert targets.voice[14] == 1  # the voice counts from a little before it sounds
    assert targets.voice[5] == 0


def test_level_normalization_takes_gain_away() -> None:
    mel = np.exp(log_mel(utterance().samples))[None]
    steady = np.full(1, 10 * np.log10(mel.mean()))
    plain = normalize_level(mel, steady)
    louder = normalize_level(mel * 100, steady + 20)
    np.testing.assert_allclose(plain, louder, atol=1e-3)
    np.testing.assert_allclose(hop_energy_db(mel * 100), hop_energy_db(mel) + 20, atol=1e-4)


def test_normalization_is_that_of_the_live_tracker() -> None:
    mel = np.exp(log_mel(utterance().samples))[None]
    tracker = LevelTracker()
    levels = [tracker.hop(float(e)) for e in hop_energy_db(mel)[0]]
    expected = np.log(mel[0]) - np.repeat(levels, 2)[:, None] * np.log(10) / 10
    np.testing.assert_allclose(normalize_level(mel, np.full(1, LevelTracker.START_DB))[0], expected, atol=1e-3)


def test_batches_lag_by_the_lookahead_and_rest_without_speech(noises: NoiseBank) -> None:
    bank = FeatureBank.build([SpokenRecording(utterance().samples, WORD)] * 4, variants=1, seed=0)
    rng = np.random.default_rng(0)
    batch = draw_batch([bank], np.ones(1), noises, rng, size=40, hops=30, lookahead_hops=3, quiet_share=0.5)
    assert batch.features.shape == (40, 60, N_MELS)
    assert batch.features.dtype == np.float32
    assert np.isfinite(batch.features).all()
    quiet = (batch.voice == 0).all(1)
    assert 8 < quiet.sum() < 32
    np.testing.assert_allclose(batch.articulation[quiet][-1], np.tile(REST, (33, 1)), atol=1e-3)
    assert (batch.viseme[quiet] == 0).all()
    again = draw_batch([bank], np.ones(1), noises, np.random.default_rng(0), 40, 30, 3, 0.5)
    np.testing.assert_array_equal(batch.features, again.features)


def test_speakers_kept_for_tests_never_reach_training(tmp_path: Path) -> None:
    names = [f"file-{i}" for i in range(60)]
    for source in ("prompts_en", "stamps_es", "librivox_en", "espeak", "kokoro_en", "kokoro_test"):
        save_utterances(tmp_path, source, [utterance(name, source) for name in names])
    training = training_utterances(tmp_path)
    assert set(training) == {"prompts_en", "espeak", "kokoro_en"}
    assert {split_of(u.name) for u in training["prompts_en"]} == {"train"}
    validation = training_utterances(tmp_path, "validation")
    assert {u.name for u in training["prompts_en"]}.isdisjoint(u.name for u in validation["prompts_en"])
    assert "espeak" not in validation


def test_utterances_come_back_as_saved(tmp_path: Path) -> None:
    one = utterance()
    assert save_utterances(tmp_path, "x", [one, utterance("b")]) == pytest.approx(2 / 60)
    again = list(load_utterances(tmp_path, "x"))
    assert [u.name for u in again] == ["a", "b"]
    assert again[0].segments == WORD
    np.testing.assert_allclose(again[0].samples, one.samples, atol=1e-4)
    with pytest.raises(UserError, match="corpus"):
        list(load_utterances(tmp_path, "missing"))


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_is_at_its_level_and_different_each_time(kind: str) -> None:
    rng = np.random.default_rng(0)
    one, two = noise(kind, 2.0, rng), noise(kind, 2.0, rng)
    assert len(one) == 2 * SAMPLE_RATE
    assert np.sqrt(np.mean(one.astype(np.float64) ** 2)) == pytest.approx(0.1, rel=0.02)
    assert not np.array_equal(one, two)


ALTERING = (room, microphone, automatic_gain, noise_suppression, codec, whispered, raised, softened)


@pytest.mark.parametrize("change", ALTERING, ids=lambda change: change.__name__)
def test_what_alters_a_voice_leaves_its_times(change: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    loud = np.zeros(16000, bool)
    loud[3000:6000] = loud[9000:13000] = True
    voice = scipy.signal.lfilter([1], [1, -1.6, 0.9], rng.normal(0, 0.05, 16000)) * loud
    for _ in range(4):
        changed = change(voice.astype(np.float32), rng)
        changed, effort = changed if isinstance(changed, tuple) else (changed, 1.0)
        assert changed.shape == voice.shape and changed.dtype == np.float32
        assert 0.6 < effort < 1.6
        power = np.square(changed, dtype=np.float64)
        assert power[loud].mean() > 4 * power[~loud].mean()


def test_alterations_tell_how_much_longer_the_sound_is() -> None:
    voice = np.random.default_rng(0).normal(0, 0.05, 16000).astype(np.float32)
    factors = []
    for seed in range(6):
        changed, alteration = alter(voice, np.random.default_rng(seed))
        assert len(changed) == pytest.approx(alteration.factor * len(voice), abs=2)
        factors.append(alteration.factor)
    assert max(factors) > 1.02 and min(factors) < 0.98


def test_a_held_vowel_stays_open(noises: NoiseBank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FeatureBank.build([SpokenRecording(utterance().samples, WORD)] * 6, variants=1, seed=0)
    monkeypatch.setattr(batches, "_HELD", 1.0)
    batch = draw_batch([bank], np.ones(1), noises, np.random.default_rng(0), 30, 100, 3, quiet_share=0.0)
    longest = [max(len(run) for run in "".join("v" if v else " " for v in row == 10).split()) for row in batch.viseme]
    assert max(longest) > 40  # of a vowel that lasts 15 hops
    assert ((batch.viseme == 10) <= (batch.voice == 1)).all()


def test_clicks_keep_their_time() -> None:
    click = np.zeros(4000, np.float32)
    click[1000] = 1.0
    rng = np.random.default_rng(0)
    assert np.argmax(np.abs(room(click, rng))) == 1000
    assert len(change_speed(click, 1.2)) == pytest.approx(4800, abs=2)
    assert len(log_mel(click)) == 4000 // (HOP_SAMPLES // 2)
    with pytest.raises(ValueError, match="expected one of"):
        noise("silence of the lambs", 1.0, rng)
