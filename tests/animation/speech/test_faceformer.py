from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animation.lab.data.sequences import MeshSequence
from animation.lab.training.engine import EngineOptions
from animation.lab.training.faceformer import train_faceformer
from animation.speech.faceformer import FaceFormer, FaceFormerConfig, _Memory, load_faceformer, save_faceformer
from avatar.errors import UserError


def _model() -> FaceFormer:
    torch.manual_seed(0)
    model = FaceFormer(FaceFormerConfig(20, ("a", "b"), audio_width=16)).eval()
    torch.nn.init.normal_(model.vertex_map_back.weight, 0, 0.1)
    return model


def _noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds)).astype(np.float32)


def test_longer_than_the_authors_masks():
    offsets = _model().predict(_noise(70 / 3), "b")
    assert offsets.shape == (700, 20, 3) and np.isfinite(offsets).all()
    assert np.abs(offsets[600:]).max() > 0


def test_kept_keys_give_what_the_whole_prefix_gives():
    """One pose at a time equals torch's own decoder layer over the whole prefix with the authors' masks."""
    model = _model()
    layer, d, n = model.layer, 64, 45
    twin = torch.nn.TransformerDecoderLayer(d, 4, 128, dropout=0.0, batch_first=True).eval()
    with torch.no_grad():
        twin.self_attn.in_proj_weight.copy_(layer.query_key_value.weight)
        twin.self_attn.in_proj_bias.copy_(layer.query_key_value.bias)
        twin.self_attn.out_proj.load_state_dict(layer.self_out.state_dict())
        twin.multihead_attn.in_proj_weight[2 * d :].copy_(layer.cross_value.weight)
        twin.multihead_attn.in_proj_bias[2 * d :].copy_(layer.cross_value.bias)
        twin.multihead_attn.out_proj.load_state_dict(layer.cross_out.state_dict())
        twin.linear1.load_state_dict(layer.up.state_dict())
        twin.linear2.load_state_dict(layer.down.state_dict())
        for i, norm in enumerate((twin.norm1, twin.norm2, twin.norm3)):
            norm.load_state_dict(layer.norms[i].state_dict())
        x, sound = torch.randn(n, d), torch.randn(n, d)
        mask = torch.full((4, n, n), float("-inf"))
        for i in range(n):
            mask[:, i, : i + 1] = layer.fading(i + 1, x)
        diagonal = torch.full((n, n), float("-inf")).fill_diagonal_(0.0)
        whole = twin(x[None], sound[None], tgt_mask=mask, memory_mask=diagonal)[0]
        memory = _Memory()
        stepwise = torch.stack([layer(x[i], sound[i], memory) for i in range(n)])
    torch.testing.assert_close(stepwise, whole, atol=1e-4, rtol=1e-4)


def test_untrained_output_is_the_neutral_face_and_gradients_flow():
    model = FaceFormer(FaceFormerConfig(20, ("a",), audio_width=16))
    offsets = model(torch.from_numpy(_noise(0.4)), 0, 12)
    assert (offsets == 0).all()
    (offsets - 0.01).square().sum().backward()
    assert model.vertex_map_back.weight.grad.abs().sum() > 0


def test_saved_weights_come_back(tmp_path):
    model = _model()
    save_faceformer(model, tmp_path / "f.safetensors", {"n": 1})
    back, metadata = load_faceformer(tmp_path / "f.safetensors")
    assert metadata == {"n": 1}
    np.testing.assert_array_equal(back.predict(_noise(0.5)), model.predict(_noise(0.5)))
    with pytest.raises(UserError, match="no style"):
        model.predict(_noise(0.5), "c")
    with pytest.raises(UserError, match="no such file"):
        load_faceformer(tmp_path / "none.safetensors")


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny wav2vec 2.0 with random weights, in a folder as `transformers` keeps it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wav2vec2")
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return str(folder)


def test_wav2vec2_listens_with_frozen_convolutions(wav2vec2: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = FaceFormer(FaceFormerConfig(20, ("a",), wav2vec2=wav2vec2))
    torch.nn.init.normal_(model.vertex_map_back.weight, 0, 0.1)
    samples = torch.from_numpy(_noise(0.6))
    model(samples, 0, 18).square().sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert not any("feature_extractor" in name for name in trained)
    assert any("audio.model.encoder" in name for name in trained)
    model.eval()
    quiet, loud = model.predict(0.1 * _noise(0.6)), model.predict(_noise(0.6))
    np.testing.assert_allclose(quiet, loud, atol=1e-6)  # the sound is brought to one level first
    assert np.abs(model.predict(_noise(0.6)[::-1].copy()) - loud).max() > 1e-7
    save_faceformer(model, tmp_path / "f.safetensors")
    back, _ = load_faceformer(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(back.predict(_noise(0.6)), loud)


def test_what_is_no_wav2vec2_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="no such folder"):
        FaceFormer(FaceFormerConfig(20, ("a",), wav2vec2=str(tmp_path / "none")))
    with pytest.raises(UserError, match="not a wav2vec"):
        FaceFormer(FaceFormerConfig(20, ("a",), wav2vec2=str(tmp_path)))


def test_training_learns_an_utterance_and_says_what_the_mean_would_reach(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    t = np.arange(12) / 30
    moved = (1e-3 * np.sin(2 * np.pi * 4 * t)[:, None, None] * np.ones((12, 20, 3))).astype(np.float32)
    seen = MeshSequence("a", "one", "speech", 30.0, np.zeros((20, 3), np.float32), moved, _noise(0.4))
    unseen = MeshSequence("b", "one", "speech", 30.0, seen.template, moved, _noise(0.4))
    options = EngineOptions(accelerator="cpu", validate_every=20, checkpoint_every=20)
    train_faceformer([seen], [unseen], tmp_path, 60, 3e-3, options=options)
    rows = np.genfromtxt(tmp_path / "curves.csv", delimiter=",", names=True)
    assert rows["validation_rms_mm"][-1] < 0.3 * rows["validation_rms_of_mean_mm"][-1]
    with pytest.raises(UserError, match="no speech with sound"):
        train_faceformer([replace(seen, audio=None)], [], tmp_path / "none", 2, options=options)
    other = MeshSequence("c", "one", "speech", 30.0, np.zeros((9, 3), np.float32), moved[:, :9], _noise(0.4))
    with pytest.raises(UserError, match="9 vertices, others have 20"):
        train_faceformer([seen, other], [], tmp_path / "other", 2, options=options)
