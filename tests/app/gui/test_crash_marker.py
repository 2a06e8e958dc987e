"""A run that crashed is noticed at the next start, and another window is not taken for one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from app.gui.main.crash_marker import CrashMarker
from avatar.child import python_command

RUN = """
import sys
from pathlib import Path
from app.gui.main.crash_marker import CrashMarker
marker = CrashMarker(Path(sys.argv[1]))
print(marker.set(), flush=True)
sys.stdin.readline()
marker.clear()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(python_command(RUN, str(folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline().strip()


def end(run: subprocess.Popen[str], cleanly: bool) -> None:
    if cleanly:
        run.communicate("\n", timeout=20)
    else:
        run.kill()
        run.communicate(timeout=20)


def test_a_crash_is_noticed_once_and_a_second_window_is_none(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert said(first) == "False"
    second = start(tmp_path)
    assert said(second) == "False", "the first still runs"
    end(first, cleanly=False)
    third = start(tmp_path)
    assert said(third) == "True", "the first has crashed; that the second runs does not hide it"
    end(second, cleanly=True)
    end(third, cleanly=True)
    fourth = start(tmp_path)
    assert said(fourth) == "False", "it was told already"
    end(fourth, cleanly=True)
    assert not list(tmp_path.iterdir())


def test_a_process_number_that_is_used_again_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "running-1").write_bytes(b"")  # process 1 always runs
    marker = CrashMarker(tmp_path)
    assert marker.set()
    marker.clear()
    marker.clear()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    marker = CrashMarker(tmp_path / "file")
    assert not marker.set()
    marker.clear()
