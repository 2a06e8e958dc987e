"""The page that draws the house names what is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", ["app", "animation", "avatar"])
def test_every_folder_of_code_is_on_the_page(package: str) -> None:
    folders = [path.parent.name for path in (ROOT / package).glob("*/__init__.py")]
    assert folders
    assert [name for name in folders if not re.search(rf"`{name}[`/]", PAGE)] == []


def test_every_thread_is_in_the_table() -> None:
    started = re.compile(r'super\(\).__init__\("(\w+)"')
    names = [name for path in (ROOT / "app" / "live").glob("*.py") for name in started.findall(path.read_text())]
    assert len(names) > 8
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []
