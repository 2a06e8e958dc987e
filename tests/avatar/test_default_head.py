"""Laws of the generic head that ships."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.flame.arkit import NAMES, ArkitMap, weights_from_dict
from avatar.flame.head import HeadModel
from avatar.heads import assets_dir, open_head


@pytest.fixture(scope="module")
def default() -> tuple[HeadModel, ArkitMap]:
    return open_head()


def lip_gaps_mm(default: tuple[HeadModel, ArkitMap], shape: np.ndarray | None = None, **weights: float) -> np.ndarray:
    head, arkit = default
    v = head.vertices(arkit.params(weights_from_dict(weights), shape)).numpy()
    return 1e3 * (v[head.regions["upper_lip_inner"]] - v[head.regions["lower_lip_inner"]])[:, 1]


def test_it_is_compact_and_has_the_promised_layout(default: tuple[HeadModel, ArkitMap]) -> None:
    head, arkit = default
    assert (assets_dir() / "head.safetensors").stat().st_size < 6e6
    assert head.n_shape == arkit.n_shape == 50
    assert set(head.expression_names) == {n for n in NAMES if n != "jawOpen" and not n.startswith("eyeLook")}
    eyes = head.joints(head.v_template)[3:]
    np.testing.assert_allclose(np.abs(eyes.numpy()), [[0.031, 0.020, 0.024]] * 2, atol=0.003)


def test_regions_are_sets_of_vertices_of_the_head(default: tuple[HeadModel, ArkitMap]) -> None:
    head, _ = default
    expected = {
        "skin", "face", "lips", "upper_lip", "lower_lip", "upper_lip_inner", "lower_lip_inner", "mouth_corner_left",
        "mouth_corner_right", "upper_lid_left", "lower_lid_left", "upper_lid_right", "lower_lid_right", "eye_left",
        "eye_right", "upper_teeth", "lower_teeth", "tongue", "upper_face", "forehead",
    }  # fmt: skip
    assert expected <= set(head.regions)
    for name, members in head.regions.items():
        assert len(members) > 0, name
        assert 0 <= int(members.min()) <= int(members.max()) < head.n_vertices, name
    pairs = [len(head.regions[n]) for n in ("upper_lip_inner", "lower_lip_inner")]
    assert pairs[0] == pairs[1]
    inside = {
        "upper_lip": "lips", "lower_lip": "lips", "lips": "face", "forehead": "upper_face", "upper_face": "face",
        "face": "skin",
    }  # fmt: skip
    for part, whole in inside.items():
        assert set(head.regions[part].tolist()) <= set(head.regions[whole].tolist()), part


def test_lips_are_closed_at_rest_open_with_the_jaw_and_sealed_by_mouth_close(
    default: tuple[HeadModel, ArkitMap],
) -> None:
    assert abs(lip_gaps_mm(default).mean()) < 0.5
    assert lip_gaps_mm(default).max() < 0.5
    assert lip_gaps_mm(default, jawOpen=1.0).max() > 20
    for amount in (0.25, 0.5, 1.0):
        assert lip_gaps_mm(default, jawOpen=amount, mouthClose=amount).max() < 0.5


def test_other_people_of_its_basis_have_closed_lips_and_working_jaws_too(
    default: tuple[HeadModel, ArkitMap],
) -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        shape = rng.normal(size=50).astype(np.float32)
        assert lip_gaps_mm(default, shape).mean() < 1.0
        assert lip_gaps_mm(default, shape, jawOpen=1.0).max() > 20


def test_blendshape_weights_survive_the_way_to_parameters_and_back(default: tuple[HeadModel, ArkitMap]) -> None:
    _, arkit = default
    rng = np.random.default_rng(6)
    weights = rng.uniform(0, 1, (8, len(NAMES))).astype(np.float32)
    for side in ("Left", "Right"):
        for a, b in (("Up", "Down"), ("In", "Out")):  # opposite directions of gaze exclude each other
            which = rng.random(8) < 0.5
            weights[which, NAMES.index(f"eyeLook{a}{side}")] = 0
            weights[~which, NAMES.index(f"eyeLook{b}{side}")] = 0
    np.testing.assert_allclose(arkit.weights(arkit.params(weights)), weights, atol=1e-5)


def test_every_blendshape_moves_the_face_by_something_visible(default: tuple[HeadModel, ArkitMap]) -> None:
    head, arkit = default
    poses = head.vertices(arkit.params(np.eye(len(NAMES), dtype=np.float32), np.zeros((len(NAMES), 50), np.float32)))
    travel_mm = 1e3 * (poses - head.v_template).norm(dim=-1)
    assert (travel_mm.amax(1) > 1.0).all(), [NAMES[i] for i in (travel_mm.amax(1) <= 1.0).nonzero().ravel()]
    below_neck = head.lbs_weights[:, 0] > 0.99
    assert travel_mm[:, below_neck].max() < 0.1


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_units_of_one_side_stay_on_that_side(default: tuple[HeadModel, ArkitMap], side: str) -> None:
    head, arkit = default
    sign = 1.0 if side == "Left" else -1.0
    skin = head.regions["skin"]
    far = skin[sign * head.v_template[skin, 0] < -0.012]
    for name in NAMES:
        if name.endswith(side) and name[:3] in ("eye", "bro"):
            moved = (head.vertices(arkit.params(weights_from_dict({name: 1.0}))) - head.v_template).norm(dim=-1)
            assert moved[far].max() < 5e-4 < moved.max() / 2, name


def test_eyes_turn_rigidly_about_their_centres(default: tuple[HeadModel, ArkitMap]) -> None:
    head, arkit = default
    params = arkit.params(weights_from_dict({"eyeLookOutLeft": 1.0, "eyeLookUpLeft": 0.5}))
    eye = head.regions["eye_left"]
    before, after = head.v_template[eye], head.vertices(params)[eye]
    spread = [(x[:, None] - x[None]).norm(dim=-1) for x in (after, before)]
    torch.testing.assert_close(*spread, atol=2e-6, rtol=0)
    torch.testing.assert_close(after.mean(0), before.mean(0), atol=2e-6, rtol=0)
    gaze = after[before[:, 2].argmax()] - after.mean(0)
    assert gaze[0] > 2e-3  # outwards is to the subject's left
    assert gaze[1] > 0.5e-3
