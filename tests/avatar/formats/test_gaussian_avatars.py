"""Trained avatars: their own neutral face and range, their recording, and ours in their format."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.errors import UserError
from avatar.flame.params import FlameParams
from avatar.formats.gaussian_avatars import (
    FLAME_PARAM,
    load_trained,
    read_training_poses,
    save_trained,
    training_poses,
)
from avatar.formats.gaussian_ply import write_bound
from avatar.render.reference import ReferenceRenderer
from tests.avatar.formats.samples import make_gaussians
from tests.avatar.synthetic import make_arkit, make_avatar, make_head

HEAD = make_head(n_shape=5, n_expression=4)
ARKIT = make_arkit(HEAD)


def write(folder: Path, poses: int = 6, **changes: np.ndarray) -> Path:
    """A trained avatar of `HEAD`, as the training leaves it."""
    rng = np.random.default_rng(3)
    v = HEAD.n_vertices
    arrays = {
        "shape": rng.normal(size=5), "expr": rng.normal(1.0, 0.5, (poses, 4)),
        "rotation": rng.normal(0, 0.2, (poses, 3)),
        "neck_pose": rng.normal(0, 0.1, (poses, 3)), "jaw_pose": rng.normal(0, 0.1, (poses, 3)),
        "eyes_pose": rng.normal(0, 0.1, (poses, 6)), "translation": rng.normal(0, 0.1, (poses, 3)),
        "static_offset": rng.normal(0, 0.002, (1, v, 3)), "dynamic_offset": rng.normal(0, 0.01, (poses, v, 3)),
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    np.savez(folder / FLAME_PARAM, **{k: x.astype(np.float32) for k, x in {**arrays, **changes}.items()})
    write_bound(folder / "point_cloud.ply", make_gaussians(60, len(HEAD.faces)))
    return folder / "point_cloud.ply"


def test_its_recording_plays_as_flame_would(tmp_path: Path) -> None:
    """Identity, static offset and mean expression are folded in; the vertices are those of the plain forward."""
    ply = write(tmp_path / "somebody")
    avatar = load_trained(ply, HEAD, ARKIT, "flame2023")
    assert avatar.name == "somebody" and avatar.metadata["flame"] == "flame2023"
    raw = read_training_poses(ply.with_name(FLAME_PARAM), HEAD)
    offset = torch.from_numpy(raw.static_offset)
    for i, pose in enumerate(training_poses(raw, place=True)):
        plain = FlameParams(
            raw.shape, raw.expression[i], raw.rotation[i], raw.neck_pose[i], raw.jaw_pose[i],
            raw.eyes_pose[i, :3], raw.eyes_pose[i, 3:], raw.translation[i],
        )  # fmt: skip
        expected = HEAD.vertices(plain, offset)
        torch.testing.assert_close(avatar.head.vertices(pose, avatar.static_offset), expected, atol=1e-6, rtol=0)
    assert not training_poses(raw)[0].transl.any()


def test_driven_by_anything_it_stays_in_its_range(tmp_path: Path) -> None:
    ply = write(tmp_path / "a")
    avatar = load_trained(ply, HEAD, ARKIT)
    raw = read_training_poses(ply.with_name(FLAME_PARAM), HEAD)
    rng = np.random.default_rng(0)
    for weights in rng.random((20, 52)):
        coefficients = avatar.arkit.params(weights).expression + raw.expression.mean(0)
        assert (coefficients >= raw.expression.min(0) - 1e-5).all()
        assert (coefficients <= raw.expression.max(0) + 1e-5).all()
    np.testing.assert_array_equal(avatar.arkit.params(np.zeros(52)).expression, 0)


def test_a_single_pose_limits_nothing(tmp_path: Path) -> None:
    avatar = load_trained(write(tmp_path / "a", poses=1), HEAD, ARKIT)
    assert avatar.arkit.expression_range is None


def test_offsets_for_flame_without_teeth_are_accepted(tmp_path: Path) -> None:
    short = np.ones((1, HEAD.n_vertices - 4, 3))
    ply = write(tmp_path / "a", static_offset=short)
    offset = read_training_poses(ply.with_name(FLAME_PARAM), HEAD).static_offset
    assert offset[-4:].any() == False and offset[:-4].all()  # noqa: E712


def test_our_avatar_there_and_back_is_bit_exact(tmp_path: Path) -> None:
    avatar = make_avatar(sh=9)
    back = load_trained(save_trained(avatar, tmp_path / "out"), None, None)
    for f in fields(BoundGaussians):
        assert torch.equal(getattr(back.gaussians, f.name), getattr(avatar.gaussians, f.name)), f.name
    assert back.name == avatar.name and back.static_offset is None
    again = load_trained(save_trained(back, tmp_path / "again"), None, None)
    assert torch.equal(again.head.v_template, back.head.v_template)
    assert torch.equal(again.head.shapedirs, back.head.shapedirs)


def test_our_avatar_there_and_back_gives_the_same_image(tmp_path: Path) -> None:
    avatar = load_trained(save_trained(make_avatar(), tmp_path / "a"), None, None)  # its head is quantised once
    back = load_trained(save_trained(avatar, tmp_path / "b"), None, None)
    pose = avatar.arkit.params(np.full(52, 0.1, np.float32))
    camera = Camera.orbit(48, 48, target=(0, 0, 0), fov_deg=12)
    one, other = (ReferenceRenderer().render(a.pose(pose), camera) for a in (avatar, back))
    assert one[..., 3].max() > 0.5
    np.testing.assert_array_equal(one, other)


def test_a_static_offset_survives(tmp_path: Path) -> None:
    avatar = make_avatar()
    avatar = replace(avatar, static_offset=0.001 * torch.randn(avatar.head.n_vertices, 3))
    back = load_trained(save_trained(avatar, tmp_path / "a"), None, None)
    assert torch.equal(back.static_offset, avatar.static_offset)


def test_without_flame_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="import"):
        load_trained(write(tmp_path / "a"), None, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": np.zeros((5, 1))}, "'shape' has shape"),
        ({"shape": np.ones(9)}, "9 coefficients, the head has 5"),
        ({"expr": np.zeros((0, 4))}, "0 poses"),
        ({"expr": np.full((6, 4), np.nan)}, "not finite"),
        ({"expr": np.full((6, 4), 1e6)}, "not a recording"),
        ({"jaw_pose": np.zeros((5, 3))}, "jaw_pose"),
        ({"static_offset": np.zeros((1, 999, 3))}, "999 vertices"),
        ({"static_offset": np.zeros(7)}, "static_offset"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], says: str) -> None:
    ply = write(tmp_path / "a", **changes)
    with pytest.raises(UserError, match=says) as refusal:
        load_trained(ply, HEAD, ARKIT)
    assert FLAME_PARAM in str(refusal.value) and "\n" not in str(refusal.value)


def test_bindings_beyond_the_head_and_missing_files_are_refused(tmp_path: Path) -> None:
    ply = write(tmp_path / "a")
    with pytest.raises(UserError, match="bound to triangles"):
        load_trained(ply, make_head(n_shape=5, side=4), ARKIT)
    ply.with_name(FLAME_PARAM).unlink()
    with pytest.raises(UserError, match="must lie beside it"):
        load_trained(ply, HEAD, ARKIT)
