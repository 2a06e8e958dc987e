"""The networks' files: fetched once, checked, kept in the user's folder.

They are Google's MediaPipe models (Apache-2.0), taken out of the wheel of `mediapipe` 0.10.21. The wheel is fetched as
data and not installed: the package itself asks for an old numpy.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from avatar.errors import UserError
from avatar.formats.atomic import write_bytes
from avatar.formats.untrusted import Archive
from avatar.home import data_dir

__all__ = ["LICENCE", "MODELS", "fetch_models", "model_file", "models_dir", "models_present"]

LICENCE = "Apache-2.0, Google LLC (MediaPipe)"

MODELS = {
    "face_detection_short_range.tflite": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    "face_landmark.tflite": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    "iris_landmark.tflite": "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
    "selfie_segmentation.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
}
"""Files and their SHA-256."""

_WHEEL = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
_FETCH = ("--no-deps", "--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11")
"""The same wheel on every system: nothing in it is run, and its contents are checked file by file."""
_TIMEOUT_S = 600


def models_dir() -> Path:
    """Where the files are kept; it may not exist yet."""
    return data_dir() / "models"


def models_present() -> bool:
    """Whether nothing needs to be fetched."""
    return all((models_dir() / name).is_file() for name in MODELS)


def model_file(name: str) -> Path:
    """A model's file, fetched if it is not there yet.

    Raises:
        UserError: if it cannot be had, or is not what it should be.
    """
    path = models_dir() / name
    if not path.is_file():
        fetch_models()
    if hashlib.sha256(path.read_bytes()).hexdigest() != MODELS[name]:
        raise UserError(f"{path}: damaged or not the expected version; delete it, it is fetched again")
    return path


def fetch_models(tell: Callable[[str], None] = lambda what: None) -> None:
    """Fetch what is missing (a download of 36 MB, of which 4.4 MB are kept).

    A wheel of that name that a person has put into the folder is taken first, so that machines without a connection can
    be served.

    Raises:
        UserError: if it cannot be had.
    """
    if models_present():
        return
    folder = models_dir()
    folder.mkdir(parents=True, exist_ok=True)
    given = folder / _WHEEL
    if given.is_file():
        _unpack(given, folder)
        return
    tell("fetching the face tracker's models (36 MB, once)")
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(_download(Path(scratch), folder), folder)


def _download(scratch: Path, folder: Path) -> Path:
    command = [sys.executable, "-P", "-m", "pip", "download", "-q", *_FETCH, "-d", str(scratch), "mediapipe==0.10.21"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        raise UserError(
            "face tracking needs MediaPipe's models (4.4 MB, Apache-2.0), which could not be fetched: connect once, "
            f"or put {_WHEEL} from PyPI into {folder}"
        ) from error
    return next(scratch.glob("*.whl"))


def _unpack(wheel: Path, folder: Path) -> None:
    archive = Archive(wheel)
    members = {Path(name).name: name for name in archive.names if name.endswith(".tflite")}
    for name, digest in MODELS.items():
        if name not in members:
            raise UserError(f"{wheel}: holds no {name}; expected {_WHEEL}")
        data = archive.read(members[name])
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{wheel}: its {name} is not the expected version; expected {_WHEEL}")
        write_bytes(folder / name, data)
