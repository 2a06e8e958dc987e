"""The coat under the tongue: once, on the tongue alone, the rest as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from avatar.formats.native import load_avatar, save_avatar
from avatar.library import open_avatar, shipped_names
from avatar.tongue_coat import with_tongue_coat


def test_the_coat_is_put_on_once_and_kept_in_files(tmp_path: Path) -> None:
    avatar = open_avatar(shipped_names()[0])
    assert avatar.metadata["tongue_coat"]
    assert with_tongue_coat(avatar) is avatar
    save_avatar(avatar, tmp_path / "a.safetensors")
    again = load_avatar(tmp_path / "a.safetensors")
    assert (again.gaussians.triangles == avatar.gaussians.triangles).all()


def test_nothing_but_the_tongue_changes() -> None:
    coated = open_avatar(shipped_names()[1])
    bare = replace(coated, metadata={})
    twice = with_tongue_coat(bare)  # the coat is taken off and put on anew
    tongue = torch.zeros(coated.head.n_vertices, dtype=torch.bool)
    tongue[coated.head.regions["tongue"]] = True
    on_tongue = tongue[coated.head.faces].all(1)
    for avatar in (coated, twice):
        assert avatar.appearance is not None and len(avatar.appearance) == len(avatar.gaussians)
    before, after = (a.gaussians.triangles[~on_tongue[a.gaussians.triangles]] for a in (bare, twice))
    assert (before == after).all()
    assert len(twice.gaussians) == len(coated.gaussians)


def test_an_avatar_without_a_tongue_is_left_alone() -> None:
    avatar = replace(open_avatar(shipped_names()[0]), metadata={})
    regions = {name: i for name, i in avatar.head.regions.items() if name != "tongue"}
    tongueless = replace(avatar, head=replace(avatar.head, regions=regions))
    assert with_tongue_coat(tongueless) is tongueless
