"""The program in docs/api.md runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avatar.library import names

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.skipif(not names(), reason="no avatar has been built yet (gaussian-avatar forge)")
def test_the_example_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    (tmp_path / "example.py").write_text("\n".join(blocks), encoding="utf-8")
    rate = 44_100
    t = np.arange(int(0.7 * rate)) / rate
    sound = 0.3 * np.sign(np.sin(2 * np.pi * 130 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)
    soundfile.write(tmp_path / "speech.wav", np.stack([sound, sound], 1).astype(np.float32), rate)
    environment = os.environ | {"PYTHONPATH": str(DOCS.parents[1]), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "image0.png").is_file() and (tmp_path / "speech.csv").is_file()
