"""Training: it learns, and it goes on after an interruption as if nothing had happened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from animation.lab.data.corpus import Utterance, load_utterances, save_utterances, split_of
from animation.lab.data.self_made import CorpusRecipe, performances, render_performance
from animation.lab.data.sequences import MeshSequence
from animation.lab.training import speech
from animation.lab.training.engine import EngineOptions
from animation.lab.training.network import SpeechLogits
from animation.lab.training.speech import TrainingConfig, train_speech, train_speech_on_meshes
from animation.lab.training.speech_loss import SpeechBatch, SpeechLoss, speech_loss
from animation.lab.training.targets import UNKNOWN, MouthRecording, Targets
from animation.lab.training.teacher import Teacher, is_teacher
from animation.speech.audio import N_MELS, SAMPLE_RATE
from animation.speech.channels import CHANNELS
from animation.speech.model import SealRule, SpeechModelConfig, load_weights
from animation.speech.mouth_fit import MouthFit
from animation.speech.phonemes import Segment
from animation.speech.stream import SpeechStream
from avatar.errors import UserError
from avatar.heads import open_head

CONFIG = TrainingConfig(
    model=SpeechModelConfig(hidden=16, filters=4, layers=1),
    steps=4,
    batch=4,
    crop_hops=20,
    variants=1,
)
OPTIONS = EngineOptions(accelerator="cpu", validate_every=2, checkpoint_every=2)


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


def test_a_stopped_training_ends_where_an_unbroken_one_does(corpus: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(message: str, share: float) -> None:
        if "step 3 of 4" in message:
            raise StoppedError

    unbroken = train_speech(corpus, tmp_path / "a", CONFIG, OPTIONS)
    with pytest.raises(StoppedError):
        train_speech(corpus, tmp_path / "b", CONFIG, OPTIONS, stop)
    resumed = train_speech(corpus, tmp_path / "b", CONFIG, OPTIONS)
    for (name, a), b in zip(load_weights(unbroken)[1].items(), load_weights(resumed)[1].values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert (tmp_path / "a" / "curves.csv").read_text() == (tmp_path / "b" / "curves.csv").read_text()


def test_the_seal_is_tuned_on_speakers_never_heard(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned_on: list[list[str]] = []
    monkeypatch.setattr(speech, "tune_seal", lambda sources, weights, progress: tuned_on.append(sorted(sources)))
    held = next(name for name in (f"file-{i}" for i in range(99)) if split_of(name) == "validation")
    utterance = next(iter(load_utterances(corpus, "prompts_en")))
    save_utterances(corpus, "prompts_en", [utterance, replace(utterance, name=held)])
    train_speech(corpus, tmp_path / "a", replace(CONFIG, steps=1), OPTIONS)
    save_utterances(corpus, "stamps_ro", [replace(utterance, source="stamps_ro", language="ro")])
    train_speech(corpus, tmp_path / "b", replace(CONFIG, steps=1), OPTIONS)
    assert tuned_on == [["prompts_en"], ["stamps_ro"]]


def test_speech_shorter_than_a_crop_is_left_out(corpus: Path, tmp_path: Path) -> None:
    word = (Segment("SIL", 0, 0.05), Segment("M", 0.05, 0.15), Segment("AA", 0.15, 0.2))
    short = Utterance("letters_hu", "a", "x", "hu", np.full(SAMPLE_RATE // 5, 0.01, np.float32), word)
    save_utterances(corpus, "letters_hu", [short])
    train_speech(corpus, tmp_path / "a", replace(CONFIG, steps=1), OPTIONS)
    with pytest.raises(UserError, match=r"no source in .* lasts 60\.06 s"):
        train_speech(corpus, tmp_path / "b", replace(CONFIG, crop_hops=3000), OPTIONS)


def test_training_can_compute_in_bfloat16(corpus: Path, tmp_path: Path) -> None:
    halves = replace(OPTIONS, precision="bf16-mixed")
    files = {name: train_speech(corpus, tmp_path / name, CONFIG, o) for name, o in (("a", OPTIONS), ("b", halves))}
    exact, near = (load_weights(files[name])[1] for name in "ab")
    assert any(not np.array_equal(exact[name], near[name]) for name in exact)
    for name in exact:
        np.testing.assert_allclose(near[name], exact[name], atol=4 * CONFIG.steps * CONFIG.learning_rate, err_msg=name)


def test_training_can_begin_with_other_weights(corpus: Path, tmp_path: Path) -> None:
    quick = replace(CONFIG.model, lookaheads_hops=(0,), seals=(SealRule(),))
    first = train_speech(corpus, tmp_path / "a", replace(CONFIG, model=quick, steps=1), OPTIONS)
    loss = SpeechLoss(CONFIG.model, 0, 0.9)
    tensors = load_weights(first)[1]
    loss.begin(tensors)
    begun = loss.average.state_dict()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(begun[name], tensor)
        np.testing.assert_array_equal(begun[name.replace("heads.0", "heads.3")], tensor)
    taught = load_weights(train_speech(corpus, tmp_path / "c", CONFIG, OPTIONS, start=first, heads_only=True))[1]
    for name, tensor in tensors.items():
        assert np.array_equal(taught[name], tensor) == (not name.startswith("heads.")), name
    phonemes = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)["module"]
    train_speech(
        corpus, tmp_path / "d", replace(CONFIG, steps=1, learning_rate=0.0), OPTIONS, start=tmp_path / "a/checkpoint.pt"
    )
    kept = torch.load(tmp_path / "d" / "checkpoint.pt", weights_only=True)["module"]
    assert torch.equal(kept["network.heads.3.phoneme.weight"], phonemes["average.heads.0.phoneme.weight"])
    (tmp_path / "torn.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cannot begin with .*no checkpoint"):
        train_speech(corpus, tmp_path / "e", CONFIG, OPTIONS, start=tmp_path / "torn.pt")
    larger = replace(CONFIG, model=replace(CONFIG.model, hidden=20))
    with pytest.raises(UserError, match=r"cannot begin with .*of shape"):
        train_speech(corpus, tmp_path / "b", larger, OPTIONS, start=first)


def test_a_teacher_is_trained_by_the_same_command(corpus: Path, tmp_path: Path) -> None:
    start = train_speech(corpus, tmp_path / "a", replace(CONFIG, steps=1), OPTIONS)
    path = train_speech(corpus, tmp_path / "b", replace(CONFIG, teacher=True), OPTIONS, start=start)
    assert path.name == "teacher.safetensors" and is_teacher(path)
    teacher = Teacher.load(path)
    assert teacher.config.lookaheads_hops == (0,) and len(teacher.hear(np.zeros(SAMPLE_RATE, np.float32))) == 50
    curves = (tmp_path / "b" / "curves.csv").read_text().splitlines()
    assert curves[0].split(",")[:3] == ["step", "loss", "loss_0"] and len(curves) == 3


def test_training_without_a_corpus_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gaussian-avatar corpus speech"):
        train_speech(tmp_path, tmp_path / "w", CONFIG, OPTIONS)


@pytest.fixture(scope="module")
def talking() -> list[MeshSequence]:
    """Two people's faces seen speaking, with their sound: bursts of noise wherever the mouth moves."""
    head, arkit = open_head()
    recipe = CorpusRecipe(speakers=2, sentences=1, identities=1, speech_fps=60, hidden_expression=0.0)
    sequences = []
    for performance in itertools.islice(performances(recipe, head.n_shape), 2):
        assert performance.utterance is not None
        count = round(performance.utterance.duration_s * SAMPLE_RATE)
        samples = np.random.default_rng(1).normal(0, 0.1, count).astype(np.float32)
        for segment in performance.utterance.segments:
            if segment.phoneme == "SIL":
                samples[int(segment.start_s * SAMPLE_RATE) : int(segment.end_s * SAMPLE_RATE)] *= 1e-3
        voiced = replace(performance, utterance=replace(performance.utterance, samples=samples))
        sequences.append(render_performance(voiced, head, arkit, noise_mm=0.05))
    return sequences


def test_targets_are_read_from_the_face(talking: list[MeshSequence]) -> None:
    """What is fitted to the meshes is what the phonemes say that made them."""
    head, arkit = open_head()
    recipe = CorpusRecipe(speakers=2, sentences=1, identities=1, speech_fps=60, hidden_expression=0.0)
    performance = next(performances(recipe, head.n_shape))
    assert performance.utterance is not None
    recording = MouthRecording.of(talking[0], head, MouthFit(head, arkit))
    n_hops = len(recording.touching)
    truth, seen = Targets.of(performance.utterance.segments, n_hops), recording.targets(1.0, n_hops)
    spoken = truth.voice > 0
    # Lips roll in as little as people's do, which a mesh shows less plainly than a jaw.
    for channel, least in {"jaw": 0.9, "rounding": 0.9, "lip_in": 0.85}.items():
        i = CHANNELS.index(channel)
        assert np.corrcoef(truth.articulation[spoken, i], seen.articulation[spoken, i])[0, 1] > least, channel
    assert np.mean((seen.closure == 1)[truth.closure == 1]) > 0.8
    assert np.mean((truth.closure == 0)[seen.closure == 1]) < 0.1
    assert np.mean(truth.voice == seen.voice) > 0.9
    assert (seen.viseme == UNKNOWN).all()
    longer = recording.targets(1.5, round(1.5 * n_hops))
    assert abs(float((longer.closure == 1).mean()) - float((seen.closure == 1).mean())) < 0.05


def test_the_streaming_model_learns_from_meshes(
    talking: list[MeshSequence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "NoiseBank", partial(speech.NoiseBank, seconds=6.0))
    head, arkit = open_head()
    config = replace(CONFIG, steps=3)
    seen, unseen = (
        replace(s, offsets=s.offsets[:60], audio=s.audio[: s.sample_rate]) for s in talking if s.audio is not None
    )
    weights = train_speech_on_meshes([seen], [unseen], head, arkit, tmp_path, config, OPTIONS)
    assert SpeechStream.open(weights).feed(np.zeros(SAMPLE_RATE, np.float32)).articulation.shape[1] == 7
    assert "validation_loss" in (tmp_path / "curves.csv").read_text()
    silent = [replace(sequence, audio=None) for sequence in talking]
    with pytest.raises(UserError, match="no speech with sound"):
        train_speech_on_meshes(silent, [], head, arkit, tmp_path / "none", config, OPTIONS)
    with pytest.raises(UserError, match=r"s of speech to train on; 40 s are needed"):
        train_speech_on_meshes([seen], [], head, arkit, tmp_path / "short", replace(config, crop_hops=2000), OPTIONS)


def batch_of(closure: np.ndarray) -> SpeechBatch:
    t = closure.shape[1]
    labels = torch.zeros(1, t, dtype=torch.long)
    return SpeechBatch(labels, labels, torch.zeros(1, t, 7), torch.from_numpy(closure), torch.zeros(1, t))


def loss_of(closure_logits: np.ndarray, target: np.ndarray) -> float:
    t = target.shape[1]
    logits = SpeechLogits(
        torch.zeros(1, t, 15),
        torch.zeros(1, t, 42),
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


def test_hops_without_a_label_do_not_count() -> None:
    target = np.zeros((1, 30), np.float32)
    logits = SpeechLogits(
        *(torch.randn(1, 30, n, generator=torch.Generator().manual_seed(0)) for n in (15, 42, 7)),
        torch.zeros(1, 30),
        torch.zeros(1, 30),
    )
    batch = batch_of(target)
    unknown = batch._replace(viseme=torch.full((1, 30), UNKNOWN), phoneme=torch.full((1, 30), UNKNOWN))
    half = batch._replace(viseme=torch.where(torch.arange(30) < 15, 0, UNKNOWN)[None])
    first = speech_loss(SpeechLogits(*(part[:, :15] for part in logits)), SpeechBatch(*(p[:, :15] for p in batch)), 0)
    without = speech_loss(logits, unknown, 0)
    assert torch.isfinite(without) and without < speech_loss(logits, batch, 0)
    visemes = speech_loss(logits, half, 0) - speech_loss(logits, half._replace(viseme=unknown.viseme), 0)
    alone = first - speech_loss(
        SpeechLogits(*(part[:, :15] for part in logits)),
        SpeechBatch(*(p[:, :15] for p in batch))._replace(viseme=torch.full((1, 15), UNKNOWN)),
        0,
    )
    torch.testing.assert_close(visemes, alone)
