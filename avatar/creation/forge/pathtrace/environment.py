"""Blender's Python: a large GPL program that is fetched when first asked for, and run as a process of its own."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from avatar.errors import UserError
from avatar.home import cache_dir

__all__ = ["BLENDER", "blender_python"]

BLENDER = "bpy==4.5.15"
"""What is fetched from the package index: 380 MB, a gigabyte on the disk. It exists for Python 3.11 only."""

_PYTHON = "3.11"
_log = logging.getLogger(__name__)


def blender_python(tell: Callable[[str], None] = lambda line: None) -> Path:
    """The interpreter that has Blender; the first call makes its environment in the user's cache folder.

    Args:
        tell: called with what takes long, if anything does.

    Raises:
        UserError: if there is no Python 3.11, or Blender cannot be fetched.
    """
    folder = cache_dir() / BLENDER.replace("==", "-")
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if ready.is_file() and python.is_file():
        return python
    tell(f"fetching Blender's path tracer ({BLENDER}, 380 MB) into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    _run([str(_python_3_11()), "-P", "-m", "venv", str(folder)], "cannot make an environment for Blender")
    command = [str(python), "-P", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", BLENDER]
    _run(command, f"cannot fetch {BLENDER} from the package index; go online and try again")
    _run([str(python), "-s", "-P", "-c", "import bpy"], f"{BLENDER} does not start on this machine")
    ready.touch()
    return python


def _python_3_11() -> Path:
    if sys.version_info[:2] == (3, 11):
        return Path(sys.executable)
    found = shutil.which(f"python{_PYTHON}")
    if found:
        return Path(found)
    for finder in (["py", f"-{_PYTHON}", "-c", "import sys; print(sys.executable)"], ["uv", "python", "find", _PYTHON]):
        if shutil.which(finder[0]):
            answer = subprocess.run(finder, capture_output=True, text=True, check=False)
            if answer.returncode == 0 and Path(answer.stdout.strip()).is_file():
                return Path(answer.stdout.strip())
    raise UserError(
        f"--render needs Python {_PYTHON} for Blender ({BLENDER}), and none was found: install it "
        f"(for example: uv python install {_PYTHON}), or forge without --render"
    )


def _run(command: list[str], failure: str) -> None:
    _log.info("%s", " ".join(command))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{failure}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{failure} ({lines[-1] if lines else f'exit code {done.returncode}'})")
