"""Folders of pictures: what is written comes back, others' layouts are understood, and flaws are named in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avatar.camera import Camera
from avatar.creation.training.dataset import HELD_OUT_EVERY, Dataset
from avatar.creation.training.dataset_writer import DatasetWriter
from avatar.creation.training.view import premultiply, read_picture, write_picture
from avatar.errors import UserError
from avatar.flame.head import HeadModel
from tests.avatar.synthetic import make_arkit, make_avatar, make_head

SIZE = 12


def _picture(seed: int) -> np.ndarray:
    straight = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8)
    straight[0] = 0
    return premultiply(straight)


def _write(folder: Path, views: int = 4) -> DatasetWriter:
    avatar = make_avatar()
    writer = DatasetWriter(folder, avatar.head, avatar.arkit, 0.001 * torch.ones_like(avatar.head.v_template))
    for i in range(views):
        params = avatar.head.neutral().replace(expression=np.full(4, 0.1 * i), neck_pose=np.array([0, 0.1 * i, 0]))
        step = writer.pose(params, {"jawOpen": 0.1 * i})
        write_picture(writer.view(step, Camera.orbit(SIZE, SIZE, 10 * i), "val" if i == 3 else "train"), _picture(i))
    writer.finish()
    return writer


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    _write(tmp_path)
    found = Dataset.open(tmp_path)
    avatar = make_avatar()
    assert torch.allclose(found.head.v_template, avatar.head.v_template + 0.001)
    assert (len(found.train), len(found.held_out)) == (3, 1)
    for i, view in enumerate((*found.train, *found.held_out)):
        expected = Camera.orbit(SIZE, SIZE, 10 * i)
        np.testing.assert_allclose(view.camera.viewmat, expected.viewmat, atol=1e-6)
        np.testing.assert_allclose(view.camera.K, expected.K)
        np.testing.assert_allclose(view.params.expression, 0.1 * i, rtol=1e-6)
        np.testing.assert_allclose(view.params.neck_pose, [0, 0.1 * i, 0], rtol=1e-6)
        error = np.abs(view.read().astype(int) - _picture(i))
        assert error.max() <= 1, "straight alpha in 8 bits costs a step at most"


def test_pictures_under_way_can_be_left_out(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "images/00001_00001.png").unlink()
    with pytest.raises(UserError, match=r"00001_00001\.png, which is not there"):
        Dataset.open(tmp_path)
    assert len(Dataset.open(tmp_path, finished_only=True).train) == 2


def _as_vhap(folder: Path, head: HeadModel, views: int, expression: np.ndarray) -> None:
    """A folder as VHAP exports it: white behind the head, masks beside, a pose file for each timestep."""
    for part in ("images", "fg_masks", "flame_param"):
        (folder / part).mkdir()
    frames = []
    for i in range(views):
        image = _picture(i)
        over_white = image[..., :3] + (255 - image[..., 3:])
        Image.fromarray(over_white).save(folder / f"images/{i:05d}_00.png")
        Image.fromarray(image[..., 3]).save(folder / f"fg_masks/{i:05d}_00.png")
        zero = np.zeros((1, 3))
        np.savez(
            folder / f"flame_param/{i:05d}.npz", shape=np.full(head.n_shape, 0.5), expr=expression[None, i],
            rotation=zero + 0.1, neck_pose=zero, jaw_pose=zero + 0.05 * i, eyes_pose=np.zeros((1, 6)),
            translation=zero + 0.01, static_offset=np.full((1, head.n_vertices, 3), 0.002),
        )  # fmt: skip
        to_world = np.eye(4)
        to_world[2, 3] = 1.0  # one metre in front of the face, looking at it
        frames.append({
            "timestep_index": i, "camera_index": 0, "fl_x": 30.0, "fl_y": 31.0, "cx": 6.0, "cy": 6.5,
            "h": SIZE, "w": SIZE, "transform_matrix": to_world.tolist(), "file_path": f"images/{i:05d}_00.png",
            "fg_mask_path": f"fg_masks/{i:05d}_00.png", "flame_param_path": f"flame_param/{i:05d}.npz",
        })  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))


def test_a_vhap_export_is_understood(tmp_path: Path) -> None:
    head = make_head()
    expression = np.random.default_rng(0).normal(size=(HELD_OUT_EVERY, head.n_expression)).astype(np.float32)
    _as_vhap(tmp_path, head, HELD_OUT_EVERY, expression)
    found = Dataset.open(tmp_path, (head, make_arkit(head)))
    assert len(found.held_out) == 1 and len(found.train) == HELD_OUT_EVERY - 1
    for view in (*found.train, *found.held_out):
        i = view.timestep
        whole = head.neutral().replace(
            shape=np.full(head.n_shape, 0.5), expression=expression[i], global_orient=np.full(3, 0.1),
            jaw_pose=np.full(3, 0.05 * i), transl=np.full(3, 0.01),
        )  # fmt: skip
        offset = torch.full_like(head.v_template, 0.002)
        wanted, got = head.vertices(whole, offset), found.head.vertices(view.params)
        assert torch.allclose(got, wanted, atol=1e-6)
        np.testing.assert_allclose(view.camera.position, [0, 0, 1], atol=1e-6)
        image = view.read()
        error = np.abs(image.astype(int) - _picture(i))
        assert error[1:].max() <= 1 and not image[0].any()


def test_a_set_without_a_head_asks_for_flame(tmp_path: Path) -> None:
    _as_vhap(tmp_path, make_head(), 2, np.zeros((2, 4), np.float32))
    with pytest.raises(UserError, match=r"no head of its own.*import"):
        Dataset.open(tmp_path)


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda frame: frame.update({key: value})


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda f: f.pop("transform_matrix"), "frame 1 has no 'transform_matrix'"),
        (_set("transform_matrix", [[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), "no rigid motion"),
        (_set("transform_matrix", [1, 2]), "frame 1: not a camera"),
        (_set("fl_x", "wide"), "frame 1: 'fl_x' is 'wide', not a number"),
        (_set("fl_x", float("nan")), "frame 1: 'fl_x' is 'nan', not a number"),
        (_set("fl_x", -3.0), "must be greater than 0"),
        (_set("file_path", "../../elsewhere.png"), "lies outside"),
        (_set("file_path", "images/none.png"), "none.png, which is not there"),
        (_set("file_path", 7), "'file_path' is no text"),
        (_set("fg_mask_path", "fg_masks/none.png"), "none.png, which is not there"),
        (_set("flame_param_path", "flame_param/none.npz"), "none.npz: no such file"),
    ],
)
def test_flaws_are_named(tmp_path: Path, damage: Callable[[dict[str, Any]], Any], line: str) -> None:
    _write(tmp_path)
    path = tmp_path / "transforms_train.json"
    contents = json.loads(path.read_text())
    damage(contents["frames"][1])
    path.write_text(json.dumps(contents))
    with pytest.raises(UserError, match=line):
        Dataset.open(tmp_path)


def test_two_people_in_a_set_are_refused(tmp_path: Path) -> None:
    head = make_head()
    _as_vhap(tmp_path, head, 3, np.zeros((3, 4), np.float32))
    path = tmp_path / "flame_param/00002.npz"
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"shape": arrays["shape"] + 1}))
    with pytest.raises(UserError, match=r"00002.npz: has another identity"):
        Dataset.open(tmp_path, (head, make_arkit(head)))


def test_a_picture_with_a_background_is_refused(tmp_path: Path) -> None:
    Image.fromarray(_picture(0)[..., :3]).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="no alpha channel and no mask"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("behind", [0, 255, 90])
def test_what_was_composed_over_a_background_is_taken_out_of_it(tmp_path: Path, behind: int) -> None:
    image = _picture(3)
    clear = 255 - image[..., 3:].astype(int)
    if behind == 90:  # not composed, the plain picture of a camera
        pixels = np.where(image[..., 3:] > 0, 100, behind).astype(np.uint8).repeat(3, 2)
        wanted = (pixels.astype(int) * image[..., 3:] + 127) // 255
    else:
        pixels = (image[..., :3] + clear * behind // 255).astype(np.uint8)
        wanted = image[..., :3]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(image[..., 3]).save(tmp_path / "m.png")
    found = read_picture(tmp_path / "a.png", tmp_path / "m.png")
    assert np.abs(found[..., :3].astype(int) - wanted).max() <= 1
    np.testing.assert_array_equal(found[..., 3], image[..., 3])


def test_a_picture_of_another_size_than_its_camera_is_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    Image.fromarray(np.zeros((5, 7, 4), np.uint8)).save(tmp_path / "images/00000_00000.png")
    with pytest.raises(UserError, match="7 x 5 pixels, its camera 12 x 12"):
        Dataset.open(tmp_path).train[0].read()
