"""Google's GNM head becomes ours: it moves as its own definition says, and knows ARKit, lips and lids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from avatar.errors import UserError
from avatar.flame.arkit import weights_from_dict
from avatar.flame.head import HeadModel
from avatar.flame.margins import LID_PAIRS
from avatar.formats.gnm_model import is_gnm, read_gnm
from avatar.heads import open_flame
from avatar.importing import import_file
from tests.avatar.formats.gnm_like import gnm_like


def _write(path: Path, **changes: Any) -> Path:
    np.savez(path, **{k: v for k, v in (gnm_like() | changes).items() if v is not None})
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("gnm") / "gnm_head.npz")


@pytest.fixture(scope="module")
def head(path: Path) -> HeadModel:
    return read_gnm(path)


def _theirs(identity: np.ndarray, expression: np.ndarray, turns: np.ndarray, move: np.ndarray) -> np.ndarray:
    """GNM's own forward, joint by joint and vertex by vertex, in float64."""
    g = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in gnm_like().items()}
    v = g["template_vertex_positions"] + np.einsum("i,ivc->vc", identity, g["vertex_identity_basis"])
    v = v + np.einsum("e,evc->vc", expression, g["expression_basis"])
    joints = g["template_joint_positions"] + np.einsum("i,ijc->jc", identity, g["joint_identity_basis"])
    local = Rotation.from_rotvec(turns).as_matrix()
    v = v + ((local - np.eye(3)).reshape(-1) @ g["pose_correctives_regressor"]).reshape(-1, 3)
    world: list[tuple[np.ndarray, np.ndarray]] = []
    for j, parent in enumerate(g["joint_parent_indices"]):
        if j == 0:
            world.append((local[0], joints[0] + move))
        else:
            up, origin = world[parent]
            world.append((up @ local[j], origin + up @ (joints[j] - joints[parent])))
    out = np.zeros_like(v)
    for j, (turn, origin) in enumerate(world):
        out += g["skinning_weights"][j][:, None] * ((v - joints[j]) @ turn.T + origin)
    return out


def test_it_moves_as_gnm_does(head: HeadModel) -> None:
    r = np.random.default_rng(0)
    for _ in range(3):
        identity, expression = r.normal(size=head.n_shape), 0.3 * r.normal(size=head.n_expression)
        turns, move = 0.3 * r.normal(size=(4, 3)), 0.01 * r.normal(size=3)
        params = head.neutral().replace(
            shape=identity, expression=expression, global_orient=turns[0], neck_pose=turns[1], leye_pose=turns[2],
            reye_pose=turns[3], transl=move,
        )  # fmt: skip
        found, expected = head.vertices(params).numpy(), _theirs(identity, expression, turns, move)
        shift = (found - expected).mean(0)  # the head is put where ours are
        assert np.abs(found - expected - shift).max() < 1e-4


def test_the_jaw_joint_moves_nothing(head: HeadModel) -> None:
    opened = head.vertices(head.neutral().replace(jaw_pose=np.array([0.4, 0, 0])))
    assert torch.allclose(opened, head.v_template, atol=1e-7)


def test_it_lies_where_our_heads_do(head: HeadModel) -> None:
    joints = head.joints(head.v_template)
    np.testing.assert_allclose(joints[3:].mean(0), [0, 0.020, 0.024], atol=1e-5)
    assert joints[3, 0] > 0 > joints[4, 0] and joints[1, 1] < 0


@pytest.mark.parametrize(("unit", "axes"), [(100.0, None), (1.0, "zup"), (1000.0, "zup")])
def test_other_units_and_axes_are_brought_to_ours(
    tmp_path: Path, head: HeadModel, unit: float, axes: str | None
) -> None:
    turn = np.eye(3) if axes is None else np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    g = gnm_like()
    changed = {
        key: (unit * g[key] @ turn.T).astype(np.float32)
        for key in (
            "template_vertex_positions", "template_joint_positions", "vertex_identity_basis", "joint_identity_basis",
            "expression_basis",
        )
    }  # fmt: skip
    rows = g["pose_correctives_regressor"].reshape(4, 9, -1, 3)
    features = np.kron(turn, turn)
    turned = np.einsum("ab,jbvc->javc", features, rows) @ turn.T * unit
    changed["pose_correctives_regressor"] = turned.reshape(36, -1).astype(np.float32)
    other = read_gnm(_write(tmp_path / "other.npz", **changed))
    for name in ("v_template", "shapedirs", "posedirs"):
        assert torch.allclose(getattr(other, name), getattr(head, name), atol=2e-5), name


def test_it_is_imported_by_name_with_blendshapes_fitted_and_lips_and_lids_found(path: Path) -> None:
    line = import_file(path, "google")
    assert "GNM head 'google'" in line and "RMS" in line
    model, arkit = open_flame("google")
    assert model.n_expression == arkit.expression.shape[1] == 80
    assert arkit.residual_mm < 0.6, line
    assert not arkit.jaw.any(), "the jaw is part of the expressions"
    for region in ("upper_lip_inner", "lower_lip_inner", "upper_lid_margin_left", "lower_lid_margin_right"):
        assert len(model.regions[region]) >= LID_PAIRS // 2, region

    def moved(name: str) -> torch.Tensor:
        return model.vertices(arkit.params(weights_from_dict({name: 1.0}))) - model.v_template

    lips = [model.regions[f"{which}_lip_inner"] for which in ("upper", "lower")]
    opened = moved("jawOpen")
    assert float((opened[lips[0], 1] - opened[lips[1], 1]).median()) > 0.008
    assert float(moved("tongueOut")[model.regions["tongue"], 2].max()) > 0.01
    assert float(moved("eyeBlinkLeft")[:, 1].min()) < -0.004
    assert float(opened[model.regions["lower_teeth"], 1].mean()) < -0.005


def test_it_is_told_from_flame(path: Path, tmp_path: Path) -> None:
    assert is_gnm(path)
    np.savez(tmp_path / "flame.npz", v_template=np.zeros((3, 3)))
    assert not is_gnm(tmp_path / "flame.npz")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"expression_basis": None}, "it has no expression_basis"),
        ({"triangles": np.full((4, 3), 10**6)}, "vertices that the model does not have"),
        ({"expression_basis": np.zeros((4, 7, 3), np.float32)}, "expression_basis has shape"),
        ({"joint_names": np.array(["root", "head", "left_eye", "right_eye"])}, "its joints are root, head"),
        ({"joint_parent_indices": np.array([0, 0, 0, 1])}, "do not hang together"),
        ({"template_joint_positions": np.zeros((4, 3), np.float32) + np.nan}, "not finite"),
        (
            {"template_joint_positions": np.array([[0, -1, 0], [0, -0.5, 0], [5e-3, 0, 0], [0, 0, 0]], np.float32)},
            "apart",
        ),
        ({"vertex_groups": np.array([["a"]])}, "not numbers"),
    ],
)
def test_what_is_no_gnm_head_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        read_gnm(_write(tmp_path / "bad.npz", **changes))
    assert "bad.npz" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_group_is_named(tmp_path: Path) -> None:
    names = gnm_like()["vertex_group_names"].copy()
    names[list(names).index("upper_lip")] = "moustache"
    with pytest.raises(UserError, match="no vertex group 'upper_lip'"):
        read_gnm(_write(tmp_path / "bad.npz", vertex_group_names=names))
