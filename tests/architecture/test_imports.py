"""What importing a package may bring along (the layers themselves are checked by import-linter)."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("gsplat", "PyQt6", "OpenGL", "moderngl", "sounddevice", "av")


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(m for m in sys.modules if '.' not in m))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("statement", ["import avatar; avatar.Avatar", "import avatar; avatar.open_renderer"])
def test_avatar_brings_no_gpu_window_or_device_library(statement: str) -> None:
    assert imported_by(statement).isdisjoint(HEAVY)


def test_animation_brings_no_gpu_window_or_device_library() -> None:
    assert imported_by("import animation.driver").isdisjoint(HEAVY)


def test_the_command_line_starts_light() -> None:
    """`--help` must not wait for torch or Qt."""
    assert imported_by("import app.cli").isdisjoint((*HEAVY, "torch", "numba"))


def test_libraries_write_nothing_to_the_terminal() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import app.cli, avatar, animation"], capture_output=True, text=True, check=True
    )
    assert result.stdout == result.stderr == ""
