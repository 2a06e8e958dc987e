from __future__ import annotations

import numpy as np
import pytest
import torch

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
    offsets = _model().predict(_noise(21), "b")
    assert offsets.shape == (630, 20, 3) and np.isfinite(offsets).all()


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
