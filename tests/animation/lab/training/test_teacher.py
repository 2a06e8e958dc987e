"""The teacher: it begins as the streaming network, hears both ways, and is scored as the stream is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animation.lab.evaluation.speech import evaluate_speech
from animation.lab.training.network import TrainableSpeechNetwork
from animation.lab.training.speech_loss import SpeechLoss
from animation.lab.training.teacher import Teacher, TeacherListener, is_teacher, teacher_config
from animation.speech.audio import HOP_SAMPLES, N_MELS, SAMPLE_RATE
from animation.speech.model import DEFAULT_WEIGHTS, SealRule, SpeechModelConfig, SpeechOutput
from avatar.errors import UserError
from avatar.formats.tensors import write_tensors

STREAMING = SpeechModelConfig(hidden=16, filters=4, layers=2)
SMALL = teacher_config(STREAMING)
RULE = SealRule(0.65, 0.25, 0.15)


def noisy(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, count).astype(np.float32)


@pytest.fixture
def network() -> TrainableSpeechNetwork:
    torch.manual_seed(0)
    return TrainableSpeechNetwork(SMALL, both_ways=True).eval()


def test_a_teacher_begins_as_the_streaming_network() -> None:
    torch.manual_seed(0)
    streaming = TrainableSpeechNetwork(STREAMING).eval()
    loss = SpeechLoss(SMALL, 0, 0.9, both_ways=True).eval()
    loss.begin({name: tensor.numpy() for name, tensor in streaming.state_dict().items()})
    features = torch.randn(2, 40, N_MELS)
    with torch.no_grad():
        (taught,), expected = loss.average(features), streaming(features)[STREAMING.lookaheads_hops.index(0)]
        backwards = loss.average.recurrent(torch.randn(1, 20, 16))[0][..., 16:]
    for found, wanted in zip(taught, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert backwards.abs().min() > 0
    again = SpeechLoss(SMALL, 0, 0.9, both_ways=True)
    loss.average.recurrent.weight_hh_l0_reverse.data += 1.0
    again.begin({name: tensor.numpy() for name, tensor in loss.average.state_dict().items()})
    for name, tensor in again.average.state_dict().items():
        torch.testing.assert_close(tensor, loss.average.state_dict()[name], msg=name)


def test_a_larger_network_is_no_beginning() -> None:
    wide = TrainableSpeechNetwork(replace(STREAMING, hidden=24)).state_dict()
    with pytest.raises(ValueError, match="of shape"):
        SpeechLoss(SMALL, 0, 0.9, both_ways=True).begin({name: tensor.numpy() for name, tensor in wide.items()})


def test_it_hears_what_follows(network: TrainableSpeechNetwork) -> None:
    teacher, samples = Teacher(network), noisy(20 * HOP_SAMPLES)
    before = teacher.hear(samples)
    samples[15 * HOP_SAMPLES :] *= 0.01
    after = teacher.hear(samples)
    assert len(before) == len(after) == 20
    assert np.abs(before[10].visemes - after[10].visemes).max() > 1e-5


@pytest.mark.parametrize("count", [0, 1, HOP_SAMPLES, HOP_SAMPLES + 1])
def test_one_pose_for_every_hop_begun(network: TrainableSpeechNetwork, count: int) -> None:
    teacher = Teacher(network)
    poses = -(-count // HOP_SAMPLES)
    assert len(teacher.hear(noisy(count))) == len(teacher.closures(noisy(count))) == poses
    assert len(TeacherListener(teacher).frames(noisy(count))) == poses


def test_the_stream_says_what_it_heard(network: TrainableSpeechNetwork) -> None:
    """Each pose in its place, with the rules of the stream behind it."""
    teacher, samples = Teacher(network), noisy(SAMPLE_RATE)
    outputs, frames = teacher.hear(samples), TeacherListener(teacher).frames(samples)
    assert all(isinstance(output, SpeechOutput) for output in outputs)
    visemes = np.stack([output.visemes for output in outputs])
    np.testing.assert_allclose(visemes.sum(1), 1, atol=1e-5)
    distance = np.abs(frames.visemes[:, None] - visemes[None]).max(-1)
    assert np.array_equal(distance.argmin(1), np.arange(50))


def test_it_is_kept_in_a_file(network: TrainableSpeechNetwork, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    Teacher(network).save(path, RULE, {"note": "x"})
    again = Teacher.load(path)
    assert is_teacher(path) and not is_teacher(DEFAULT_WEIGHTS)
    assert again.config == replace(SMALL, seals=(RULE,))
    for kept, said in zip(again.hear(noisy(SAMPLE_RATE)), Teacher(network).hear(noisy(SAMPLE_RATE)), strict=True):
        np.testing.assert_allclose(np.concatenate(kept[:2]), np.concatenate(said[:2]), atol=0.01)
        assert kept[2:] == pytest.approx(said[2:], abs=0.01)
    with pytest.raises(UserError, match="no such file"):
        Teacher.load(tmp_path / "none")
    write_tensors(path, {"x": np.zeros(1)}, {"config": {}}, "gaussian-avatar-speech-teacher")
    with pytest.raises(UserError, match="do not fit a teacher"):
        Teacher.load(path)


def test_it_has_no_look_ahead_to_choose(network: TrainableSpeechNetwork, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    Teacher(network).save(path, RULE, {})
    with pytest.raises(UserError, match="hears the whole sound first"):
        evaluate_speech(tmp_path, lambda message, share: None, weights=path, lookahead_ms=30.0)
    with pytest.raises(UserError, match="no held-out recordings"):
        evaluate_speech(tmp_path, lambda message, share: None, weights=path)
