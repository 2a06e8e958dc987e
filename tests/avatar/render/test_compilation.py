"""Compiled code is kept where that is possible, and done without where not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
from avatar.render.compilation import kernel
@kernel
def total(values):
    out = 0.0
    for i in range(values.size):
        out += values[i]
    return out
print(total(np.ones(100)))
"""


def _run(tmp_path: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )


def test_compiled_code_is_kept(tmp_path: Path) -> None:
    result = _run(tmp_path, tmp_path / "cache")
    assert result.stdout.strip() == "100.0", result.stderr
    assert list((tmp_path / "cache").rglob("*.nbi"))


@pytest.mark.parametrize("kind", ["a file in its place", "no permission"])
def test_an_unwritable_cache_does_no_harm(tmp_path: Path, kind: str) -> None:
    cache = Path("/proc/nowhere")
    if kind == "a file in its place":
        cache = tmp_path / "cache"
        cache.write_text("")
    result = _run(tmp_path, cache)
    assert result.stdout.strip() == "100.0", result.stderr
