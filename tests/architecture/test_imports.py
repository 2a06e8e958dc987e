"""What importing a package may bring along (the layers themselves are checked by import-linter)."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("gsplat", "PyQt6", "OpenGL", "moderngl", "sounddevice", "av")
WORKSHOP = ("animation.lab", "avatar.creation", "matplotlib", "lightning_fabric", "transformers", "pocketsphinx")


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
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


@pytest.mark.parametrize(
    "statement",
    [
        "from PyQt6.QtWidgets import QApplication\nfrom app.gui.main.application import MainWindow\n"
        "from app.settings import Store\n"
        "application = QApplication([])\nwindow = MainWindow(Store())\nwindow.show()\napplication.processEvents()\n"
        "window.shut_down()",
        "import app.live.session, app.live.headless, app.offline, app.animate",
        "from animation.driver import AvatarDriver\nfrom animation.face import DrivenFace\n"
        "from avatar import open_avatar\n"
        "a = open_avatar('clara')\nAvatarDriver(DrivenFace.of(a.head, a.arkit))",
    ],
)
def test_what_runs_brings_nothing_of_the_workshop(statement: str) -> None:
    """The window opens, and a driver moves an avatar; the window with its engine is in `tests/integration`."""
    assert imported_by(statement).isdisjoint(WORKSHOP)
