"""Processes of Python that the program starts."""

from __future__ import annotations

import math
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from app.batch.pool import run_here
from app.live.device_list import Listing
from avatar.child import python_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with modules in it that say when they are imported."""
    for name in ("json", "pickle", "sys", "sounddevice", "numpy", "app", "avatar"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\nraise SystemExit"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_in_the_current_folder_is_executed(trapped: Path) -> None:
    code = "import json, sys, avatar.child; print(sys.argv[1], avatar.child.__file__)"
    done = subprocess.run(python_command(code, "told"), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["told", str(ROOT / "avatar" / "child.py")]
    listing = Listing(time.monotonic())
    while listing.poll(time.monotonic()) is None:
        threading.Event().wait(0.05)
    assert not (trapped / "executed").exists()


def test_nor_by_the_processes_of_a_batch(trapped: Path) -> None:
    assert sorted(result for _, result in run_here(math.sqrt, [4.0, 9.0], 2)) == [2.0, 3.0]
    assert not (trapped / "executed").exists()


def test_there_is_no_other_way_to_start_python() -> None:
    sources = [path for part in ("app", "animation", "avatar") for path in (ROOT / part).rglob("*.py")]
    texts = {path.name: path.read_text() for path in sources}
    found = [name for name, text in texts.items() if re.search(r"sys\.executable|\"-c\"", text)]
    assert sorted(found) == ["availability.py", "child.py", "doctor.py", "environment.py", "models.py", "setup.py"]
    assert [name for name, text in texts.items() if "multiprocessing import" in text] == ["pool.py"]
