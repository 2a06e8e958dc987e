"""Splat PLYs: bit-exact there and back, GaussianAvatars' layout, refusals."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.binding import BoundGaussians
from avatar.errors import UserError
from avatar.formats.gaussian_ply import by_importance, read_splats, write_bound, write_cloud
from tests.avatar.formats.samples import make_gaussians, write_ply
from tests.avatar.synthetic import make_avatar


@pytest.mark.parametrize("sh", [1, 4, 9, 16])
def test_bound_gaussians_come_back_bit_exact(tmp_path: Path, sh: int) -> None:
    gaussians = make_gaussians(100, 10_144, sh)
    write_bound(tmp_path / "a.ply", gaussians)
    back = read_splats(tmp_path / "a.ply").bound(10_144, "a.ply")
    for f in fields(BoundGaussians):
        assert torch.equal(getattr(back, f.name), getattr(gaussians, f.name)), f.name


def test_layout_is_that_of_gaussianavatars(tmp_path: Path) -> None:
    """63 float properties in order; f_rest channel-major."""
    gaussians = write_ply(tmp_path / "a.ply")
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float")]
    assert len(names) == 63 and names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[9] == "f_rest_0" and names[54:] == [
        "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "binding_0",
    ]  # fmt: skip
    row = np.frombuffer(body, "<f4").reshape(-1, 63)[3]
    np.testing.assert_array_equal(row[9 : 9 + 15], gaussians.sh[3, 1:, 0])
    np.testing.assert_array_equal(row[9 + 15 : 9 + 30], gaussians.sh[3, 1:, 1])
    assert row[62] == gaussians.triangles[3]


def test_posed_cloud_comes_back(tmp_path: Path) -> None:
    avatar = make_avatar()
    cloud = avatar.pose(avatar.head.neutral())
    write_cloud(tmp_path / "a.ply", cloud, ["made by a test"])
    back = read_splats(tmp_path / "a.ply")
    assert back.triangles is None and back.comment("made by") == "a test" and back.comment("other") is None
    for f in fields(cloud):
        torch.testing.assert_close(getattr(back.cloud(), f.name), getattr(cloud, f.name), rtol=1e-5, atol=1e-6)


def test_importance_sorts_and_loses_nothing() -> None:
    avatar = make_avatar()
    cloud = avatar.pose(avatar.head.neutral())
    ordered = by_importance(avatar.gaussians, cloud)
    again = by_importance(
        ordered, type(avatar)("again", avatar.head, ordered, avatar.arkit).pose(avatar.head.neutral())
    )
    assert torch.equal(ordered.means, again.means)
    assert torch.equal(ordered.means.sort(0).values, avatar.gaussians.means.sort(0).values)


def edited(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"ply\n", b"plx\n", "not a PLY"),
        (b"binary_little_endian", b"binary_big_endian", "little-endian"),
        (b"element vertex 20", b"element vertex 3999999", "truncated"),
        (b"element vertex 20", b"element vertex 99999999999", "claims"),
        (b"element vertex 20", b"element vertex -1", "claims"),
        (b"element vertex 20", b"element vertex x", "damaged"),
        (b"property float opacity", b"property float opaqueness", "opacity"),
        (b"property float opacity", b"property list uchar float opacity", "unexpected"),
        (b"property float f_rest_44", b"property float other", "44 f_rest"),
        (b"property float nx", b"property float x", "damaged"),
        (b"element vertex 20", b"element face 20", "vertices"),
    ],
)
def test_damaged_headers_are_refused_in_one_line(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    write_ply(tmp_path / "a.ply")
    with pytest.raises(UserError, match=says) as refusal:
        read_splats(edited(tmp_path / "a.ply", old, new))
    assert "a.ply" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(("column", "value"), [(0, np.nan), (10, np.inf), (55, 1e9), (62, 0.5), (62, -1), (62, 50)])
def test_unusable_values_are_refused(tmp_path: Path, column: int, value: float) -> None:
    write_ply(tmp_path / "a.ply", n_faces=50)
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    table = np.frombuffer(body, "<f4").reshape(-1, 63).copy()
    table[4, column] = value
    (tmp_path / "a.ply").write_bytes(header + b"end_header\n" + table.tobytes())
    with pytest.raises(UserError, match=r"a\.ply"):
        read_splats(tmp_path / "a.ply").bound(50, tmp_path / "a.ply")


def test_zero_quaternions_and_scenes_without_bindings_are_refused(tmp_path: Path) -> None:
    gaussians = make_gaussians(5, 50)
    gaussians.quats[2] = 0
    write_bound(tmp_path / "a.ply", gaussians)
    with pytest.raises(UserError, match="zero quaternion"):
        read_splats(tmp_path / "a.ply")
    avatar = make_avatar()
    write_cloud(tmp_path / "scene.ply", avatar.pose(avatar.head.neutral()))
    with pytest.raises(UserError, match="binding_0"):
        read_splats(tmp_path / "scene.ply").bound(50, tmp_path / "scene.ply")
