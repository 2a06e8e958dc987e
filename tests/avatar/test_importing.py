"""Importing: files become heads and avatars that open by name."""

from __future__ import annotations

import errno
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from avatar.cloud import GaussianCloud
from avatar.errors import UserError
from avatar.formats.gaussian_avatars import FLAME_PARAM, save_trained
from avatar.formats.gaussian_ply import write_bound, write_cloud
from avatar.formats.native import save_avatar
from avatar.heads import head_names, open_flame
from avatar.importing import import_file
from avatar.library import names, open_avatar
from tests.avatar.formats.flame_like import flame_like
from tests.avatar.formats.samples import make_gaussians, write_lam
from tests.avatar.synthetic import make_avatar


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))


def write_trained(folder: Path) -> Path:
    folder.mkdir()
    write_bound(folder / "point_cloud.ply", make_gaussians(50, 10_144))
    expr = np.random.default_rng(0).normal(0, 0.1, (4, 100)).astype(np.float32)
    np.savez(folder / FLAME_PARAM, shape=np.zeros(300, np.float32), expr=expr)
    return folder / "point_cloud.ply"


def test_flame_then_an_avatar_trained_with_it(tmp_path: Path) -> None:
    (tmp_path / "flame2023.pkl").write_bytes(pickle.dumps(flame_like(), 2))
    ply = write_trained(tmp_path / "somebody")
    with pytest.raises(UserError, match="no FLAME model is imported"):
        import_file(ply)
    said = import_file(tmp_path / "flame2023.pkl")
    assert "5143 vertices with teeth" in said and "mm RMS" in said
    assert head_names() == ["flame2023"]
    head, arkit = open_flame("flame2023")
    assert head.n_expression == 100 and 0 < arkit.residual_mm < 0.5 and "lips" in head.regions
    assert "50 Gaussians" in import_file(ply)
    avatar = open_avatar("somebody")
    assert avatar.metadata["flame"] == "flame2023" and avatar.arkit.expression_range is not None
    assert len(open_avatar(ply).gaussians) == 50  # also straight from the file
    shutil.copy(
        tmp_path / "home" / "heads" / "flame2023.safetensors", tmp_path / "home" / "heads" / "flame2020.safetensors"
    )
    with pytest.raises(UserError, match="several FLAME models"):
        import_file(ply)
    assert "again" in import_file(ply, "again", flame="flame2020")
    assert open_avatar("again").metadata["flame"] == "flame2020"


def test_lam_zips_and_our_own_files(tmp_path: Path) -> None:
    write_lam(tmp_path / "me.zip")
    assert "LAM 'me': 36 Gaussians" in import_file(tmp_path / "me.zip")
    save_avatar(make_avatar(), tmp_path / "x.safetensors")
    import_file(tmp_path / "x.safetensors", "mine")
    import_file(save_trained(make_avatar(), tmp_path / "exported"), "exported")
    assert {"me", "mine", "exported"} <= set(names())
    assert open_avatar("me").metadata["description"] == "LAM, imported from me.zip"
    assert open_avatar(tmp_path / "me.zip").name == "me"


@pytest.mark.parametrize("name", ["../escape", "", "a/b", "head", "x" * 65, ".hidden"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    write_lam(tmp_path / "me.zip")
    if name:
        with pytest.raises(UserError, match="cannot be a name"):
            import_file(tmp_path / "me.zip", name)
    assert not list(tmp_path.glob("*.safetensors"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match=r"cannot import \.txt"):
        import_file(tmp_path / "a.txt")
    with pytest.raises(UserError, match="no such file"):
        import_file(tmp_path / "b.ply")
    with pytest.raises(UserError, match="a folder; name the file in it"):
        import_file(tmp_path)


def test_a_plain_splat_scene_is_not_told_to_fetch_flame(tmp_path: Path) -> None:
    gaussians = make_gaussians(50, 10)
    write_cloud(tmp_path / "room.ply", GaussianCloud(*(getattr(gaussians, n) for n in ("means", "quats")),
        gaussians.log_scales.exp(), gaussians.logit_opacities.sigmoid(), gaussians.sh))  # fmt: skip
    with pytest.raises(UserError, match=r"room\.ply: a plain splat scene") as refusal:
        import_file(tmp_path / "room.ply")
    assert "import flame" not in str(refusal.value)


def test_a_compressed_ply_says_what_it_is(tmp_path: Path) -> None:
    names = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
    header = ["ply", "format binary_little_endian 1.0", "element chunk 1", "property float min_x", "element vertex 1"]
    header += [f"property uint {name}" for name in names]
    (tmp_path / "scene.compressed.ply").write_bytes("\n".join([*header, "end_header", ""]).encode() + bytes(20))
    with pytest.raises(UserError, match=r"compressed\.ply: a compressed PLY.*export it uncompressed"):
        import_file(tmp_path / "scene.compressed.ply")


def test_a_full_disk_names_the_file_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lam(tmp_path / "me.zip")
    import_file(tmp_path / "me.zip")
    target = tmp_path / "home" / "avatars" / "me.safetensors"
    before = target.read_bytes()

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as failure:
        import_file(tmp_path / "me.zip")
    assert failure.value.filename == str(target)
    assert target.read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == ["me.safetensors"]
