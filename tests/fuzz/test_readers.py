"""No damaged file crashes, hangs or fills the memory; each is read, or refused in one line that names it.

A few hundred files a format here; `python -m tests.fuzz` runs ten thousand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import run
from tests.fuzz.readers import READERS, Reader, prepare

COUNT = 200


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_damaged_files_are_read_or_refused(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))
    prepare()
    (tmp_path / "files").mkdir()
    outcome = run(reader, tmp_path / "files", COUNT)
    assert not outcome.faults, "\n".join(outcome.faults[:3])
    assert outcome.refused > COUNT // 10  # the damage is real
