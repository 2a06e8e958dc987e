from __future__ import annotations

import csv

import pytest
import torch

from animation.blendshapes.fusion import FusionConfig, load_fusion
from animation.blendshapes.geometry_image import geometry_image
from animation.lab.training.engine import EngineOptions
from animation.lab.training.fusion import FusionData, train_fusion
from avatar.errors import UserError
from tests.animation.synthetic_head import flame_sized_head, moving_sequences

pytest.importorskip("lightning_fabric")

CONFIG = FusionConfig(
    image_size=16,
    channels=(4,),
    speech_blendshapes=4,
    expression_blendshapes=4,
    linear_path=8,
    steps=6,
    batch=4,
)
OPTIONS = EngineOptions(accelerator="cpu", validate_every=2, checkpoint_every=2)


def _data():
    sequences = moving_sequences(3)
    return [s for s in sequences if not s.subject.endswith("2")], [s for s in sequences if s.subject.endswith("2")]


def _weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_trains_on_a_flame_sized_head_and_writes_what_it_promises(tmp_path):
    train, held_out = _data()
    model = train_fusion(train, held_out, flame_sized_head()[0], tmp_path, CONFIG, OPTIONS)
    assert {"fusion.safetensors", "fusion.json", "curves.csv", "curves.png", "checkpoint.pt"} <= {
        p.name for p in tmp_path.iterdir()
    }
    with (tmp_path / "curves.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4, 6]
    back, _ = load_fusion(tmp_path / "fusion.safetensors", flame_sized_head()[0])
    torch.testing.assert_close(_weights(back), _weights(model), atol=1e-2, rtol=1e-2)


def test_a_killed_run_ends_as_if_it_had_not_been_killed(tmp_path):
    train, held_out = _data()
    head = flame_sized_head()[0]

    class KilledError(Exception):
        pass

    def kill(done, steps, measures):
        if done == 5:
            raise KilledError

    whole = train_fusion(train, held_out, head, tmp_path / "a", CONFIG, OPTIONS)
    with pytest.raises(KilledError):
        train_fusion(train, held_out, head, tmp_path / "b", CONFIG, OPTIONS, kill)
    resumed = train_fusion(train, held_out, head, tmp_path / "b", CONFIG, OPTIONS)
    assert torch.equal(_weights(whole), _weights(resumed))
    assert (tmp_path / "a" / "curves.csv").read_text() == (tmp_path / "b" / "curves.csv").read_text()


def test_mistakes_end_in_one_line(tmp_path):
    train, held_out = _data()
    head = flame_sized_head()[0]
    with pytest.raises(UserError, match="both in the training and in the validation"):
        train_fusion(train, train, head, tmp_path, CONFIG, OPTIONS)
    with pytest.raises(UserError, match="no expression sequences"):
        FusionData([s for s in train if s.domain == "speech"], geometry_image(head, 16))
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a usable checkpoint"):
        train_fusion(train, held_out, head, tmp_path, CONFIG, OPTIONS)
