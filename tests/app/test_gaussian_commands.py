"""train avatar, distill and render-dataset: what cannot work is told in one line before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["train", "avatar", "--data", "{}", "-o", "a.png"], "a .safetensors file"),
        (["train", "avatar", "--data", "{}/nowhere", "-o", "a.safetensors"], "nowhere: no such folder"),
        (["train", "avatar", "--data", "{}", "-o", "a.safetensors"], "no set of pictures"),
        (["train", "avatar", "--data", "{}/ours", "-o", "a.safetensors", "--flame", "x"], "a head of its own"),
        (["train", "avatar", "--data", "{}/tracked", "-o", "a.safetensors"], "FLAME"),
        (["train", "avatar", "--data", "{}", "-o", "a.safetensors", "--gaussians", "10"], "--gaussians 10"),
        (["distill", "nobody", "-o", "a.safetensors"], "nobody"),
        (["distill", "nobody", "-o", "a.safetensors", "--pictures", "3"], "3 pictures"),
        (["distill", "nobody", "-o", "a.safetensors", "--steps", "0"], "--steps 0"),
        (["render-dataset", "nobody", "-o", "{}"], "not empty"),
        (["render-dataset", "nobody", "-o", "{}/new", "--size", "9"], "--size 9"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], word: str) -> None:
    for name, common in (("ours", {"head": "head.safetensors"}), ("tracked", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "transforms.json").write_text(json.dumps({**common, "frames": []}))
    assert main([arg.format(tmp_path) for arg in args]) == 2
    line = capsys.readouterr().err
    assert word in line and line.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours", "tracked"]
