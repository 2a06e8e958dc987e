"""Python in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["python_command"]

_ROOT = str(Path(__file__).parents[1])


def python_command(code: str, *arguments: str) -> list[str]:
    """The command that runs some lines of Python with this program's own packages.

    Nothing is imported from the current folder (`-P`): a `json.py` that lies there, or wherever a stranger's files were
    unpacked, is not executed.
    """
    found = f"import sys; {_ROOT!r} in sys.path or sys.path.insert(0, {_ROOT!r})\n"
    return [sys.executable, "-P", "-c", found + code, *arguments]
