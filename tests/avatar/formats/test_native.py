"""Our asset format: what is written comes back, within its stated steps; damage is one clear line."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatar.appearance import Appearance
from avatar.errors import UserError
from avatar.formats.head_file import load_head, save_head
from avatar.formats.native import load_avatar, save_avatar
from avatar.rig import Avatar
from tests.avatar.synthetic import make_arkit, make_avatar, make_head


def test_head_round_trip(tmp_path: Path) -> None:
    head = make_head()
    save_head(head, make_arkit(head), tmp_path / "h.safetensors")
    again, arkit = load_head(tmp_path / "h.safetensors")
    step = head.shapedirs.abs().amax((0, 1)) / 32767
    assert ((again.shapedirs - head.shapedirs).abs() <= step * 0.51).all()
    assert torch.equal(again.v_template, head.v_template) and torch.equal(again.faces, head.faces)
    assert again.n_shape == 3 and again.expression_names == head.expression_names
    assert torch.equal(again.regions["corner"], head.regions["corner"])
    assert arkit.n_shape == 3


def test_zero_columns_cost_nothing_and_come_back_zero(tmp_path: Path) -> None:
    head = make_head()
    head.posedirs[:, :, 5:] = 0
    path = tmp_path / "h.safetensors"
    save_head(head, make_arkit(head), path)
    assert load_file(path)["head.posedirs.codes"].shape[-1] == 5
    assert (load_head(path)[0].posedirs[:, :, 5:] == 0).all()


def test_columns_that_move_few_vertices_are_stored_by_rows_and_come_back(tmp_path: Path) -> None:
    head = make_head()
    head.shapedirs[2:, :, 1] = 0
    path = tmp_path / "h.safetensors"
    save_head(head, make_arkit(head), path)
    stored = load_file(path)
    assert stored["head.shapedirs.codes"].shape[-1] == head.shapedirs.shape[-1] - 1
    assert len(stored["head.shapedirs.sparse_rows"]) == 2
    again = load_head(path)[0].shapedirs
    step = head.shapedirs.abs().amax((0, 1)) / 32767
    assert ((again - head.shapedirs).abs() <= step * 0.51).all()


@pytest.mark.parametrize("claim", [-1, 10**6])
def test_rows_that_a_head_does_not_have_are_refused(tmp_path: Path, claim: int) -> None:
    head = make_head()
    head.shapedirs[2:, :, 1] = 0
    path = tmp_path / "h.safetensors"
    save_head(head, make_arkit(head), path)
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    tensors["head.shapedirs.sparse_counts"] = torch.tensor([claim], dtype=torch.int32)
    save_file(tensors, path, header)
    with pytest.raises(UserError, match="not a usable head"):
        load_head(path)


@pytest.mark.parametrize("sh", [1, 4, 9, 16])
def test_avatar_round_trip(tmp_path: Path, sh: int) -> None:
    avatar = make_avatar(sh=sh)
    save_avatar(avatar, tmp_path / "a.safetensors")
    again = load_avatar(tmp_path / "a.safetensors")
    a, b = avatar.gaussians, again.gaussians
    assert again.name == avatar.name and again.metadata == avatar.metadata
    assert torch.allclose(a.means, b.means, atol=2e-3)
    assert ((a.quats * b.quats).sum(-1).abs() > 0.9999).all()
    assert torch.allclose(a.log_scales, b.log_scales, atol=0.02)
    assert torch.allclose(a.logit_opacities.sigmoid(), b.logit_opacities.sigmoid(), atol=3e-3)
    assert torch.allclose(a.sh, b.sh, atol=0.02)
    assert torch.equal(a.triangles, b.triangles)


def _expressive() -> Avatar:
    avatar = make_avatar()
    g = torch.Generator().manual_seed(1)
    tints, fades = torch.randn(3, len(avatar.gaussians), 3, generator=g), torch.randn(3, len(avatar.gaussians))
    fades[1] = 0
    return replace(avatar, appearance=Appearance.rounded(("jawOpen", "cheekPuff", "eyeBlinkLeft"), tints, fades))


def test_what_expressions_do_to_colors_comes_back_exactly(tmp_path: Path) -> None:
    avatar = _expressive()
    save_avatar(avatar, tmp_path / "a.safetensors")
    again = load_avatar(tmp_path / "a.safetensors")
    for f in fields(Appearance):
        a, b = getattr(avatar.appearance, f.name), getattr(again.appearance, f.name)
        assert a == b if f.name == "channels" else torch.equal(a, b)
    save_avatar(make_avatar(), tmp_path / "b.safetensors")
    assert load_avatar(tmp_path / "b.safetensors").appearance is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tint_codes", torch.zeros(3, 7, 3, dtype=torch.int8)),
        ("tint_codes", torch.zeros(3, 200, 3)),
        ("tint_steps", torch.full((3,), torch.nan)),
        ("fade_steps", torch.zeros(2)),
        ("fade_codes", None),
    ],
)
def test_a_damaged_appearance_is_refused(tmp_path: Path, key: str, value: torch.Tensor | None) -> None:
    path = tmp_path / "a.safetensors"
    save_avatar(_expressive(), path)
    with safe_open(str(path), "pt") as f:
        header = f.metadata()
    tensors = load_file(path)
    del tensors[f"appearance.{key}"]
    save_file(tensors if value is None else tensors | {f"appearance.{key}": value}, path, header)
    with pytest.raises(UserError, match="not a usable avatar"):
        load_avatar(path)


def test_saving_twice_changes_nothing(tmp_path: Path) -> None:
    save_avatar(make_avatar(), tmp_path / "a.safetensors")
    save_avatar(load_avatar(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    a, b = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    for key in ("gaussians.means", "gaussians.opacities", "gaussians.log_scales", "gaussians.triangles"):
        assert torch.equal(a[key], b[key])


def damaged(kind: str, source: bytes, path: Path) -> None:
    if kind == "missing":
        return
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(source[: len(source) // 2])
    elif kind == "text":
        path.write_text("hello")
    elif kind == "head":
        save_head(make_head(), make_arkit(make_head()), path)
    elif kind == "foreign":
        save_file({"x": torch.zeros(1)}, path)


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "text", "head", "foreign"])
def test_damaged_files_are_one_clear_line(tmp_path: Path, kind: str) -> None:
    save_avatar(make_avatar(), tmp_path / "good.safetensors")
    path = tmp_path / "bad.safetensors"
    damaged(kind, (tmp_path / "good.safetensors").read_bytes(), path)
    with pytest.raises(UserError, match=r"bad\.safetensors") as error:
        load_avatar(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["gaussians.means", "gaussians.triangles", "head.faces", "head.shapedirs.columns"])
def test_missing_or_poisoned_tensors_are_refused(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.safetensors"
    save_avatar(make_avatar(), path)
    from safetensors import safe_open

    with safe_open(str(path), "pt") as f:
        header = f.metadata()
    assert json.loads(header["info"])["name"] == "synthetic"
    tensors = load_file(path)
    poisoned = dict(tensors)
    value = poisoned[key].clone()
    poisoned[key] = torch.full_like(value, float("nan") if value.is_floating_point() else 1_000_000)
    save_file(poisoned, path, header)
    with pytest.raises(UserError):
        load_avatar(path)
    del tensors[key]
    save_file(tensors, path, header)
    with pytest.raises(UserError):
        load_avatar(path)


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    """Columns of zeros are left out of a file: without a limit, an empty one could ask for any amount of memory."""
    save_avatar(make_avatar(), tmp_path / "a.safetensors")
    with safe_open(str(tmp_path / "a.safetensors"), framework="pt") as file:
        header, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors["head.shapedirs.codes"] = torch.zeros(1_000_000_000, 3, 0, dtype=torch.int16)
    tensors["head.shapedirs.steps"] = torch.zeros(0)
    tensors["head.shapedirs.columns"] = torch.tensor([4096], dtype=torch.int32)
    save_file(tensors, str(tmp_path / "a.safetensors"), header)
    with pytest.raises(UserError, match="claims"):
        load_avatar(tmp_path / "a.safetensors")


@pytest.mark.parametrize("column", [4, 65_308, -9])
def test_columns_that_a_basis_does_not_have_are_refused(tmp_path: Path, column: int) -> None:
    save_avatar(make_avatar(), tmp_path / "a.safetensors")
    with safe_open(str(tmp_path / "a.safetensors"), framework="pt") as file:
        header, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors["head.shapedirs.columns"][0] = column
    save_file(tensors, str(tmp_path / "a.safetensors"), header)
    with pytest.raises(UserError, match="not a usable head"):
        load_avatar(tmp_path / "a.safetensors")
