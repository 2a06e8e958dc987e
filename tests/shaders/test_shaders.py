"""Shader files: headers, includes, uniforms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shaders
from shaders import ShaderError, declared_uniforms, load_shader

FOLDER = Path(shaders.__file__).parent
FILES = sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".vert", ".frag", ".glsl"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shaders.resources, "files", lambda _: tmp_path)
    return tmp_path


def test_there_are_shaders() -> None:
    assert {"splat.vert", "splat.frag", "resolve.vert", "resolve.frag"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_headers_say_what_goes_in_and_out(name: str) -> None:
    source = (FOLDER / name).read_text()
    header = source.split("\n\n")[0]
    assert re.search(r"^// In:", header, re.MULTILINE), name
    if name != "gaussians.glsl":  # only access to textures
        assert re.search(r"^// Out:", header, re.MULTILINE), name
    for uniform in declared_uniforms(source):
        assert re.search(rf"\b{uniform}\b", header), f"{name}: the header does not name {uniform}"


@pytest.mark.parametrize("name", [n for n in FILES if not n.endswith(".glsl")])
def test_stages_load_whole(name: str) -> None:
    source = load_shader(name)
    assert source.startswith("#version 330 core\n")
    assert "#include" not in source
    assert source.count("#version") == 1
    assert source.count("void main()") == 1


def test_each_file_is_taken_in_once(folder: Path) -> None:
    (folder / "a.vert").write_text('#include "b.glsl"\n#include "c.glsl"\nend\n')
    (folder / "b.glsl").write_text('#include "c.glsl"\nfrom b\n')
    (folder / "c.glsl").write_text("from c\n")
    assert load_shader("a.vert").split() == ["from", "c", "from", "b", "end"]


def test_a_missing_include_is_named(folder: Path) -> None:
    (folder / "a.vert").write_text('#include "b.glsl"\n')
    (folder / "b.glsl").write_text('#include "gone.glsl"\n')
    with pytest.raises(ShaderError, match=r"no shader 'gone.glsl' \(included from b.glsl < a.vert\)"):
        load_shader("a.vert")


def test_circles_are_refused(folder: Path) -> None:
    (folder / "a.glsl").write_text('#include "b.glsl"\n')
    (folder / "b.glsl").write_text('#include "a.glsl"\n')
    with pytest.raises(ShaderError, match="includes itself"):
        load_shader("a.glsl")


@pytest.mark.parametrize("line", ["#include <b.glsl>", "#include b.glsl", '#include "b.glsl', "  #include"])
def test_other_includes_are_refused(folder: Path, line: str) -> None:
    (folder / "a.vert").write_text(line + "\n")
    (folder / "b.glsl").write_text("")
    with pytest.raises(ShaderError, match="cannot resolve"):
        load_shader("a.vert")


@pytest.mark.parametrize("name", ["gone.vert", "../pyproject.toml", "..\\x.glsl", ""])
def test_only_shaders_of_the_folder_are_read(name: str) -> None:
    with pytest.raises(ShaderError, match="there is no shader"):
        load_shader(name)


def test_uniforms_are_found() -> None:
    source = "uniform mat4 view;\n  uniform vec2 many[4];\n// uniform float no;\nin vec2 corner;\n"
    assert declared_uniforms(source) == {"view", "many"}
