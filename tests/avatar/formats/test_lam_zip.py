"""LAM avatars: where their Gaussians go, and zips that are not quite right."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.formats.lam_zip import _gain, load_lam
from avatar.formats.native import load_avatar, save_avatar
from tests.avatar.formats.samples import LAM_NAMES, write_lam, write_lam_glb

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "lam-p2-1.zip"


def test_neutral_gaussians_lie_at_vertex_plus_offset(tmp_path: Path) -> None:
    _, table = write_lam(tmp_path / "a.zip")
    avatar = load_lam(tmp_path / "a.zip")
    cloud = avatar.pose(avatar.arkit.params(np.zeros(52, np.float32)))
    expected = avatar.head.v_template + torch.from_numpy(table[:, :3].copy())
    distance = (expected[:, None] - cloud.means).norm(dim=-1)
    nearest = distance.min(1)
    assert float(nearest.values.max()) < 1e-5
    rgb = cloud.sh[nearest.indices, 0] * 0.28209479177387814 + 0.5
    np.testing.assert_allclose(rgb, table[:, 6:9], atol=1e-6)
    np.testing.assert_allclose(cloud.opacities[nearest.indices], 1 / (1 + np.exp(-table[:, 9])), atol=1e-6)
    np.testing.assert_allclose(cloud.scales[nearest.indices], np.exp(table[:, 10:13]), rtol=1e-4)


def test_weights_move_the_mesh_by_the_targets_of_their_names(tmp_path: Path) -> None:
    targets, _ = write_lam(tmp_path / "a.zip")
    avatar = load_lam(tmp_path / "a.zip")
    assert set(avatar.head.expression_names) == set(NAMES[:-1])
    pose = weights_from_dict({"jawOpen": 0.6, "mouthSmileLeft": 0.5, "tongueOut": 1.0})
    moved = avatar.head.vertices(avatar.arkit.params(pose)) - avatar.head.v_template
    smile = targets[LAM_NAMES.index("mouthSmileLeft")]
    gain = np.clip(0.0093 / np.linalg.norm(smile, axis=-1).max(), 1.0, 1.6)
    expected = 0.6 * targets[LAM_NAMES.index("jawOpen")] + 0.5 * gain * smile
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    back = avatar.arkit.weights(avatar.arkit.params(pose))
    pose[NAMES.index("tongueOut")] = 0
    np.testing.assert_allclose(back, pose, atol=1e-5)


@pytest.mark.parametrize(("own_mm", "reach_mm"), [(3.0, 4.8), (6.0, 9.3), (12.0, 12.0)])
def test_a_weak_smile_is_strengthened_to_what_people_do(own_mm: float, reach_mm: float) -> None:
    target = torch.tensor([[0.0, 0.0, 0.0], [0.0, own_mm / 1000, 0.0]])
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        assert 1000 * float(_gain(name, target) * target.norm(dim=-1).max()) == pytest.approx(reach_mm)
    assert _gain("jawOpen", target) == 1


def test_neck_turns_the_head_and_leaves_the_bust(tmp_path: Path) -> None:
    write_lam(tmp_path / "a.zip")
    head = load_lam(tmp_path / "a.zip").head
    turned = head.vertices(head.neutral().replace(neck_pose=[0, 0.5, 0]))
    joint = (head.J_regressor @ head.v_template)[1]
    weight = head.lbs_weights[:, 1]
    assert set(weight.tolist()) - {0.0, 1.0} or weight.max() == 1  # the sample spans the neck
    still = weight == 0
    assert torch.allclose(turned[still], head.v_template[still], atol=1e-6)
    radius = (head.v_template - joint)[:, [0, 2]].norm(dim=-1)
    full = weight == 1
    assert torch.allclose((turned - joint)[full][:, [0, 2]].norm(dim=-1), radius[full], atol=1e-6)


def test_saved_as_our_own_file_it_comes_back(tmp_path: Path) -> None:
    write_lam(tmp_path / "a.zip")
    avatar = load_lam(tmp_path / "a.zip")
    save_avatar(avatar, tmp_path / "a.safetensors")
    back = load_avatar(tmp_path / "a.safetensors")
    pose = avatar.arkit.params(np.full(52, 0.2, np.float32))
    difference = (back.pose(pose).means - avatar.pose(pose).means).norm(dim=-1)
    assert float(difference.max()) < 1e-4 and back.metadata["source"] == "LAM"


def repacked(path: Path, changes: dict[str, bytes | None]) -> Path:
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in {**members, **changes}.items():
            if data is not None:
                new.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"someone/skin.glb": None}, "no skin.glb"),
        ({"someone/offset.ply": None}, "no offset.ply"),
        ({"again/offset.ply": b"x"}, "more than one"),
        ({"someone/offset.ply": b"x"}, "not a PLY"),
        ({"someone/skin.glb": b"x"}, "not a binary glTF"),
    ],
)
def test_incomplete_zips_are_refused(tmp_path: Path, changes: dict[str, bytes | None], says: str) -> None:
    write_lam(tmp_path / "a.zip")
    with pytest.raises(UserError, match=says) as refusal:
        load_lam(repacked(tmp_path / "a.zip", changes))
    assert "a.zip" in str(refusal.value)


def test_a_face_that_never_blinks_is_refused(tmp_path: Path) -> None:
    write_lam(tmp_path / "a.zip")
    write_lam_glb(tmp_path / "skin.glb", still="eyeBlinkLeft")
    skin = (tmp_path / "skin.glb").read_bytes()
    with pytest.raises(UserError, match=r"a\.zip.*eyeBlinkLeft moves nothing"):
        load_lam(repacked(tmp_path / "a.zip", {"someone/skin.glb": skin}))


def test_counts_that_differ_are_refused(tmp_path: Path) -> None:
    write_lam(tmp_path / "a.zip", side=6)
    (tmp_path / "other").mkdir()
    write_lam(tmp_path / "other" / "b.zip", side=5)
    with zipfile.ZipFile(tmp_path / "other" / "b.zip") as other:
        splats = other.read("someone/offset.ply")
    with pytest.raises(UserError, match=r"25 Gaussians in offset\.ply for 36 vertices"):
        load_lam(repacked(tmp_path / "a.zip", {"someone/offset.ply": splats}))


@pytest.mark.parametrize(("claimed", "says"), [(600 << 20, "unpack to 1200 MiB"), (100, "damaged")])
def test_sizes_that_lie_are_refused(tmp_path: Path, claimed: int, says: str) -> None:
    """The directory is checked before anything is unpacked, and what is unpacked against the directory."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("skin.glb", bytes(54_321))
        file.writestr("offset.ply", bytes(54_321))
    raw = (tmp_path / "bomb.zip").read_bytes()
    (tmp_path / "bomb.zip").write_bytes(raw.replace(struct.pack("<I", 54_321), struct.pack("<I", claimed)))
    with pytest.raises(UserError, match=says):
        load_lam(tmp_path / "bomb.zip")


@pytest.mark.skipif(not REAL.is_file(), reason="a real LAM zip is not part of the project (../shared/data)")
def test_a_real_avatar() -> None:
    avatar = load_lam(REAL)
    assert len(avatar.gaussians) == avatar.head.n_vertices == 20_018 and avatar.head.n_expression == 51
    assert avatar.metadata["binding_error_mm"] < 0.6
    cloud = avatar.pose(avatar.head.neutral())
    eyes = avatar.head.joints(avatar.head.v_template)[3:]
    np.testing.assert_allclose(eyes, [[0.032, 0.020, 0.024], [-0.032, 0.020, 0.024]], atol=2e-3)
    assert float(cloud.means.norm(dim=-1).max()) < 0.4
    lips = avatar.head.v_template[torch.stack([avatar.head.regions[f"{n}_lip_inner"] for n in ("upper", "lower")])]
    assert len(lips[0]) == 11 and float((lips[0] - lips[1]).norm(dim=-1).max()) < 2e-3
    assert float(lips[0, -1, 0] - lips[0, 0, 0]) == pytest.approx(0.041, abs=2e-3)  # from corner to corner
