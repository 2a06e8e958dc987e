from __future__ import annotations

import json

import pytest
import torch

from animation.blendshapes.fusion import FusionConfig, FusionModel, load_fusion, refit, save_fusion
from animation.blendshapes.geometry_image import geometry_image
from avatar.errors import UserError
from avatar.heads import open_head
from tests.animation.synthetic_head import flame_sized_head

SMALL = FusionConfig(image_size=32, channels=(4, 8), speech_blendshapes=5, expression_blendshapes=6, linear_path=8)


def _model(config: FusionConfig = SMALL, seed: int = 0) -> FusionModel:
    torch.manual_seed(seed)
    model = FusionModel(config, geometry_image(flame_sized_head()[0], config.image_size))
    with torch.no_grad():
        for encoder in (model.speech_encoder, model.expression_encoder):
            encoder.linear.normal_(0, 0.1)
            encoder.network.layers[-1].weight.normal_(0, 0.1)
        model.principal_axes.normal_(0, 0.01)
    return model.eval()


def _face(model: FusionModel, n: int = 3) -> torch.Tensor:
    return torch.randn(n, model.image.n_vertices, 3) * 1e-3


@pytest.mark.parametrize("geometric", [True, False])
def test_a_neutral_face_has_no_weights_and_half_a_face_half(geometric):
    config = FusionConfig(**{**SMALL.__dict__, "geometric_mapping": geometric})
    model = _model(config)
    x = _face(model)
    whole, half = model.encode(x), model.encode(0.5 * x)
    for name in ("speech", "expression"):
        torch.testing.assert_close(0.5 * getattr(whole, name), getattr(half, name), atol=1e-5, rtol=1e-4)
        assert (getattr(model.encode(0 * x), name) == 0).all()


def test_the_decoder_is_linear_and_adds_the_domains():
    model = _model()
    a, e = torch.randn(2, 5), torch.randn(2, 6)
    both = model.decode(a, e)
    torch.testing.assert_close(both, model.decode(a, None) + model.decode(None, e))
    torch.testing.assert_close(model.decode(3 * a, None), 3 * model.decode(a, None))
    expected = torch.einsum("bk,knc->bnc", a, model.speech_blendshapes)
    torch.testing.assert_close(model.decode(a, None), expected)
    with pytest.raises(ValueError, match="at least one"):
        model.decode(None, None)


def test_kept_and_dropped_parts_make_the_input_where_the_blendshapes_span_it():
    model = _model()
    spoken = model.decode(torch.randn(4, 5), None) * 0.01
    kept = model.keep_speech(spoken)
    whole = model.decode(kept.speech, kept.expression)
    dropped = model.decode(None, kept.expression)
    # What is refitted is the projection of the rest, so that the error is what the dropped part has outside the span.
    rest = (dropped - model.decode(refit(model.speech_decoder.weight, dropped.flatten(1) * 1e3), None)).norm()
    torch.testing.assert_close((whole - spoken).norm(), rest, atol=1e-6, rtol=1e-3)


def test_fusion_is_the_sum_of_what_is_kept():
    model = _model()
    a, e = _face(model), _face(model)
    expected = model.decode(model.keep_speech(a).speech, None) + model.decode(None, model.keep_expression(e).expression)
    torch.testing.assert_close(model(a, e), expected)


def test_refit_is_least_squares():
    b = torch.randn(30, 4, dtype=torch.double)
    y = torch.randn(7, 30, dtype=torch.double)
    torch.testing.assert_close(refit(b, y).T, torch.linalg.lstsq(b, y.T).solution, atol=1e-5, rtol=1e-5)


def test_gradients_reach_everything_that_is_learned():
    model = _model().train()
    loss = model(_face(model), _face(model)).square().sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_full_size_network_of_the_paper_s_group_runs():
    config = FusionConfig(image_size=128, channels=(64, 128, 256))
    model = FusionModel(config, geometry_image(flame_sized_head()[0], 128))
    weights = model.encode(_face(model, 1))
    assert weights.speech.shape == (1, 32) and weights.expression.shape == (1, 40)


def test_saved_weights_come_back_to_float16(tmp_path):
    model = _model()
    save_fusion(model, tmp_path / "f.safetensors", {"note": "x"})
    back, metadata = load_fusion(tmp_path / "f.safetensors", flame_sized_head()[0])
    assert back.config == model.config and metadata == {"note": "x"}
    assert json.loads((tmp_path / "f.json").read_text())["metadata"] == {"note": "x"}
    x = _face(model)
    for name in ("speech", "expression"):
        torch.testing.assert_close(getattr(back.encode(x), name), getattr(model.encode(x), name), atol=5e-3, rtol=5e-3)


def test_unusable_files_are_refused_in_one_line(tmp_path):
    head = flame_sized_head()[0]
    with pytest.raises(UserError, match="no such file"):
        load_fusion(tmp_path / "none.safetensors", head)
    (tmp_path / "bad.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(UserError, match="not a readable"):
        load_fusion(tmp_path / "bad.safetensors", head)
    model = _model()
    save_fusion(model, tmp_path / "f.safetensors")
    with pytest.raises(UserError, match="another topology"):
        load_fusion(tmp_path / "f.safetensors", open_head()[0])
    with torch.no_grad():
        model.speech_decoder.weight[0, 0] = float("nan")
    save_fusion(model, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match="not finite"):
        load_fusion(tmp_path / "nan.safetensors", head)


@pytest.mark.parametrize(
    "values",
    [{"image_size": 4}, {"channels": ()}, {"image_size": 36}, {"steps": 0}, {"sparsity": -1.0}, {"nonsense": 1}],
)
def test_nonsense_configurations_are_refused(values):
    with pytest.raises(ValueError, match="FusionConfig"):
        FusionConfig.from_dict(values)


def test_configuration_survives_json():
    config = FusionConfig(channels=(4, 8), seed=3)
    assert FusionConfig.from_dict(json.loads(json.dumps(config.__dict__))) == config
