"""Spoken lines of the puzzle game Fish Fillets NG, which Debian packages with Czech voices (and Dutch ones).

Each line is a sound file of its own, named by the line's key; its words stand under that key in scripts that are read
as text and never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from avatar.errors import UserError

__all__ = ["fillets_lines"]

_LINE = re.compile(r'dialogId\("([^"]*)"|dialogStr\("((?:[^"\\]|\\.)*)"\)')


def _words(folder: Path, language: str) -> dict[tuple[str, str], str]:
    """What is said by the script's folder and the line's key, or by the key alone where it always means the same."""
    found: dict[tuple[str, str], str] = {}
    anywhere: dict[str, set[str]] = {}
    for path in sorted(folder.rglob(f"*dialogs_{language}.lua")):
        key = ""
        for match in _LINE.finditer(path.read_text(encoding="utf-8", errors="replace")):
            if match[1] is not None:
                key = match[1]
            elif "%" not in match[2]:  # filled in while playing
                text = match[2].replace('\\"', '"')
                found[path.parent.name, key] = text
                anywhere.setdefault(key, set()).add(text)
    return {("", key): next(iter(texts)) for key, texts in anywhere.items() if len(texts) == 1} | found


def fillets_lines(folder: Path, packages: tuple[str, ...], language: str) -> Iterator[tuple[str, Path, str]]:
    """The game's spoken lines: name, sound file, text.

    Args:
        folder: where the packages were unpacked.
        packages: those with the scripts and the voices.
        language: 'cs' or 'nl'.

    Raises:
        UserError: there are no scripts in that language.
    """
    words: dict[tuple[str, str], str] = {}
    for package in packages:
        words |= _words(folder / package, language)
    if not words:
        raise UserError(f"{folder}: no dialogs_{language}.lua of Fish Fillets NG")
    for package in packages:
        for path in sorted((folder / package).rglob(f"sound/**/{language}/*.ogg")):
            level = path.parents[1].name
            text = words.get((level, path.stem), words.get(("", path.stem), ""))
            if text:
                yield f"{level}/{path.stem}", path, text
