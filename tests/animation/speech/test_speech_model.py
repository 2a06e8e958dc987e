"""The network in numpy against its twin in torch, and the weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animation.lab.training.network import TrainableSpeechNetwork
from animation.speech.audio import frequency_warp
from animation.speech.model import (
    DEFAULT_WEIGHTS,
    SealRule,
    SpeechModelConfig,
    SpeechNetwork,
    expected_shapes,
    load_weights,
    save_weights,
)
from avatar.errors import UserError

SMALL = SpeechModelConfig(hidden=24, filters=5, layers=2, tracts=(0.9, 1.0, 1.2))


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    return {name: t.numpy() for name, t in TrainableSpeechNetwork(SMALL).state_dict().items()}


def test_numpy_and_torch_agree(tensors: dict[str, np.ndarray]) -> None:
    twin = TrainableSpeechNetwork(SMALL).eval()
    twin.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
    features = np.random.default_rng(0).normal(-6, 4, (60, 40)).astype(np.float32)
    heard = np.log(np.stack([np.exp(features) @ frequency_warp(factor) for factor in SMALL.tracts]))
    with torch.no_grad():
        by_lookahead = twin(torch.from_numpy(heard))
    for hops, logits in zip(SMALL.lookaheads_hops, by_lookahead, strict=True):
        network = SpeechNetwork(SMALL, tensors, hops)
        outputs = [network.step(features[2 * i : 2 * i + 2]) for i in range(30)]
        for name, expected in (
            ("visemes", logits.viseme.softmax(-1).mean(0)),
            ("articulation", torch.sigmoid(logits.articulation).mean(0)),
            ("closure", torch.sigmoid(logits.closure).mean(0)),
            ("voice", torch.sigmoid(logits.voice)[1]),
        ):
            np.testing.assert_allclose(np.stack([getattr(o, name) for o in outputs]), expected, atol=1e-5)


def test_only_look_aheads_with_heads_can_be_had(tensors: dict[str, np.ndarray]) -> None:
    assert SpeechNetwork(SMALL, tensors).lookahead_hops == SMALL.lookaheads_hops[0]
    with pytest.raises(ValueError, match="look-ahead"):
        SpeechNetwork(SMALL, tensors, 7)
    with pytest.raises(ValueError, match="a seal for each"):
        replace(SMALL, lookaheads_hops=(3,))
    with pytest.raises(ValueError, match="vocal tract"):
        replace(SMALL, tracts=())


def test_a_stretched_spectrum_is_that_of_another_tract() -> None:
    bands = np.arange(40, dtype=np.float32)
    peak = np.exp(-(((bands - 20) / 2) ** 2))
    for factor, band in ((0.8, 25), (1.0, 20), (1.25, 16)):
        assert np.argmax(peak @ frequency_warp(factor)) == band
    np.testing.assert_array_equal(frequency_warp(1.0), np.eye(40))


def test_reset_forgets_everything(tensors: dict[str, np.ndarray]) -> None:
    network = SpeechNetwork(SMALL, tensors)
    features = np.random.default_rng(1).normal(-6, 4, (2, 40)).astype(np.float32)
    first = network.step(features)
    network.step(features + 1)
    network.reset()
    np.testing.assert_array_equal(network.step(features).articulation, first.articulation)


def test_weights_come_back_as_they_were_saved(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "speech.safetensors"
    config = replace(SMALL, seals=(SealRule(0.37), SealRule(hold=3), SealRule()))
    save_weights(path, config, tensors, {"scores": {"closure_rate": 0.9}})
    again, loaded = load_weights(path)
    assert again == config
    assert set(loaded) == set(expected_shapes(config))
    for name, tensor in loaded.items():
        np.testing.assert_allclose(tensor, tensors[name], atol=1e-3)


def test_bad_files_and_shapes_are_named(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load_weights(tmp_path / "nowhere.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    with pytest.raises(UserError, match="broken"):
        load_weights(broken)
    with pytest.raises(ValueError, match=r"into\.bias"):
        SpeechNetwork(SMALL, {name: t for name, t in tensors.items() if name != "into.bias"})


def test_the_shipped_weights_are_whole_and_small() -> None:
    config, tensors = load_weights()
    SpeechNetwork(config, tensors)
    assert DEFAULT_WEIGHTS.stat().st_size < 6e6
