"""FLAME files become heads, with exactly the teeth that trained avatars are bound to."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.formats.flame_model import read_flame
from avatar.formats.flame_teeth import LOWER_LIP, UPPER_LIP, add_teeth
from tests.avatar.formats.flame_like import flame_like
from tests.avatar.synthetic import make_head


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    path = tmp_path_factory.mktemp("flame") / "flame2023.npz"
    np.savez(path, **flame_like())
    return read_flame(path)


def small(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    """A model with FLAME's arrays and few vertices."""
    h = make_head(n_shape=3, n_expression=4)
    arrays = {
        "v_template": h.v_template.numpy(), "f": h.faces.numpy(), "shapedirs": h.shapedirs.numpy(),
        "posedirs": h.posedirs.numpy(), "J_regressor": h.J_regressor.numpy(), "weights": h.lbs_weights.numpy(),
        "kintree_table": np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
    }  # fmt: skip
    return {k: v for k, v in {**arrays, **changes}.items() if v is not None}


def test_numbers_of_flame_with_teeth(head: HeadModel) -> None:
    assert (head.n_vertices, len(head.faces)) == (5143, 10_144)
    assert (head.n_shape, head.n_expression) == (300, 100)
    np.testing.assert_array_equal(head.v_template[:5023], flame_like()["v_template"])
    np.testing.assert_array_equal(head.faces[:9976], flame_like()["f"].astype(np.int64))


def test_pickle_and_npz_are_the_same_head(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **small())
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(small(), 2))
    one, other = (read_flame(tmp_path / f"a{s}", n_shape=3) for s in (".npz", ".pkl"))
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.allclose(one.v_template, make_head(n_shape=3, n_expression=4).v_template)


def table(i: int) -> list[list[tuple[int, int, int]]]:
    """The triangles of GaussianAvatars' teeth between columns i and i + 1, block by block, relative to 5,023."""
    if i < 7:
        return [
            [(i, 31 + i, 30 + i), (i, i + 1, 31 + i)],
            [(60 + i, 75 + i, 76 + i), (60 + i, 76 + i, 61 + i)],
            [(75 + i, 30 + i, 76 + i), (76 + i, 30 + i, 31 + i)],
            [(45 + i, 46 + i, 15 + i), (46 + i, 16 + i, 15 + i)],
            [(90 + i, 106 + i, 105 + i), (90 + i, 91 + i, 106 + i)],
            [(105 + i, 106 + i, 45 + i), (106 + i, 46 + i, 45 + i)],
        ]
    return [
        [(i, i + 1, 30 + i), (i + 1, 31 + i, 30 + i)],
        [(60 + i, 75 + i, 61 + i), (61 + i, 75 + i, 76 + i)],
        [(75 + i, 30 + i, 31 + i), (75 + i, 31 + i, 76 + i)],
        [(45 + i, 16 + i, 15 + i), (45 + i, 46 + i, 16 + i)],
        [(90 + i, 91 + i, 105 + i), (91 + i, 106 + i, 105 + i)],
        [(105 + i, 106 + i, 46 + i), (105 + i, 46 + i, 45 + i)],
    ]


def test_teeth_triangles_are_those_of_trained_avatars(head: HeadModel) -> None:
    """Avatars are bound to triangles by number, so order matters."""
    expected = [face for block in range(6) for i in range(14) for face in table(i)[block]]
    assert (head.faces[9976:] - 5023).tolist() == [list(f) for f in expected]


def test_teeth_lie_behind_the_lips_and_follow_identity_and_jaw(head: HeadModel) -> None:
    v = head.v_template.double()
    upper, lower = v[list(UPPER_LIP)], v[list(LOWER_LIP)]
    gap = (upper - lower).norm(dim=-1).mean()
    rows = v[5023:].reshape(
        8, 15, 3
    )  # U root, L root, U edge, L edge, U root back, U edge back, L root back, L edge back
    middle_y = ((upper + lower) / 2)[:, 1].mean()
    np.testing.assert_allclose(rows[2, :, 1], middle_y + 0.1 * gap, atol=1e-6)
    np.testing.assert_allclose(rows[0], rows[2] + torch.tensor([0, 2 * gap, 0]), atol=1e-6)
    np.testing.assert_allclose(rows[3, :, 2], ((upper + lower) / 2)[:, 2] - 1.9 * gap, atol=1e-6)
    np.testing.assert_allclose(rows[1], rows[3] - torch.tensor([0, 2 * gap, 0]), atol=1e-6)
    for front, back in ((0, 4), (2, 5), (1, 6), (3, 7)):
        np.testing.assert_allclose(rows[back], rows[front] - torch.tensor([0, 0, gap]), atol=1e-6)
    mean = (head.shapedirs[list(UPPER_LIP)] + head.shapedirs[list(LOWER_LIP)]) / 2
    dirs = head.shapedirs[5023:].reshape(8, 15, 3, 400)
    assert torch.equal(dirs[6, ..., :300], mean[..., :300]) and not dirs[..., 300:].any()
    assert not head.posedirs[5023:].any() and not head.J_regressor[:, 5023:].any()
    joints = head.lbs_weights[5023:].argmax(1).reshape(8, 15)
    assert joints[:, 0].tolist() == [1, 2, 1, 2, 1, 1, 2, 2] and (joints == joints[:, :1]).all()


def test_teeth_need_flame() -> None:
    with pytest.raises(UserError, match="5023 vertices"):
        add_teeth(make_head())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"posedirs": None}, "no posedirs"),
        ({"posedirs": np.zeros((36, 3, 35))}, "posedirs has shape"),
        ({"v_template": np.full((36, 3), np.nan)}, "not finite"),
        ({"v_template": np.full((36, 3), 1e3)}, "not a head"),
        ({"v_template": np.array("text")}, "not numbers"),
        ({"f": np.full((50, 3), 36)}, "triangles"),
        ({"f": np.zeros((0, 3), int)}, "f has shape"),
        ({"weights": np.zeros((36, 4))}, "weights has shape"),
        ({"kintree_table": np.array([[-1, 0, 1, 2, 3], [0, 1, 2, 3, 4]])}, "joints"),
        ({"shapedirs": np.zeros((36, 3))}, "shapedirs"),
    ],
)
def test_what_is_no_flame_model_is_refused(tmp_path: Path, changes: dict[str, np.ndarray | None], says: str) -> None:
    np.savez(tmp_path / "a.npz", **small(**changes))
    with pytest.raises(UserError, match=says) as refusal:
        read_flame(tmp_path / "a.npz", n_shape=3)
    assert "a.npz" in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_number_of_identity_directions_is_asked_for_where_it_is_not_known(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **small())
    with pytest.raises(UserError, match="n_shape"):
        read_flame(tmp_path / "a.npz")
    with pytest.raises(UserError, match="none for expression"):
        read_flame(tmp_path / "a.npz", n_shape=7)


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    """numpy would unpickle them."""
    np.savez(tmp_path / "a.npz", **small(), extra=np.array([{}], object))
    with pytest.raises(UserError, match="extra"):
        read_flame(tmp_path / "a.npz", n_shape=3)
