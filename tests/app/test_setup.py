"""Setting up: what is installed on which machine, and what is in the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from app import setup

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("platform", "nvidia", "cpu_index", "wanted"),
    [
        ("linux", True, True, ["torch"]),
        ("linux", False, True, ["torch", "--index-url", setup.CPU_INDEX]),
        ("linux", False, False, ["torch==2.13.0"]),
        ("win32", False, True, ["torch"]),
        ("darwin", False, True, ["torch"]),
    ],
)
def test_torch_brings_cuda_only_where_there_is_a_gpu(
    platform: str, nvidia: bool, cpu_index: bool, wanted: list[str]
) -> None:
    assert setup.torch_arguments(platform, nvidia, cpu_index) == wanted


def test_an_index_that_fails_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> None:
        tried.append(arguments)
        if "--index-url" in arguments:
            raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(setup, "_pip", pip)
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup, "_reachable", lambda address: True)
    monkeypatch.setattr(setup.sys, "platform", "linux")
    setup._install_torch()
    assert tried == [("torch", "--index-url", setup.CPU_INDEX), ("torch==2.13.0",)]


def test_an_index_that_cannot_be_reached_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(address: str, timeout: float) -> Any:
        assert timeout <= 5.0
        raise OSError("no route")

    monkeypatch.setattr(setup.urllib.request, "urlopen", unreachable)
    assert not setup._reachable(setup.CPU_INDEX)


def test_it_runs_without_any_package() -> None:
    """A fresh Python has none: `-S` leaves the site's packages out."""
    command = [sys.executable, "-S", "-E", "-m", "app.setup", "nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m app.setup")


def test_every_file_beside_the_code_is_packaged() -> None:
    """`pip install .` takes what pyproject.toml names, and no other: weights, avatars, shaders, sounds."""
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    tracked = subprocess.run(
        ["git", "ls-files", *packaged], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    files = [Path(name) for name in tracked if name and not name.endswith(".py")]
    assert files
    for file in files:
        package = file.parts[0]
        assert any(file.relative_to(package).match(pattern) for pattern in packaged[package]), f"{file} is left out"


def dependencies() -> list[Requirement]:
    return [
        Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ]


def test_a_numba_that_was_not_tried_is_not_let_in() -> None:
    """The kernels hand LLVM instructions to it."""
    (numba,) = [d for d in dependencies() if d.name == "numba"]
    assert numba.specifier.contains(version("numba"))
    assert not numba.specifier.contains("1.0")


def test_the_notice_names_every_library_whose_licence_decides_on_a_bundle() -> None:
    notice = (ROOT / "NOTICE").read_text()
    found = []
    for dependency in dependencies():
        with suppress(PackageNotFoundError):
            about = metadata(dependency.name)
            said = [about.get("License-Expression", ""), about.get("License", ""), *about.get_all("Classifier", [])]
            # Some give whole licences, which speak of others.
            if any(re.search(r"\bGPL|General Public License", words) for words in said if len(words) < 100):
                found.append(dependency.name)
    assert "PyQt6" in found
    assert [name for name in found if name not in notice] == []


def test_every_folder_of_code_is_a_package() -> None:
    for package in ("app", "avatar", "animation", "shaders"):
        for module in (ROOT / package).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), f"{module.parent} would be left out of the package"
